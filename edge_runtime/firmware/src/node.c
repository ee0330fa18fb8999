#include "jl_node.h"

/** Time from reset to here is start-up; the ledger begins in JL_STATE_WAKE. */
void jl_node_start(struct jl_node *node, const struct jl_port *port) {
    *node = (struct jl_node){.port = port};
    jl_console_begin(&node->console, node->request, sizeof node->request);
    jl_slots_boot(port, &node->slots);
    jl_outbox_boot(port, &node->outbox);
    node->configuration = jl_configuration_read(port);
}

static void enter(struct jl_node *node, enum jl_state state) {
    jl_ledger_enter(&node->ledger, state, node->port->clock_ticks());
}

static void answer(struct jl_node *node, struct jl_bytes message) {
    uint32_t bytes = jl_smp_answer(node, message);
    if (bytes > 0) {
        struct jl_bytes reply = {node->reply, bytes};
        node->ledger.bytes_out += jl_console_send(node->port->link_write, reply);
    }
    if (node->is_reset_asked) {
        node->port->reset();
        node->is_reset_asked = false; /* only a simulated board returns */
    }
}

/** Only what arrives wakes the node; in a trial, the watchdog too. */
static uint64_t next_wake(const struct jl_node *node) {
    if (!jl_firmware_is_on_trial(&node->slots.record)) {
        return JL_NEVER;
    }
    uint64_t limit = (uint64_t)node->port->ticks_hz * JL_TRIAL_LIMIT_MS / 1000;
    return node->port->clock_ticks() + limit / 2;
}

void jl_node_step(struct jl_node *node) {
    jl_firmware_keep_alive(node->port, &node->slots.record);
    uint8_t received[64];
    uint32_t count = node->port->link_read(received, sizeof received);
    if (count == 0) {
        enter(node, JL_STATE_SLEEP);
        node->port->sleep_until(next_wake(node));
        enter(node, JL_STATE_WAKE);
        return;
    }
    enter(node, JL_STATE_LINK);
    node->ledger.bytes_in += count;
    for (uint32_t index = 0; index < count; index++) {
        struct jl_bytes message;
        if (jl_console_take(&node->console, received[index], &message)) {
            answer(node, message);
        }
    }
    enter(node, JL_STATE_WAKE);
}

_Noreturn void jl_firmware_run(const struct jl_port *port) {
    static struct jl_node node;
    jl_node_start(&node, port);
    for (;;) {
        jl_node_step(&node);
    }
}
