/*
 * Time on a board with the SSE-300's system counter (Arm 101773, section 4.3): 64 bits that count
 * on through every sleep. The 32 kHz timer ends a sleep, up to one of its ticks early.
 */
#include "mps2.h"

#ifdef MPS2_SYSTEM_COUNTER

#define COUNTER_CONTROL MPS2_SYSTEM_COUNTER
#define COUNTER_LOW (MPS2_SYSTEM_COUNTER_READ + 0x00u)
#define COUNTER_HIGH (MPS2_SYSTEM_COUNTER_READ + 0x04u)

#define TIMER0_CONTROL MPS2_TIMER0
#define TIMER0_VALUE (MPS2_TIMER0 + 0x04u)
#define TIMER0_RELOAD (MPS2_TIMER0 + 0x08u)
#define TIMER0_CLEAR (MPS2_TIMER0 + 0x0Cu)

enum {
    COUNTER_ON = 1,
    TIMER_ON = 9, /* enabled, interrupt */
    TICKS_PER_TIMER_TICK = MPS2_CLOCK_HZ / MPS2_TIMER0_HZ,
};

static uint64_t start_ticks;

void timer0_handler(void) {
    *cortex_m_register(TIMER0_CONTROL) = 0;
    *cortex_m_register(TIMER0_CLEAR) = 1;
}

static uint64_t counter(void) {
    uint32_t high;
    uint32_t low;
    do {
        high = *cortex_m_register(COUNTER_HIGH);
        low = *cortex_m_register(COUNTER_LOW);
    } while (high != *cortex_m_register(COUNTER_HIGH));
    return (uint64_t)high << 32 | low;
}

void mps2_clock_start(void) {
    *cortex_m_register(COUNTER_CONTROL) = COUNTER_ON;
    start_ticks = counter();
    cortex_m_enable_irq(MPS2_IRQ_TIMER0);
}

uint64_t mps2_clock_ticks(void) {
    return counter() - start_ticks;
}

void mps2_sleep_until(uint64_t ticks) {
    uint32_t mask = cortex_m_hold_irqs();
    uint64_t now = mps2_clock_ticks();
    uint64_t left = ticks > now ? (ticks - now) / TICKS_PER_TIMER_TICK : 0;
    if (left > 0 && !mps2_uart_has_received()) {
        uint32_t timer_ticks = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
        *cortex_m_register(TIMER0_RELOAD) = timer_ticks;
        *cortex_m_register(TIMER0_VALUE) = timer_ticks;
        *cortex_m_register(TIMER0_CLEAR) = 1;
        *cortex_m_register(TIMER0_CONTROL) = TIMER_ON;
        cortex_m_wait();
        *cortex_m_register(TIMER0_CONTROL) = 0;
    }
    cortex_m_restore_irqs(mask);
}

#endif
