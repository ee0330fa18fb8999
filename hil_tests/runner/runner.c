/*
 * Runs a native module alone on an emulated core, for profiles and benchmarks.
 *
 * QEMU's loader puts the module at module_base. Rows come from rows.bin, outputs go to out.bin and
 * the deepest stack of an inference to stack.bin, through Arm semihosting. What is counted happens
 * between jl_infer_begin and jl_infer_end, which are empty and always linked, so that any plugin
 * finds them.
 */
#include <stdint.h>

#include "jl_module.h"

/* Semihosting operations (Arm, Semihosting for AArch32 and AArch64, chapter 5). */
enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT = 0x20 };
enum { MODE_READ_BINARY = 1, MODE_WRITE_BINARY = 5 };
/* Exit statuses; hil_tests/runner/run.py explains them. */
enum { DONE = 0, BAD_MODULE = 2, INFER_FAILED = 3, FILE_FAILED = 4, FAULT = 99 };
enum { STACK_PAINT = 0x5A, STACK_PAINTED_BYTES = 16384 };

/* From the linker script. */
extern uint8_t module_base[];
extern uint8_t buffers_base[];
extern uint8_t buffers_end[];
extern uint8_t stack_top[];

void reset(void);
void jl_infer_begin(void);
void jl_infer_end(void);

__attribute__((naked)) static int semihost(__attribute__((unused)) int operation,
                                           __attribute__((unused)) const void *arguments) {
    __asm__ volatile("bkpt 0xab\n bx lr");
}

static void leave(int status) {
    /* ADP_Stopped_ApplicationExit, then the status. */
    const uint32_t arguments[] = {0x20026u, (uint32_t)status};
    for (;;) {
        semihost(SYS_EXIT, arguments);
    }
}

static void fault(void) {
    leave(FAULT);
}

__attribute__((section(".vectors"), used)) static void (*const vectors[])(void) = {
    (void (*)(void))stack_top, reset, fault, fault, fault, fault, fault, fault,
};

__attribute__((noinline)) void jl_infer_begin(void) {
    __asm__ volatile("");
}

__attribute__((noinline)) void jl_infer_end(void) {
    __asm__ volatile("");
}

static int open_file(const char *name, uint32_t name_bytes, uint32_t mode) {
    const uint32_t arguments[] = {(uint32_t)name, mode, name_bytes};
    const int file = semihost(SYS_OPEN, arguments);
    if (file < 0) {
        leave(FILE_FAILED);
    }
    return file;
}

/* How many bytes were NOT transferred. */
static uint32_t transfer(int operation, int file, const void *data, uint32_t bytes) {
    const uint32_t arguments[] = {(uint32_t)file, (uint32_t)data, bytes};
    return (uint32_t)semihost(operation, arguments);
}

static void write_all(int file, const void *data, uint32_t bytes) {
    if (transfer(SYS_WRITE, file, data, bytes) != 0) {
        leave(FILE_FAILED);
    }
}

static uint32_t tensor_bytes(const struct jl_module_header *module, uint32_t first,
                             uint32_t count) {
    const int is_typed = module->abi_version == JL_MODULE_PIPELINE_ABI_VERSION;
    const uint32_t record =
        is_typed ? sizeof(struct jl_module_typed_tensor) : sizeof(struct jl_module_tensor);
    uint32_t total = 0;
    for (uint32_t t = first; t < first + count; t++) {
        const void *const at = module_base + module->tensors_offset + t * record;
        const struct jl_module_typed_tensor *const typed = at;
        uint32_t bytes = is_typed && typed->dtype != JL_DTYPE_INT8 ? 4 : 1;
        for (uint32_t d = 0; d < typed->tensor.rank; d++) {
            bytes *= typed->tensor.dims[d];
        }
        total += bytes;
    }
    return total;
}

/* Calls the module above a painted stack; how deep it went below the stack pointer of the call. */
__attribute__((noinline)) static uint32_t infer(jl_infer *entry, void *arena, const int8_t *in,
                                                int8_t *out) {
    uint8_t *top;
    __asm__ volatile("mov %0, sp" : "=r"(top));
    uint8_t *const bottom = top - STACK_PAINTED_BYTES;
    for (volatile uint8_t *byte = bottom; byte < top; byte++) {
        *byte = STACK_PAINT;
    }
    jl_infer_begin();
    const int32_t status = entry(arena, in, out);
    jl_infer_end();
    if (status != 0) {
        leave(INFER_FAILED);
    }
    const volatile uint8_t *deepest = bottom;
    while (deepest < top && *deepest == STACK_PAINT) {
        deepest++;
    }
    return (uint32_t)(top - deepest);
}

static void run_rows(const struct jl_module_header *module) {
    const uint32_t in_bytes = tensor_bytes(module, 0, module->input_count);
    const uint32_t out_bytes = tensor_bytes(module, module->input_count, module->output_count);
    uint8_t *const arena = buffers_base;
    int8_t *const in = (int8_t *)arena + ((module->arena_bytes + 15u) & ~15u);
    int8_t *const out = in + ((in_bytes + 15u) & ~15u);
    if ((uint8_t *)out + out_bytes > buffers_end) {
        leave(BAD_MODULE);
    }
    jl_infer *const entry = (jl_infer *)(module_base + module->entry_offset);
    const int rows = open_file("rows.bin", 8, MODE_READ_BINARY);
    const int outputs = open_file("out.bin", 7, MODE_WRITE_BINARY);
    uint32_t deepest = 0;
    while (transfer(SYS_READ, rows, in, in_bytes) == 0) {
        const uint32_t depth = infer(entry, arena, in, out);
        deepest = depth > deepest ? depth : deepest;
        write_all(outputs, out, out_bytes);
    }
    const int stack = open_file("stack.bin", 9, MODE_WRITE_BINARY);
    write_all(stack, &deepest, sizeof deepest);
    const uint32_t files[] = {(uint32_t)rows, (uint32_t)outputs, (uint32_t)stack};
    for (uint32_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        semihost(SYS_CLOSE, &files[f]);
    }
}

void reset(void) {
#ifdef JL_HAS_FPU
    /* CPACR: full access to CP10 and CP11, which are floating point and Helium. */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
#endif
    const struct jl_module_header *const module = (const struct jl_module_header *)module_base;
    if (module->magic != JL_MODULE_MAGIC || module->abi_version > JL_MODULE_PIPELINE_ABI_VERSION) {
        leave(BAD_MODULE);
    }
    run_rows(module);
    leave(DONE);
}
