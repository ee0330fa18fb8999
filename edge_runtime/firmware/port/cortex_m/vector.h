/* What a vector table is made of. */
#ifndef CORTEX_M_VECTOR_H
#define CORTEX_M_VECTOR_H

#include <stdint.h>

extern uint8_t link_stack_top[];

_Noreturn void reset_handler(void);
void fault_handler(void);
void watchdog_handler(void);
void systick_handler(void);

/** An entry of the vector table. */
union vector {
    const void *address;
    void (*handler)(void);
};

enum { SYSTEM_VECTORS = 16 };

/** The system's vectors, which the boot loader and the firmware have in common. */
#define CORTEX_M_SYSTEM_VECTORS                                                                    \
    [0].address = link_stack_top, [1].handler = reset_handler,                                     \
    [2].handler = watchdog_handler,  /* NMI */                                                     \
        [3].handler = fault_handler, /* HardFault; the others escalate to it */                    \
        [4].handler = fault_handler, [5].handler = fault_handler, [6].handler = fault_handler,     \
    [7].handler = fault_handler, [11].handler = fault_handler, [12].handler = fault_handler,       \
    [14].handler = fault_handler, [15].handler = systick_handler

#endif
