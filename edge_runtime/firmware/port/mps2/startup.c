/* Vector table and start-up: RAM as C expects it, then the firmware. */
#include "mps2.h"

/* Symbols of the linker script; only their addresses mean something. */
extern uint8_t link_stack_top[];
extern const uint32_t link_data_source[];
extern uint32_t link_data_start[];
extern uint32_t link_data_end[];
extern uint32_t link_bss_start[];
extern uint32_t link_bss_end[];

_Noreturn void reset_handler(void);
void fault_handler(void);
void systick_handler(void);
void uart0_receive_handler(void);
void timer0_handler(void);

void mps2_reset(void) {
    *mps2_register(0xE000ED0Cu) = 0x05FA0004u; /* AIRCR: key, SYSRESETREQ */
    for (;;) {
    }
}

/* Code of a module can fault. The board starts afresh, with the model that served before. */
void fault_handler(void) {
    mps2_reset();
}

/** A function of its own: nothing of it, its prologue included, may run before the FPU does. */
__attribute__((noinline)) static _Noreturn void start(void) {
    const uint32_t *source = link_data_source;
    for (uint32_t *target = link_data_start; target < link_data_end; target++) {
        *target = *source++;
    }
    for (uint32_t *target = link_bss_start; target < link_bss_end; target++) {
        *target = 0;
    }
    mps2_clock_start();
    mps2_uart_start();
    jl_firmware_run(&mps2_board);
}

_Noreturn void reset_handler(void) {
    *mps2_register(0xE000ED88u) |= 0xFu << 20; /* CPACR: the FPU, where there is one */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    start();
}

jl_infer *mps2_module_entry(const uint8_t *module, uint32_t entry_offset) {
    /* No caches on these boards; what was stored is complete before it is fetched. */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    return (jl_infer *)((uintptr_t)module + entry_offset);
}

/** An entry of the vector table. */
union vector {
    const uint8_t *stack_top;
    void (*handler)(void);
};

enum { SYSTEM_VECTORS = 16 };

__attribute__((section(".vectors"),
               used)) static const union vector vectors[SYSTEM_VECTORS + MPS2_IRQS] = {
    [0].stack_top = link_stack_top,
    [1].handler = reset_handler,
    [2].handler = fault_handler, /* NMI */
    [3].handler = fault_handler, /* HardFault; the others escalate to it */
    [4].handler = fault_handler,
    [5].handler = fault_handler,
    [6].handler = fault_handler,
    [11].handler = fault_handler, /* SVC: never called */
    [12].handler = fault_handler,
    [14].handler = fault_handler,
    [15].handler = systick_handler,
    [SYSTEM_VECTORS + MPS2_IRQ_UART0_RECEIVE].handler = uart0_receive_handler,
    [SYSTEM_VECTORS + MPS2_IRQ_TIMER0].handler = timer0_handler,
};
