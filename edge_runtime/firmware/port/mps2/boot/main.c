/*
 * The boot loader on a board. Behind its system vectors lies the table of its services instead of
 * the board's interrupts: it allows none of them.
 */
#include "../../cortex_m/vector.h"
#include "../mps2.h"
#include "jl_boot.h"

bool mps2_verify_signature(const uint8_t public_key[JL_PUBLIC_KEY_BYTES],
                           const uint8_t digest[JL_DIGEST_BYTES],
                           const uint8_t signature[JL_SIGNATURE_BYTES]) {
    return jl_ed25519_verify(public_key, digest, signature);
}

void cortex_m_run(void) {
    mps2_uart_start_sending();
    jl_boot_run(&mps2_board);
}

__attribute__((section(".vectors"), used)) static const struct {
    /* The core reads the one, the firmware the other. */
    // cppcheck-suppress unusedStructMember
    union vector vectors[SYSTEM_VECTORS];
    // cppcheck-suppress unusedStructMember
    struct jl_services services;
} front = {
    .vectors = {CORTEX_M_SYSTEM_VECTORS},
    .services =
        {
            .magic = JL_SERVICES_MAGIC,
            .version = JL_SERVICES_VERSION,
            .verify_signature = jl_ed25519_verify,
        },
};

_Static_assert(sizeof(union vector[SYSTEM_VECTORS]) == JL_SERVICES_OFFSET, "behind the vectors");
