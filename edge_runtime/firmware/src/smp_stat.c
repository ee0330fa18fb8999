#include "jl_memory.h"
#include "jl_node.h"
#include "jl_stack.h"

static const char ledger_name[] = "ledger";
static const char outbox_name[] = "outbox";
static const char board_name[] = "board";
static const char stack_name[] = "stack";

static bool is_named(struct jl_bytes text, const char *name) {
    return text.bytes == jl_text_bytes(name) && memcmp(text.data, name, text.bytes) == 0;
}

static void put_board(const struct jl_port *port, struct jl_cbor_writer *reply) {
    jl_cbor_put_number(reply, "clock", port->clock);
    jl_cbor_put_number(reply, "clock_hz", port->ticks_hz);
    jl_cbor_put_number(reply, "read_only", jl_port_is_read_only(port));
}

static void put_stack(const struct jl_port *port, struct jl_cbor_writer *reply) {
    uintptr_t bytes = (uintptr_t)port->stack_end - (uintptr_t)port->stack;
    jl_cbor_put_number(reply, "used_bytes", jl_stack_used_bytes(port));
    jl_cbor_put_number(reply, "reserved_bytes", bytes);
}

static jl_status show(struct jl_node *node, struct jl_bytes map, struct jl_cbor_writer *reply) {
    struct jl_bytes name;
    if (jl_cbor_get_text(map, "name", &name) != JL_CBOR_FOUND) {
        return JL_ERROR_INVALID;
    }
    jl_cbor_put_key(reply, "name");
    jl_cbor_put_text(reply, name);
    jl_cbor_put_key(reply, "fields");
    jl_cbor_open_map(reply);
    if (is_named(name, ledger_name)) {
        jl_put_ledger(node, reply);
    } else if (is_named(name, outbox_name)) {
        jl_put_outbox(&node->outbox, reply);
    } else if (is_named(name, board_name)) {
        put_board(node->port, reply);
    } else if (is_named(name, stack_name) && node->port->stack != NULL) {
        put_stack(node->port, reply);
    } else {
        return JL_ERROR_NOT_FOUND; /* what was written is dropped */
    }
    jl_cbor_end(reply);
    return JL_OK;
}

jl_status jl_stat_handle(struct jl_node *node, const struct jl_request *request,
                         struct jl_cbor_writer *reply) {
    if (request->operation != JL_SMP_READ) {
        return JL_ERROR_NOT_SUPPORTED;
    }
    if (request->command == JL_STAT_SHOW) {
        return show(node, request->map, reply);
    }
    if (request->command != JL_STAT_LIST) {
        return JL_ERROR_NOT_SUPPORTED;
    }
    jl_cbor_put_key(reply, "stat_list");
    jl_cbor_open_array(reply);
    jl_cbor_put_key(reply, ledger_name);
    jl_cbor_put_key(reply, outbox_name);
    jl_cbor_put_key(reply, board_name);
    if (node->port->stack != NULL) {
        jl_cbor_put_key(reply, stack_name);
    }
    jl_cbor_end(reply);
    return JL_OK;
}
