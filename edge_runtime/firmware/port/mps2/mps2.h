/*
 * Arm's MPS2 boards with the Cortex-M system design kit (CMSDK), as QEMU emulates them: what the
 * boards of this family share. Registers: Arm DDI 0479D (CMSDK), DDI 0403E (SysTick, SCB).
 */
#ifndef MPS2_H
#define MPS2_H

#include "jl_port.h"

#include <stdbool.h>
#include <stdint.h>

/** The clock of the core, SysTick and the timers (QEMU hw/arm/mps2.c, SYSCLK_FRQ). */
#define MPS2_CLOCK_HZ 25000000u

/** Interrupt numbers of the FPGA images AN385, AN386 and AN500. */
enum {
    MPS2_IRQ_UART0_RECEIVE = 0,
    MPS2_IRQ_TIMER0 = 8,
    MPS2_IRQS = 32,
};

static inline volatile uint32_t *mps2_register(uintptr_t address) {
    return (volatile uint32_t *)address; /* NOLINT: this is where hardware begins */
}

/** Allow an interrupt of the board. */
static inline void mps2_enable_irq(uint32_t irq) {
    *mps2_register(0xE000E100u) = 1u << irq;
}

/** Keep interrupts pending; returns what mps2_restore_irqs() takes. */
static inline uint32_t mps2_hold_irqs(void) {
    uint32_t mask;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(mask)::"memory");
    return mask;
}

static inline void mps2_restore_irqs(uint32_t mask) {
    __asm__ volatile("msr primask, %0" ::"r"(mask) : "memory");
}

/** Start the clock; ticks count from here. */
void mps2_clock_start(void);
uint64_t mps2_clock_ticks(void);
void mps2_sleep_until(uint64_t ticks);

void mps2_uart_start(void);
bool mps2_uart_has_received(void);
uint32_t mps2_uart_read(uint8_t *data, uint32_t bytes);
bool mps2_uart_write(const uint8_t *data, uint32_t bytes);

/** Units of the flash that the PSRAM plays. */
enum { MPS2_FLASH_ERASE_BYTES = 4096, MPS2_FLASH_PROGRAM_BYTES = 8, MPS2_FLASH_BYTES = 1 << 24 };
#define MPS2_FLASH_BASE 0x21000000u

bool mps2_flash_erase(uint32_t offset);
bool mps2_flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes);

jl_infer *mps2_module_entry(const uint8_t *module, uint32_t entry_offset);
void mps2_reset(void);

/** The board that is linked in: `boards/NAME.c`. */
extern const struct jl_port mps2_board;

#endif
