/*
 * The public keys whose images a board takes. Generated with every build from the key folder
 * (edge_runtime/firmware/build.py); the boot loader and the firmware each carry the table.
 */
#ifndef JL_KEYS_H
#define JL_KEYS_H

#include "jl_services.h"
#include "jl_sha256.h"

#include <stdint.h>

enum { JL_MAX_TRUSTED_KEYS = 4 };

struct jl_public_key {
    uint8_t key[JL_PUBLIC_KEY_BYTES];
    /** What an image names its signer by: SHA-256 of the key as DER SubjectPublicKeyInfo. */
    uint8_t hash[JL_SHA256_BYTES];
};

struct jl_trusted_keys {
    uint32_t count; /* 1 to JL_MAX_TRUSTED_KEYS */
    struct jl_public_key keys[JL_MAX_TRUSTED_KEYS];
};

extern const struct jl_trusted_keys jl_trusted_keys;

#endif
