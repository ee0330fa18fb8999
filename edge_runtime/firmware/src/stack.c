#include "jl_stack.h"

uint32_t jl_stack_used_bytes(const struct jl_port *port) {
    const volatile uint32_t *at = port->stack;
    while (at < port->stack_end && *at == JL_STACK_PAINT) {
        at++;
    }
    return (uint32_t)((uintptr_t)port->stack_end - (uintptr_t)at);
}
