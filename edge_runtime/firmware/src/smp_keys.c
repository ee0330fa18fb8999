#include "jl_node.h"

jl_status jl_keys_handle(struct jl_node *node, const struct jl_request *request,
                         struct jl_cbor_writer *reply) {
    if (request->command != JL_NODE_KEYS || request->operation != JL_SMP_READ) {
        return jl_state_handle(node, request, reply);
    }
    const struct jl_trusted_keys *trusted = node->port->trusted_keys;
    jl_cbor_put_key(reply, "keys");
    jl_cbor_open_array(reply);
    for (uint32_t index = 0; index < trusted->count; index++) {
        const uint8_t *hash = trusted->keys[index].hash;
        jl_cbor_put_bytes(reply, (struct jl_bytes){hash, JL_SHA256_BYTES});
    }
    jl_cbor_end(reply);
    jl_cbor_put_number(reply, "firmware", node->slots.record.firmware_counter);
    jl_cbor_put_number(reply, "model", node->slots.record.model_counter);
    return JL_OK;
}
