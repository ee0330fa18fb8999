/* The firmware on a board: started by the boot loader, whose services it uses. */
#include "../../cortex_m/vector.h"
#include "../mps2.h"

static const struct jl_services *services(void) {
    return (const struct jl_services *)(MPS2_BOOT_BASE + JL_SERVICES_OFFSET); /* NOLINT */
}

bool mps2_verify_signature(const uint8_t public_key[JL_PUBLIC_KEY_BYTES],
                           const uint8_t digest[JL_DIGEST_BYTES],
                           const uint8_t signature[JL_SIGNATURE_BYTES]) {
    return jl_services_are_here(services()) &&
           services()->verify_signature(public_key, digest, signature);
}

void cortex_m_run(void) {
    cortex_m_forget_stop();
    mps2_clock_start();
    mps2_uart_start();
    jl_firmware_run(&mps2_board);
}

__attribute__((section(".vectors"),
               used)) static const union vector vectors[SYSTEM_VECTORS + MPS2_IRQS] = {
    CORTEX_M_SYSTEM_VECTORS,
    [SYSTEM_VECTORS + MPS2_IRQ_UART0_RECEIVE].handler = uart0_receive_handler,
    [SYSTEM_VECTORS + MPS2_IRQ_TIMER0].handler = timer0_handler,
};
