#include "jl_node.h"

enum {
    /* A decision as a map, at most: heads, keys, 9 bytes for a number of 64 bits. */
    DECISION_MAP_BYTES = 96,
};

static void put_decision(struct jl_cbor_writer *reply, const struct jl_decision *decision) {
    uint32_t kept = decision->output_bytes < JL_DECISION_OUTPUT_BYTES ? decision->output_bytes
                                                                      : JL_DECISION_OUTPUT_BYTES;
    jl_cbor_open_map(reply);
    jl_cbor_put_number(reply, "seq", decision->sequence);
    jl_cbor_put_number(reply, "boot_id", decision->boot_id);
    jl_cbor_put_number(reply, "at", decision->at_ticks);
    jl_cbor_put_number(reply, "ticks", decision->run_ticks);
    jl_cbor_put_number(reply, "len", decision->output_bytes);
    jl_cbor_put_number(reply, "crc", decision->output_crc32);
    jl_cbor_put_key(reply, "out");
    jl_cbor_put_bytes(reply, (struct jl_bytes){decision->output, kept});
    jl_cbor_end(reply);
}

void jl_put_outbox(const struct jl_outbox *outbox, struct jl_cbor_writer *reply) {
    jl_cbor_put_number(reply, "first", outbox->first);
    jl_cbor_put_number(reply, "next", outbox->next);
    jl_cbor_put_number(reply, "dropped", outbox->dropped);
}

/** As many decisions as the answer holds. */
static jl_status read_outbox(const struct jl_node *node, struct jl_bytes map,
                             struct jl_cbor_writer *reply) {
    uint32_t from = 0;
    if (jl_cbor_get_uint(map, "seq", &from) == JL_CBOR_WRONG) {
        return JL_ERROR_INVALID;
    }
    jl_put_outbox(&node->outbox, reply);
    jl_cbor_put_key(reply, "records");
    jl_cbor_open_array(reply);
    struct jl_decision decision;
    while (reply->size - reply->used > DECISION_MAP_BYTES &&
           jl_outbox_find(node->port, &node->outbox, from, &decision)) {
        put_decision(reply, &decision);
        from = decision.sequence + 1;
    }
    jl_cbor_end(reply);
    return JL_OK;
}

static jl_status acknowledge(struct jl_node *node, struct jl_bytes map,
                             struct jl_cbor_writer *reply) {
    uint32_t through;
    if (jl_cbor_get_uint(map, "seq", &through) != JL_CBOR_FOUND) {
        return JL_ERROR_INVALID;
    }
    jl_status status = jl_outbox_acknowledge(node->port, &node->outbox, through);
    if (status == JL_OK) {
        jl_put_outbox(&node->outbox, reply);
    }
    return status;
}

static jl_status configure(struct jl_node *node, struct jl_bytes map) {
    struct jl_configuration configuration;
    if (jl_cbor_get_uint(map, "report_every", &configuration.report_every) != JL_CBOR_FOUND) {
        return JL_ERROR_INVALID;
    }
    if (jl_port_is_read_only(node->port)) {
        return JL_NODE_ERROR_FLASH_READ_ONLY;
    }
    jl_status status = jl_configuration_write(node->port, &configuration);
    if (status == JL_OK) {
        node->configuration = configuration;
    }
    return status;
}

jl_status jl_storage_handle(struct jl_node *node, const struct jl_request *request,
                            struct jl_cbor_writer *reply) {
    bool is_write = request->operation == JL_SMP_WRITE;
    if (request->command == JL_NODE_OUTBOX_READ && !is_write) {
        return read_outbox(node, request->map, reply);
    }
    if (request->command == JL_NODE_OUTBOX_ACKNOWLEDGE && is_write) {
        return acknowledge(node, request->map, reply);
    }
    if (request->command == JL_NODE_CONFIGURATION) {
        if (is_write) {
            return configure(node, request->map);
        }
        jl_cbor_put_number(reply, "report_every", node->configuration.report_every);
        return JL_OK;
    }
    return jl_keys_handle(node, request, reply);
}
