// Runs a native module on an emulated Cortex-M, row by row, and writes outputs and ticks to a file.
// Nothing but a module, SysTick and semihosting: what the firmware adds is tested with the
// firmware.
#include <stdint.h>

typedef int32_t infer_function(void *arena, const int8_t *in, int8_t *out);

// What the host places at REQUEST, and where: one place behind the other in the emulator's RAM.
struct request {
    uint32_t rows, input_bytes, output_bytes, entry_offset;
};

#define SYST_CSR (*(volatile uint32_t *)0xE000E010)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018)
#define CPACR (*(volatile uint32_t *)0xE000ED88)

extern uint8_t stack_top[], request_start[], module_start[];
static uint64_t ticks;

static uint32_t semihost(uint32_t operation, const void *argument) {
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void write_result(const void *data, uint32_t bytes) {
    static const char name[] = "result.bin";
    const uint32_t open[] = {(uint32_t)name, 5, sizeof name - 1}; // mode "wb"
    const uint32_t file = semihost(0x01, open);
    const uint32_t ticks_block[] = {file, (uint32_t)&ticks, sizeof ticks};
    semihost(0x05, ticks_block);
    const uint32_t block[] = {file, (uint32_t)data, bytes};
    semihost(0x05, block);
    semihost(0x02, &file);
}

void reset(void) {
    CPACR |= 0xFu << 20; // floating point and Helium
    SYST_RVR = 0xFFFFFF;
    SYST_CVR = 0;
    SYST_CSR = 5;
    const struct request *const request = (const void *)request_start;
    const int8_t *in = (const int8_t *)(request + 1);
    int8_t *const outputs = (int8_t *)in + request->rows * request->input_bytes;
    int8_t *out = outputs;
    uint8_t *const arena =
        (uint8_t *)(((uintptr_t)outputs + request->rows * request->output_bytes + 15) & ~15u);
    infer_function *const infer = (infer_function *)(module_start + request->entry_offset);
    ticks = 0;
    uint32_t before = SYST_CVR;
    for (uint32_t row = 0; row < request->rows; row++) {
        infer(arena, in, out);
        const uint32_t now = SYST_CVR;
        ticks += (before - now) & 0xFFFFFF;
        before = now;
        in += request->input_bytes;
        out += request->output_bytes;
    }
    write_result(outputs, request->rows * request->output_bytes);
    semihost(0x18, (const void *)0x20026); // ADP_Stopped_ApplicationExit
    for (;;) {
    }
}

static void fault(void) {
    semihost(0x18, (const void *)0x20023); // ADP_Stopped_RunTimeErrorUnknown
    for (;;) {
    }
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top,     (void *)reset, (void *)fault, (void *)fault,
    (void *)fault, (void *)fault, (void *)fault,
};
