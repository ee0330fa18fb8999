/*
 * What the boot loader does for the firmware that it starts: a table at a fixed place in it.
 *
 * So the code of a service lies in flash once. A service runs on its caller's stack and touches no
 * RAM but that and what it is given, so that it works in any firmware, now and later.
 */
#ifndef JL_SERVICES_H
#define JL_SERVICES_H

#include <stdbool.h>
#include <stdint.h>

/** "JLS1" */
#define JL_SERVICES_MAGIC UINT32_C(0x31534C4A)

enum {
    /** Services are only ever added, each with a new version. */
    JL_SERVICES_VERSION = 1,
    /** Where the table lies, from the boot loader's first byte: behind the 16 system vectors. */
    JL_SERVICES_OFFSET = 0x40,

    JL_PUBLIC_KEY_BYTES = 32,
    JL_DIGEST_BYTES = 32,
    JL_SIGNATURE_BYTES = 64,
};

/** Whether `signature` is that of `public_key` over the digest: Ed25519 (RFC 8032). */
typedef bool jl_verify_signature_function(const uint8_t public_key[JL_PUBLIC_KEY_BYTES],
                                          const uint8_t digest[JL_DIGEST_BYTES],
                                          const uint8_t signature[JL_SIGNATURE_BYTES]);

struct jl_services {
    uint32_t magic;
    uint32_t version;
    jl_verify_signature_function *verify_signature;
};

/** The shim over Zig's Ed25519 (src/ed25519.zig): what a boot loader puts into its table. */
jl_verify_signature_function jl_ed25519_verify;

/** Whether there is a table, with all that this version promises. */
static inline bool jl_services_are_here(const struct jl_services *services) {
    return services->magic == JL_SERVICES_MAGIC && services->version >= JL_SERVICES_VERSION;
}

#endif
