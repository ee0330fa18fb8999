/*
 * Clocks (RM0090, sections 6 and 7.3; flash wait states: section 3.5.1): 168 MHz from the crystal
 * through the PLL. Every wait ends: a board whose crystal is broken still works, slower.
 */
#include "stm32f4.h"

#define RCC_CONTROL (STM32F4_RCC + 0x00u)
#define RCC_PLL (STM32F4_RCC + 0x04u)
#define RCC_CONFIGURATION (STM32F4_RCC + 0x08u)
#define FLASH_ACCESS 0x40023C00u
#define SYSTICK_CALIBRATION 0xE000E01Cu

#define HSI_READY (1u << 1)
#define HSE_ON (1u << 16)
#define HSE_READY (1u << 17)
#define PLL_ON (1u << 24)
#define PLL_READY (1u << 25)

/* The crystal's MHz down to 1 MHz, x 336, / 2 for the core; / 7 gives USB its 48 MHz. */
#define PLL_VALUE (STM32F4_CRYSTAL_MHZ | 336u << 6 | 0u << 16 | 1u << 22 | 7u << 24)
/* APB1 at a quarter of the core's clock, APB2 at half of it: their limits. */
#define PRESCALERS (5u << 10 | 4u << 13)
enum { SWITCH_MASK = 3, SWITCH_PLL = 2, SWITCHED_MASK = 3 << 2, SWITCHED_PLL = 2 << 2 };

/* Five wait states at 168 MHz and 2.7 V or more; prefetch and both caches. */
enum { LATENCY_MASK = 7, LATENCY = 5, PREFETCH_AND_CACHES = 7 << 8 };

/* 100 ms of the internal oscillator: a crystal starts within a few (DS8626, section 5.3.8). */
enum { START_LIMIT_TICKS = STM32F4_HSI_HZ / 10 };

enum { CALIBRATION_MASK = 0xFFFFFF, REFERENCE_DIVIDER = 8, CALIBRATIONS_PER_S = 100 };

/* A wake-up costs some: a sleep shorter than that is none. */
#define SHORTEST_SLEEP_TICKS 64u

static bool wait_for(uintptr_t address, uint32_t mask, uint32_t value) {
    uint64_t deadline = cortex_m_systick_ticks() + START_LIMIT_TICKS;
    while ((*cortex_m_register(address) & mask) != value) {
        if (cortex_m_systick_ticks() > deadline) {
            return false;
        }
    }
    return true;
}

/** The regulator's full range, which 168 MHz need, is what it has after a reset. */
static bool run_from_crystal(void) {
    *cortex_m_register(RCC_CONTROL) |= HSE_ON;
    if (!wait_for(RCC_CONTROL, HSE_READY, HSE_READY)) {
        return false;
    }
    *cortex_m_register(RCC_PLL) = PLL_VALUE;
    *cortex_m_register(RCC_CONTROL) |= PLL_ON;
    *cortex_m_register(FLASH_ACCESS) = LATENCY | PREFETCH_AND_CACHES;
    if (!wait_for(RCC_CONTROL, PLL_READY, PLL_READY) ||
        !wait_for(FLASH_ACCESS, LATENCY_MASK, LATENCY)) {
        return false;
    }
    *cortex_m_register(RCC_CONFIGURATION) = PRESCALERS;
    *cortex_m_register(RCC_CONFIGURATION) = PRESCALERS | SWITCH_PLL;
    return wait_for(RCC_CONFIGURATION, SWITCHED_MASK, SWITCHED_PLL);
}

/** Back to what a reset chose. The wait states stay: too many do no harm. */
static void stay_internal(void) {
    *cortex_m_register(RCC_CONFIGURATION) = 0;
    *cortex_m_register(RCC_CONTROL) &= ~(PLL_ON | HSE_ON);
}

/**
 * Code runs, and the oscillator that it runs from is not ready: there is no clock control at all,
 * as in QEMU. There SysTick's calibration says how fast its reference, an eighth of the core's
 * clock, runs; on silicon it is a constant that says nothing (RM0090, section 12.1.1).
 */
static struct stm32f4_clocks clocks_of_emulator(void) {
    uint32_t per_10_ms = (*cortex_m_register(SYSTICK_CALIBRATION) & CALIBRATION_MASK) + 1;
    uint32_t hz = per_10_ms * CALIBRATIONS_PER_S * REFERENCE_DIVIDER;
    return (struct stm32f4_clocks){JL_CLOCK_UNCONTROLLED, hz, hz};
}

struct stm32f4_clocks stm32f4_clock_start(void) {
    struct stm32f4_clocks clocks = {JL_CLOCK_CRYSTAL, STM32F4_PLL_HZ, STM32F4_PLL_HZ / 2};
    cortex_m_systick_start();
    if (!run_from_crystal()) {
        stay_internal();
        clocks = (struct stm32f4_clocks){JL_CLOCK_INTERNAL, STM32F4_HSI_HZ, STM32F4_HSI_HZ};
        if ((*cortex_m_register(RCC_CONTROL) & HSI_READY) == 0) {
            clocks = clocks_of_emulator();
        }
    }
    cortex_m_systick_start(); /* from here on, ticks are those of one clock */
    return clocks;
}

void stm32f4_sleep_until(uint64_t ticks) {
    uint32_t mask = cortex_m_hold_irqs();
    uint64_t now = cortex_m_systick_ticks();
    if (ticks > now + SHORTEST_SLEEP_TICKS && !stm32f4_uart_has_received()) {
        cortex_m_systick_sleep(ticks - now);
    }
    cortex_m_restore_irqs(mask);
}
