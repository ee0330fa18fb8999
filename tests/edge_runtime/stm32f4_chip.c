/*
 * Starts the clocks and the serial line of an STM32F4 and prints, for the test, what came out.
 *
 *     chip FAULT        0 none, 1 no crystal, 2 no lock, 3 no switch, 4 no wait states, 5 no RCC
 */
#include "stm32f4.h"

#include <stdio.h>
#include <stdlib.h>

enum fault { NONE, NO_CRYSTAL, NO_LOCK, NO_SWITCH, NO_WAIT_STATES, NO_CONTROL };

enum {
    PERIPHERAL_WORDS = 0x10000,
    /* In accesses, each a thousand ticks. */
    TICKS_PER_ACCESS = 1000,
    CRYSTAL_ACCESSES = 32, /* 2 ms of the internal oscillator */
    LOCK_ACCESSES = 5,     /* 300 us */
};

/* Peripherals from 0x40000000 on, and the system's SysTick calibration. */
static uint32_t peripherals[PERIPHERAL_WORDS];
static uint32_t calibration = 0x4003344F; /* 21 MHz / 100 - 1, as QEMU says it */
static enum fault fault;
static uint64_t ticks;
static uint64_t all_ticks;
static uint32_t crystal_age;
static uint32_t lock_age;
static unsigned long wrong_order;

static uint32_t *at(uintptr_t address) {
    return &peripherals[(address - 0x40000000u) / 4];
}

static void set(uint32_t *reg, uint32_t mask, int is_set) {
    *reg = is_set ? *reg | mask : *reg & ~mask;
}

/** Let the hardware follow what was written. */
static void follow(void) {
    if (fault == NO_CONTROL) { /* reads as zero */
        for (uintptr_t offset = 0; offset < 0x400; offset += 4) {
            *at(STM32F4_RCC + offset) = 0;
        }
        return;
    }
    uint32_t *control = at(STM32F4_RCC);
    uint32_t *configuration = at(STM32F4_RCC + 8);
    uint32_t wait_states = *at(0x40023C00u) & 7u;
    crystal_age = *control & 1u << 16 ? crystal_age + 1 : 0;
    set(control, 1u << 17, fault != NO_CRYSTAL && crystal_age > CRYSTAL_ACCESSES);
    lock_age = *control & 1u << 24 ? lock_age + 1 : 0;
    set(control, 1u << 25, fault != NO_LOCK && lock_age > LOCK_ACCESSES);
    if (fault == NO_WAIT_STATES) {
        *at(0x40023C00u) &= ~7u;
    }
    if ((*configuration & 3u) == 2 && fault != NO_SWITCH) {
        /* Whoever switches is ready for it. */
        int is_ready = (*control & 3u << 16) == 3u << 16 && (*control & 3u << 24) == 3u << 24 &&
                       wait_states == 5 && (*configuration & 0xFCF0u) == 0x9400;
        wrong_order += !is_ready;
        *configuration = (*configuration & ~12u) | 8u;
    } else {
        *configuration &= ~12u;
    }
}

volatile uint32_t *cortex_m_register(uintptr_t address) {
    ticks += TICKS_PER_ACCESS;
    all_ticks += TICKS_PER_ACCESS;
    if (address == 0xE000E01Cu) {
        return &calibration;
    }
    follow();
    return at(address);
}

void cortex_m_systick_start(void) {
    ticks = 0;
}

uint64_t cortex_m_systick_ticks(void) {
    return ticks;
}

void cortex_m_systick_sleep(uint64_t ticks_to_sleep) {
    (void)ticks_to_sleep;
}

void cortex_m_enable_irq(uint32_t irq) {
    printf("irq %u\n", irq);
}

void cortex_m_disable_irq(uint32_t irq) {
    (void)irq;
}

uint32_t cortex_m_hold_irqs(void) {
    return 0;
}

void cortex_m_restore_irqs(uint32_t mask) {
    (void)mask;
}

int main(int argc, char **argv) {
    fault = argc > 1 ? (enum fault)atoi(argv[1]) : NONE;
    *at(STM32F4_RCC) = 0x83;  /* after a reset: the internal oscillator */
    *at(0x40020400u) = 0x280; /* port B: pins of the debugger */
    struct stm32f4_clocks clocks = stm32f4_clock_start();
    unsigned long long waited = all_ticks;
    unsigned long long ticks_at_start = ticks;
    stm32f4_uart_start(&clocks);
    follow();
    printf("source %d\ncore_hz %u\napb2_hz %u\n", (int)clocks.source, clocks.core_hz,
           clocks.apb2_hz);
    printf("wrong_order %lu\nwaited %llu\nticks_at_start %llu\n", wrong_order, waited,
           ticks_at_start);
    printf("control %u\npll %u\nconfiguration %u\n", *at(STM32F4_RCC), *at(STM32F4_RCC + 4),
           *at(STM32F4_RCC + 8));
    printf("divider %u\nuart_control %u\n", *at(0x40011008u), *at(0x4001100Cu));
    printf("mode %u\nfunction %u\npull %u\n", *at(0x40020400u), *at(0x40020420u), *at(0x4002040Cu));
    return 0;
}
