#include "jl_crc.h"
#include "jl_memory.h"
#include "jl_node.h"

enum {
    /* The key "out", the head of its bytes (at most 64 KiB), and the end of the map. */
    OUTPUT_OVERHEAD = 4 + 3 + 1,
};

/** As much of the output from `offset` on as the answer holds. */
static void put_output(const struct jl_node *node, uint32_t offset, struct jl_cbor_writer *reply) {
    uint32_t bytes = node->output_ready - offset;
    uint32_t room = reply->size - reply->used - OUTPUT_OVERHEAD;
    const uint8_t *output = (const uint8_t *)node->slots.model.output + offset;
    jl_cbor_put_key(reply, "out");
    jl_cbor_put_bytes(reply, (struct jl_bytes){output, bytes < room ? bytes : room});
}

static void enter(struct jl_node *node, enum jl_state state) {
    jl_ledger_enter(&node->ledger, state, node->port->clock_ticks());
}

/** Put the decision into the outbox, where the configuration wants it there. */
static void report(struct jl_node *node, uint64_t run_ticks, struct jl_cbor_writer *reply) {
    uint32_t every = node->configuration.report_every;
    if (every == 0 || node->ledger.decisions % every != 0) {
        return;
    }
    const struct jl_model *model = &node->slots.model;
    struct jl_decision decision = {
        .boot_id = node->slots.record.boot_id,
        .at_ticks = node->port->clock_ticks(),
        .run_ticks = run_ticks,
        .output_bytes = model->output_bytes,
        .output_crc32 = jl_crc32(model->output, model->output_bytes),
    };
    uint32_t kept =
        model->output_bytes < sizeof decision.output ? model->output_bytes : sizeof decision.output;
    memcpy(decision.output, model->output, kept);
    /* A decision counts even where flash is worn out: then the answer has no sequence. */
    if (jl_outbox_append(node->port, &node->outbox, &decision) == JL_OK) {
        jl_cbor_put_number(reply, "seq", decision.sequence);
    }
}

static jl_status run(struct jl_node *node, struct jl_cbor_writer *reply) {
    uint64_t ticks;
    enter(node, JL_STATE_RUN);
    jl_status status = jl_model_run(node->port, &node->slots.model, &ticks);
    enter(node, JL_STATE_LINK);
    node->input_received = 0;
    if (status != JL_OK) {
        return status;
    }
    node->output_ready = node->slots.model.output_bytes;
    node->ledger.decisions++;
    jl_cbor_put_number(reply, "len", node->output_ready);
    jl_cbor_put_number(reply, "ticks", ticks);
    report(node, ticks, reply);
    put_output(node, 0, reply);
    return JL_OK;
}

static jl_status infer(struct jl_node *node, struct jl_bytes map, struct jl_cbor_writer *reply) {
    uint32_t offset = 0;
    struct jl_bytes input;
    if (jl_cbor_get_bytes(map, "in", &input) != JL_CBOR_FOUND ||
        jl_cbor_get_uint(map, "off", &offset) == JL_CBOR_WRONG) {
        return JL_ERROR_INVALID;
    }
    if (node->slots.active == JL_NO_SLOT) {
        return JL_NODE_ERROR_NO_MODEL;
    }
    const struct jl_model *model = &node->slots.model;
    if (offset == 0) {
        node->input_received = 0;
    }
    /* An input in pieces comes in order, and no piece is empty: it would never end. */
    if (offset != node->input_received || input.bytes == 0 ||
        input.bytes > model->input_bytes - offset) {
        return JL_NODE_ERROR_INPUT_SIZE;
    }
    /* The model may write where its output lies before it is complete. */
    node->output_ready = 0;
    memcpy(model->input + offset, input.data, input.bytes);
    node->input_received = offset + input.bytes;
    if (node->input_received == model->input_bytes) {
        return run(node, reply);
    }
    jl_cbor_put_number(reply, "off", node->input_received);
    return JL_OK;
}

static jl_status read_output(const struct jl_node *node, struct jl_bytes map,
                             struct jl_cbor_writer *reply) {
    uint32_t offset;
    if (jl_cbor_get_uint(map, "off", &offset) != JL_CBOR_FOUND) {
        return JL_ERROR_INVALID;
    }
    if (offset >= node->output_ready) {
        return JL_ERROR_NOT_FOUND;
    }
    jl_cbor_put_number(reply, "off", offset);
    put_output(node, offset, reply);
    return JL_OK;
}

void jl_put_ledger(struct jl_node *node, struct jl_cbor_writer *reply) {
    enter(node, JL_STATE_LINK); /* count what has passed of this state */
    const struct jl_ledger *ledger = &node->ledger;
    jl_cbor_put_number(reply, "wake_ticks", ledger->ticks[JL_STATE_WAKE]);
    jl_cbor_put_number(reply, "run_ticks", ledger->ticks[JL_STATE_RUN]);
    jl_cbor_put_number(reply, "link_ticks", ledger->ticks[JL_STATE_LINK]);
    jl_cbor_put_number(reply, "sleep_ticks", ledger->ticks[JL_STATE_SLEEP]);
    jl_cbor_put_number(reply, "decisions", ledger->decisions);
    jl_cbor_put_number(reply, "bytes_in", ledger->bytes_in);
    jl_cbor_put_number(reply, "bytes_out", ledger->bytes_out);
    jl_cbor_put_number(reply, "ticks_hz", node->port->ticks_hz);
    jl_cbor_put_number(reply, "boot_id", node->slots.record.boot_id);
}

jl_status jl_inference_handle(struct jl_node *node, const struct jl_request *request,
                              struct jl_cbor_writer *reply) {
    bool is_write = request->operation == JL_SMP_WRITE;
    if (request->command == JL_NODE_INFER) {
        return is_write ? infer(node, request->map, reply) : read_output(node, request->map, reply);
    }
    if (request->command == JL_NODE_LEDGER && !is_write) {
        jl_put_ledger(node, reply);
        return JL_OK;
    }
    return jl_storage_handle(node, request, reply);
}
