/*
 * How deep the stack has been: the start-up paints it, and what is painted no more was used. The
 * build holds the linker script's reserve against the bound that stack_bound.py computes.
 */
#ifndef JL_STACK_H
#define JL_STACK_H

#include "jl_port.h"

#include <stdint.h>

/** Bytes that differ: no compiler makes a call of the loop that writes them. */
#define JL_STACK_PAINT UINT32_C(0x57AC4B1D)

/** For a start-up: paint from the stack's lowest word up to the stack pointer. */
static inline void jl_stack_paint(volatile uint32_t *from, const volatile uint32_t *pointer) {
    while (from < pointer) {
        *from++ = JL_STACK_PAINT;
    }
}

/** Bytes between the deepest word that was used since the start, and the stack's end. */
uint32_t jl_stack_used_bytes(const struct jl_port *port);

#endif
