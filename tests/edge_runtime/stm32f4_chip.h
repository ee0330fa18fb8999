/*
 * A chip for the STM32F4 port on this machine: clock control as RM0090 describes it, which the
 * emulator lacks. Included before everything, in place of port/cortex_m/cortex_m.h. Every access to
 * a register lets time pass.
 */
#ifndef CORTEX_M_H
#define CORTEX_M_H

#include "jl_module.h"

#include <stdint.h>

volatile uint32_t *cortex_m_register(uintptr_t address);
void cortex_m_systick_start(void);
uint64_t cortex_m_systick_ticks(void);
void cortex_m_systick_sleep(uint64_t ticks);
void cortex_m_enable_irq(uint32_t irq);
void cortex_m_disable_irq(uint32_t irq);
uint32_t cortex_m_hold_irqs(void);
void cortex_m_restore_irqs(uint32_t mask);

#endif
