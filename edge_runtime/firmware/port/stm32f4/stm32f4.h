/*
 * ST's STM32F405 and its like. The build includes a board's crystal and pins, `boards/NAME.h`,
 * before everything. Registers: RM0090.
 */
#ifndef STM32F4_H
#define STM32F4_H

#include "../cortex_m/cortex_m.h"
#include "jl_port.h"

#include <stdbool.h>
#include <stdint.h>

#define STM32F4_RCC 0x40023800u

enum {
    /** The internal oscillator, which runs after a reset (DS8626, section 5.3.9). */
    STM32F4_HSI_HZ = 16000000,
    STM32F4_PLL_HZ = 168000000,
    STM32F4_IRQ_USART1 = 37,
    STM32F4_IRQS = 82,
};

/** The clocks that run. */
struct stm32f4_clocks {
    enum jl_clock source;
    uint32_t core_hz;
    uint32_t apb2_hz; /* USART1's */
};

/**
 * Start the crystal and run from it at full speed. Where it does not start in time, all stays on
 * the internal oscillator. Ticks count from here.
 */
struct stm32f4_clocks stm32f4_clock_start(void);
void stm32f4_sleep_until(uint64_t ticks);

void stm32f4_uart_start(const struct stm32f4_clocks *clocks);
bool stm32f4_uart_has_received(void);
uint32_t stm32f4_uart_read(uint8_t *data, uint32_t bytes);
bool stm32f4_uart_write(const uint8_t *data, uint32_t bytes);
void usart1_handler(void);

/** The board that is linked in; its clocks are known only once they run. */
extern const struct jl_port stm32f4_board;

#endif
