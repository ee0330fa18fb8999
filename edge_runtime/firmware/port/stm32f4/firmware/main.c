/* The firmware on a board without a boot loader. */
#include "../../cortex_m/vector.h"
#include "../stm32f4.h"

void cortex_m_run(void) {
    cortex_m_forget_stop();
    static struct jl_port port;
    struct stm32f4_clocks clocks = stm32f4_clock_start();
    stm32f4_uart_start(&clocks);
    port = stm32f4_board;
    port.clock = clocks.source;
    port.ticks_hz = clocks.core_hz;
    if (clocks.source != JL_CLOCK_CRYSTAL) {
        port.picojoules_per_tick = 0; /* nobody knows it at another speed */
    }
    jl_firmware_run(&port);
}

__attribute__((section(".vectors"),
               used)) static const union vector vectors[SYSTEM_VECTORS + STM32F4_IRQS] = {
    CORTEX_M_SYSTEM_VECTORS,
    [SYSTEM_VECTORS + STM32F4_IRQ_USART1].handler = usart1_handler,
};
