/*
 * Time on a board without a system counter: SysTick while awake, exact to a tick; TIMER0 while
 * asleep.
 *
 * SysTick's interrupt, which counts its wraps, would end every sleep after 0.67 s: before a sleep
 * SysTick stops and TIMER0 (32 bits, same clock) takes over.
 */
#include "mps2.h"

#ifndef MPS2_SYSTEM_COUNTER

#define TIMER0_CONTROL MPS2_TIMER0
#define TIMER0_VALUE (MPS2_TIMER0 + 0x04u)
#define TIMER0_RELOAD (MPS2_TIMER0 + 0x08u)
#define TIMER0_CLEAR (MPS2_TIMER0 + 0x0Cu)

enum { TIMER_ON = 9 /* enabled, interrupt */ };

/* The wake-up and the reading of both timers around a sleep: a sleep shorter than that is none. */
#define SHORTEST_SLEEP_TICKS 64u

void timer0_handler(void) {
    *cortex_m_register(TIMER0_CLEAR) = 1;
}

void mps2_clock_start(void) {
    cortex_m_systick_start();
    cortex_m_enable_irq(MPS2_IRQ_TIMER0);
}

uint64_t mps2_clock_ticks(void) {
    return cortex_m_systick_ticks();
}

/** With interrupts held: sleep for at most `ticks`; pending interrupts end it all the same. */
static void sleep_for(uint32_t ticks) {
    cortex_m_systick_stop();
    *cortex_m_register(TIMER0_RELOAD) = ticks;
    *cortex_m_register(TIMER0_VALUE) = ticks;
    *cortex_m_register(TIMER0_CLEAR) = 1;
    *cortex_m_register(TIMER0_CONTROL) = TIMER_ON;
    cortex_m_wait();
    /* The counter starts again when it has run down: then the whole time has passed. */
    bool has_run_down = (*cortex_m_register(TIMER0_CLEAR) & 1u) != 0;
    uint32_t rest = *cortex_m_register(TIMER0_VALUE);
    *cortex_m_register(TIMER0_CONTROL) = 0;
    cortex_m_systick_go_on((uint64_t)(ticks - rest) + (has_run_down ? ticks : 0u));
}

void mps2_sleep_until(uint64_t ticks) {
    uint32_t mask = cortex_m_hold_irqs();
    uint64_t begin = mps2_clock_ticks();
    uint64_t left = ticks > begin ? ticks - begin : 0;
    if (left >= SHORTEST_SLEEP_TICKS && !mps2_uart_has_received()) {
        sleep_for(left < UINT32_MAX ? (uint32_t)left : UINT32_MAX);
    }
    cortex_m_restore_irqs(mask);
}

#endif
