/* Time by SysTick, exact to a tick. It has 24 bits, so its interrupt counts the wraps. */
#include "cortex_m.h"
#include "vector.h"

#include <stdbool.h>

#define SYSTICK_CONTROL 0xE000E010u
#define SYSTICK_RELOAD 0xE000E014u
#define SYSTICK_VALUE 0xE000E018u
#define INTERRUPT_CONTROL 0xE000ED04u /* ICSR */

enum {
    SYSTICK_ON = 7, /* enabled, interrupt, core clock */
    /* Stopped at the same clock: to change that too would make QEMU lose the count. */
    SYSTICK_OFF = 4,
    SYSTICK_HAS_WRAPPED = 1 << 16,
    SYSTICK_WRAP = 1 << 24,
    SYSTICK_IS_PENDING = 1 << 26,
    SYSTICK_CLEAR_PENDING = 1 << 25,
};

/* Ticks before SysTick's present round: whole rounds, and what was skipped. */
static volatile uint64_t base_ticks;

void systick_handler(void) {
    base_ticks += SYSTICK_WRAP;
}

static void begin_round(void) {
    *cortex_m_register(SYSTICK_RELOAD) = SYSTICK_WRAP - 1;
    *cortex_m_register(SYSTICK_VALUE) = 0; /* any write clears it; the first tick loads it */
    *cortex_m_register(SYSTICK_CONTROL) = SYSTICK_ON;
}

void cortex_m_systick_start(void) {
    base_ticks = 0;
    begin_round();
}

/** Ticks of the present round; the counter falls, and wraps from 1 to 0. */
static uint32_t round_ticks(void) {
    return (SYSTICK_WRAP - *cortex_m_register(SYSTICK_VALUE)) & (SYSTICK_WRAP - 1u);
}

/** With interrupts held. */
static uint64_t now(void) {
    uint32_t ticks = round_ticks();
    if ((*cortex_m_register(INTERRUPT_CONTROL) & SYSTICK_IS_PENDING) != 0) {
        return base_ticks + SYSTICK_WRAP + round_ticks(); /* wrapped since, not yet counted */
    }
    return base_ticks + ticks;
}

uint64_t cortex_m_systick_ticks(void) {
    uint32_t mask = cortex_m_hold_irqs();
    uint64_t ticks = now();
    cortex_m_restore_irqs(mask);
    return ticks;
}

void cortex_m_systick_stop(void) {
    base_ticks = now();
    *cortex_m_register(SYSTICK_CONTROL) = SYSTICK_OFF;
    *cortex_m_register(INTERRUPT_CONTROL) = SYSTICK_CLEAR_PENDING; /* a wrap that `now` counted */
}

void cortex_m_systick_go_on(uint64_t skipped) {
    base_ticks += skipped;
    begin_round();
}

void cortex_m_systick_sleep(uint64_t ticks) {
    uint32_t length = ticks < SYSTICK_WRAP ? (uint32_t)ticks : SYSTICK_WRAP;
    cortex_m_systick_stop();
    *cortex_m_register(SYSTICK_RELOAD) = length - 1;
    *cortex_m_register(SYSTICK_VALUE) = 0;
    *cortex_m_register(SYSTICK_CONTROL) = SYSTICK_ON;
    cortex_m_wait();
    *cortex_m_register(SYSTICK_CONTROL) = SYSTICK_OFF;
    bool has_wrapped = (*cortex_m_register(SYSTICK_CONTROL) & SYSTICK_HAS_WRAPPED) != 0;
    uint32_t rest = *cortex_m_register(SYSTICK_VALUE);
    *cortex_m_register(INTERRUPT_CONTROL) = SYSTICK_CLEAR_PENDING;
    /* At 0 before it wrapped it was not even loaded: woken at once. */
    uint32_t passed = has_wrapped || rest > 0 ? length - rest : 0;
    cortex_m_systick_go_on((uint64_t)passed + (has_wrapped && rest > 0 ? length : 0u));
}
