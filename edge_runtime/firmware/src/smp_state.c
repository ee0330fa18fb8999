#include "jl_node.h"

static jl_status rollback(const struct jl_node *node, struct jl_cbor_writer *reply) {
    const struct jl_record *record = &node->slots.record;
    jl_put_status(reply, "firmware", jl_reason_status(record->firmware_reason));
    jl_put_status(reply, "model", jl_reason_status(record->model_reason));
    jl_cbor_put_key(reply, "trial");
    jl_cbor_put_bool(reply, jl_firmware_is_on_trial(record));
    jl_cbor_put_key(reply, "model_trial");
    jl_cbor_put_bool(reply, jl_slots_is_on_trial(&node->slots));
    return JL_OK;
}

static jl_status self_test(struct jl_node *node, struct jl_cbor_writer *reply) {
    if (node->slots.active == JL_NO_SLOT) {
        return JL_NODE_ERROR_NO_MODEL;
    }
    /* It runs in the arena, where an input may wait. */
    node->input_received = 0;
    node->output_ready = 0;
    uint64_t begin = node->port->clock_ticks();
    jl_status status = jl_model_self_test(node->port, &node->slots.model);
    jl_cbor_put_number(reply, "ticks", node->port->clock_ticks() - begin);
    return status;
}

jl_status jl_state_handle(struct jl_node *node, const struct jl_request *request,
                          struct jl_cbor_writer *reply) {
    bool is_write = request->operation == JL_SMP_WRITE;
    if (request->command == JL_NODE_ROLLBACK && !is_write) {
        return rollback(node, reply);
    }
    if (request->command == JL_NODE_SELF_TEST && is_write) {
        return self_test(node, reply);
    }
    return JL_ERROR_NOT_SUPPORTED;
}
