/*
 * What every Cortex-M has, whoever makes the board: start-up, interrupts, SysTick. Registers: Arm
 * DDI 0403E (NVIC, SysTick, SCB).
 */
#ifndef CORTEX_M_H
#define CORTEX_M_H

#include "jl_port.h"

#include <stdint.h>

static inline volatile uint32_t *cortex_m_register(uintptr_t address) {
    return (volatile uint32_t *)address; /* NOLINT: this is where hardware begins */
}

/** Allow an interrupt of the board. */
static inline void cortex_m_enable_irq(uint32_t irq) {
    *cortex_m_register(0xE000E100u + irq / 32 * 4) = 1u << irq % 32;
}

/** Keep an interrupt of the board pending. */
static inline void cortex_m_disable_irq(uint32_t irq) {
    *cortex_m_register(0xE000E180u + irq / 32 * 4) = 1u << irq % 32;
}

/** Keep interrupts pending; returns what cortex_m_restore_irqs() takes. */
static inline uint32_t cortex_m_hold_irqs(void) {
    uint32_t mask;
    __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(mask)::"memory");
    return mask;
}

static inline void cortex_m_restore_irqs(uint32_t mask) {
    __asm__ volatile("msr primask, %0" ::"r"(mask) : "memory");
}

/** Sleep until an interrupt, a held one too. */
static inline void cortex_m_wait(void) {
    __asm__ volatile("dsb\n\twfi" ::: "memory");
}

/** Start SysTick at the core's clock; ticks count from 0. Its interrupt counts its wraps. */
void cortex_m_systick_start(void);

/** Ticks since then. */
uint64_t cortex_m_systick_ticks(void);

/** Stop SysTick for a sleep in which another timer counts; interrupts are held. */
void cortex_m_systick_stop(void);

/** Go on after it; `skipped` ticks passed meanwhile. */
void cortex_m_systick_go_on(uint64_t skipped);

/**
 * Sleep until an interrupt, for at most `ticks` and 2^24 of them; interrupts are held, and `ticks`
 * is above 1. Stopping and starting SysTick loses a few.
 */
void cortex_m_systick_sleep(uint64_t ticks);

/* Of struct jl_port. */
jl_infer *cortex_m_module_entry(const uint8_t *module, uint32_t entry_offset);
void cortex_m_reset(void);
enum jl_stop cortex_m_stopped_by(void);
void cortex_m_start_firmware(const uint8_t *vectors);

/** What stopped the board was read: the next start knows nothing of it. The firmware's business. */
void cortex_m_forget_stop(void);

/** The program: the boot loader, or the firmware. A family supplies it. */
_Noreturn void cortex_m_run(void);

#endif
