/* Runs kernels on an emulated Cortex-M4F: outputs, guards and ticks go to a host file.
 *
 * The input lies at the very end of RAM, so that a read beyond it faults; output and scratch are
 * filled and guarded, so that a write beyond them shows. Semihosting carries the result out. */
#include <stddef.h>
#include <stdint.h>

#include "cases.h"

#define GUARD_BYTES 32
#define SYSTICK ((volatile uint32_t *)0xE000E010u)
#define TICK_MASK 0xFFFFFFu

typedef void kernel(const int8_t *in, int8_t *out, void *scratch);
typedef struct {
    kernel *run;
    const int8_t *rows;
    uint32_t row_count, in_bytes, out_bytes, scratch_bytes, repeats, in_place;
} test_case;

#define CASE(name, ...) kernel name;
#include "cases.inc"
#undef CASE
#define CASE(name, ...) {name, __VA_ARGS__},
static const test_case cases[] = {
#include "cases.inc"
};

extern uint8_t __stack_top[], __arena[];

static uintptr_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void fill(uint8_t *at, uint8_t value, uint32_t count) {
    while (count-- > 0)
        *(volatile uint8_t *)at++ = value;
}

static void write_file(uintptr_t file, const void *data, uint32_t bytes) {
    const uintptr_t argument[3] = {file, (uintptr_t)data, bytes};
    if (semihost(0x05, argument) != 0)
        semihost(0x18, (const void *)0x20024);
}

static void nothing(const int8_t *in, int8_t *out, void *scratch) {
    (void)in, (void)out, (void)scratch;
    __asm__ volatile("");
}

static uint32_t ticks_of(kernel *run, const test_case *test, int8_t *in, int8_t *out,
                         uint8_t *scratch) {
    SYSTICK[2] = 0;
    const uint32_t before = SYSTICK[2];
    for (uint32_t i = 0; i < test->repeats; i++)
        run(in, out, scratch);
    return (before - SYSTICK[2]) & TICK_MASK;
}

int main(void) {
    static const char name[] = "result.bin";
    const uintptr_t open[3] = {(uintptr_t)name, 5 /* wb */, sizeof name - 1};
    const uintptr_t file = semihost(0x01, open);
    SYSTICK[1] = TICK_MASK;
    SYSTICK[0] = 5;
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const test_case *test = &cases[i];
        int8_t *in = (int8_t *)RAM_END - test->in_bytes;
        uint8_t *out = __arena + (i & 3u); /* outputs may lie at any address too */
        uint8_t *scratch =
            (uint8_t *)(((uintptr_t)out + test->out_bytes + 3 * GUARD_BYTES) & ~(uintptr_t)15);
        for (uint32_t row = 0; row < test->row_count; row++) {
            for (uint32_t j = 0; j < test->in_bytes; j++)
                in[j] = test->rows[row * test->in_bytes + j];
            fill(out, 0xA5, test->out_bytes + 2 * GUARD_BYTES);
            fill(scratch, 0x5A, test->scratch_bytes + GUARD_BYTES);
            fill(scratch - GUARD_BYTES / 2, 0x5A, GUARD_BYTES / 2);
            int8_t *result = (int8_t *)out + GUARD_BYTES;
            test->run(in, test->in_place ? in : result, scratch);
            if (test->in_place)
                for (uint32_t j = 0; j < test->out_bytes; j++)
                    result[j] = in[j];
            write_file(file, out, test->out_bytes + 2 * GUARD_BYTES);
            write_file(file, scratch - GUARD_BYTES / 2, GUARD_BYTES / 2);
            write_file(file, scratch + test->scratch_bytes, GUARD_BYTES);
        }
        const uint32_t ticks[2] = {
            ticks_of(test->run, test, in, (int8_t *)out + GUARD_BYTES, scratch),
            ticks_of(nothing, test, in, (int8_t *)out + GUARD_BYTES, scratch)};
        write_file(file, ticks, sizeof ticks);
    }
    semihost(0x18, (const void *)0x20026);
    return 0;
}

void fault(void);
void fault(void) {
    semihost(0x18, (const void *)0x20024);
}

void reset(void);
void reset(void) {
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* FPU on */
    __asm__ volatile("dsb\nisb");
    main();
}

/* The compiler may call these. */
void *memcpy(void *to, const void *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}
void *memset(void *to, int value, size_t count) {
    for (size_t i = 0; i < count; i++)
        ((volatile uint8_t *)to)[i] = (uint8_t)value;
    return to;
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    __stack_top,   (void *)reset, (void *)fault, (void *)fault,
    (void *)fault, (void *)fault, (void *)fault};
