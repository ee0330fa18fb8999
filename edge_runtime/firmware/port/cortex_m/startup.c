/* Start-up: RAM as C expects it, then the program: the boot loader's or the firmware's. */
#include "cortex_m.h"
#include "jl_stack.h"
#include "vector.h"

/* Symbols of the linker script; only their addresses mean something. */
extern uint32_t link_stack_start[];
extern const uint32_t link_data_source[];
extern uint32_t link_data_start[];
extern uint32_t link_data_end[];
extern uint32_t link_bss_start[];
extern uint32_t link_bss_end[];
extern volatile uint32_t link_stopped_by[];

void cortex_m_reset(void) {
    *cortex_m_register(0xE000ED0Cu) = 0x05FA0004u; /* AIRCR: key, SYSRESETREQ */
    for (;;) {
    }
}

/* "JLS", then what stopped the board, for the next start; with the power RAM loses it. */
#define STOP_MAGIC UINT32_C(0x4A4C5300)

/* Code of a module can fault. The board starts afresh, with the model that served before. */
void fault_handler(void) {
    *link_stopped_by = STOP_MAGIC | JL_STOP_FAULT;
    cortex_m_reset();
}

void watchdog_handler(void) {
    *link_stopped_by = STOP_MAGIC | JL_STOP_WATCHDOG;
    cortex_m_reset();
}

static enum jl_stop stopped_by;

enum jl_stop cortex_m_stopped_by(void) {
    return stopped_by;
}

void cortex_m_forget_stop(void) {
    *link_stopped_by = 0;
}

static void read_stop(void) {
    uint32_t left = *link_stopped_by;
    if (left == (STOP_MAGIC | JL_STOP_FAULT) || left == (STOP_MAGIC | JL_STOP_WATCHDOG)) {
        stopped_by = (enum jl_stop)(left & ~STOP_MAGIC);
    }
}

/** A function of its own: nothing of it, its prologue included, may run before the FPU does. */
__attribute__((noinline)) static _Noreturn void start(void) {
    const uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    jl_stack_paint(link_stack_start, pointer);
    const uint32_t *source = link_data_source;
    /* Each pair of symbols is the two ends of one area. */
    // cppcheck-suppress comparePointers
    for (uint32_t *target = link_data_start; target < link_data_end; target++) {
        *target = *source++;
    }
    // cppcheck-suppress comparePointers
    for (uint32_t *target = link_bss_start; target < link_bss_end; target++) {
        *target = 0;
    }
    read_stop();
    cortex_m_run();
}

_Noreturn void reset_handler(void) {
    *cortex_m_register(0xE000ED88u) |= 0xFu << 20; /* CPACR: the FPU, where there is one */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    start();
}

jl_infer *cortex_m_module_entry(const uint8_t *module, uint32_t entry_offset) {
    /* No caches that hold code back on these cores; what was stored is complete before it is
     * fetched. */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    // NOLINTNEXTLINE(performance-no-int-to-ptr): bytes become code here
    return (jl_infer *)((uintptr_t)module + entry_offset);
}

void cortex_m_start_firmware(const uint8_t *vectors) {
    /*
     * Interrupts as after a reset. A core that QEMU resets can keep a request from before, and then
     * no WFI sleeps, until something writes to the interrupt controller.
     */
    *cortex_m_register(0xE000E180u) = UINT32_MAX;                   /* NVIC_ICER0 */
    *cortex_m_register(0xE000ED08u) = (uint32_t)(uintptr_t)vectors; /* VTOR */
    __asm__ volatile("dsb\n\tisb\n\t"
                     "ldm %0, {r1, r2}\n\t"
                     "msr msp, r1\n\t"
                     "bx r2" ::"r"(vectors)
                     : "r1", "r2", "memory");
}
