/*
 * Time on a board without a system counter: SysTick while awake, exact to a tick; TIMER0 while
 * asleep.
 *
 * SysTick has 24 bits, so its interrupt counts the wraps. That interrupt would end every sleep
 * after 0.67 s: before a sleep SysTick stops and TIMER0 (32 bits, same clock) takes over.
 */
#include "mps2.h"

#ifndef MPS2_SYSTEM_COUNTER

#define SYSTICK_CONTROL 0xE000E010u
#define SYSTICK_RELOAD 0xE000E014u
#define SYSTICK_VALUE 0xE000E018u
#define INTERRUPT_CONTROL 0xE000ED04u /* ICSR */

#define TIMER0_CONTROL MPS2_TIMER0
#define TIMER0_VALUE (MPS2_TIMER0 + 0x04u)
#define TIMER0_RELOAD (MPS2_TIMER0 + 0x08u)
#define TIMER0_CLEAR (MPS2_TIMER0 + 0x0Cu)

enum {
    SYSTICK_ON = 7, /* enabled, interrupt, core clock */
    SYSTICK_WRAP = 1 << 24,
    SYSTICK_IS_PENDING = 1 << 26,
    TIMER_ON = 9, /* enabled, interrupt */
};

/* The wake-up and the reading of both timers around a sleep: a sleep shorter than that is none. */
#define SHORTEST_SLEEP_TICKS 64u

void systick_handler(void);
void timer0_handler(void);

/* Ticks before SysTick's present round: whole rounds and sleeps. */
static volatile uint64_t base_ticks;

void systick_handler(void) {
    base_ticks += SYSTICK_WRAP;
}

void timer0_handler(void) {
    *mps2_register(TIMER0_CLEAR) = 1;
}

static void systick_begin(void) {
    *mps2_register(SYSTICK_RELOAD) = SYSTICK_WRAP - 1;
    *mps2_register(SYSTICK_VALUE) = 0; /* any write clears it; the first tick loads it */
    *mps2_register(SYSTICK_CONTROL) = SYSTICK_ON;
}

void mps2_clock_start(void) {
    base_ticks = 0;
    systick_begin();
    mps2_enable_irq(MPS2_IRQ_TIMER0);
}

/** Ticks of the present round; the counter falls, and wraps from 1 to 0. */
static uint32_t round_ticks(void) {
    return (SYSTICK_WRAP - *mps2_register(SYSTICK_VALUE)) & (SYSTICK_WRAP - 1u);
}

/** With interrupts held. */
static uint64_t now(void) {
    uint32_t ticks = round_ticks();
    if ((*mps2_register(INTERRUPT_CONTROL) & SYSTICK_IS_PENDING) != 0) {
        return base_ticks + SYSTICK_WRAP + round_ticks(); /* wrapped since, not yet counted */
    }
    return base_ticks + ticks;
}

uint64_t mps2_clock_ticks(void) {
    uint32_t mask = mps2_hold_irqs();
    uint64_t ticks = now();
    mps2_restore_irqs(mask);
    return ticks;
}

/** With interrupts held: sleep for at most `ticks`; pending interrupts end it all the same. */
static void sleep_for(uint32_t ticks) {
    base_ticks = now();
    *mps2_register(SYSTICK_CONTROL) = 0;
    *mps2_register(INTERRUPT_CONTROL) = 1u << 25; /* a wrap that `now` has counted */
    *mps2_register(TIMER0_RELOAD) = ticks;
    *mps2_register(TIMER0_VALUE) = ticks;
    *mps2_register(TIMER0_CLEAR) = 1;
    *mps2_register(TIMER0_CONTROL) = TIMER_ON;
    __asm__ volatile("dsb\n\twfi" ::: "memory");
    /* The counter starts again when it has run down: then the whole time has passed. */
    bool has_run_down = (*mps2_register(TIMER0_CLEAR) & 1u) != 0;
    uint32_t rest = *mps2_register(TIMER0_VALUE);
    *mps2_register(TIMER0_CONTROL) = 0;
    base_ticks += ticks - rest + (has_run_down ? ticks : 0u);
    systick_begin();
}

void mps2_sleep_until(uint64_t ticks) {
    uint32_t mask = mps2_hold_irqs();
    uint64_t begin = now();
    uint64_t left = ticks > begin ? ticks - begin : 0;
    if (left >= SHORTEST_SLEEP_TICKS && !mps2_uart_has_received()) {
        sleep_for(left < UINT32_MAX ? (uint32_t)left : UINT32_MAX);
    }
    mps2_restore_irqs(mask);
}

#endif
