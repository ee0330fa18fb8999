/* Counts a machine's ticks over 2 000 000 executed instructions, and prints them in hexadecimal.
 *
 * Built for every emulated machine by test_emulator_ticks.py, which defines STACK_TOP, and
 * NRF51_TIMER where the machine has no SysTick. Output goes by Arm semihosting.
 */

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

enum { LOOPS = 1000000, SYS_WRITE0 = 0x04, SYS_EXIT = 0x18, EXITED = 0x20026 };

static void semihosting(uint32_t operation, uint32_t argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register uint32_t r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

#ifdef NRF51_TIMER
static void start_ticks(void) {
    REGISTER(0x40008004) = 0; /* stop; PRESCALER = 0: 16 MHz */
    REGISTER(0x40008510) = 0;
    REGISTER(0x40008508) = 3; /* 32 bits */
    REGISTER(0x40008000) = 1; /* start */
}

static uint32_t ticks(void) {
    REGISTER(0x40008040) = 1; /* capture into CC[0] */
    return REGISTER(0x40008540);
}
#else
static void start_ticks(void) {
    REGISTER(0xe000e014) = 0xffffff; /* SYST_RVR: 24 bits, counts down */
    REGISTER(0xe000e018) = 0;
    REGISTER(0xe000e010) = 5; /* enabled, from the core clock */
}

static uint32_t ticks(void) {
    return 0xffffff - REGISTER(0xe000e018);
}
#endif

static void run_two_instructions(uint32_t loops) {
    __asm__ volatile("1: subs %0, #1\n bne 1b" : "+l"(loops) : : "cc");
}

void start(void) {
    static char text[9];
    start_ticks();
    run_two_instructions(1000); /* SysTick reads 0 until its first tick reloads it */
    uint32_t before = ticks();
    run_two_instructions(LOOPS);
    uint32_t count = ticks() - before;
    for (uint32_t i = 0; i < 8; i++) {
        text[i] = "0123456789abcdef"[count >> (28 - 4 * i) & 15];
    }
    semihosting(SYS_WRITE0, (uint32_t)text);
    semihosting(SYS_EXIT, EXITED);
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) void *const vectors[] = {(void *)STACK_TOP,
                                                                    (void *)start};
