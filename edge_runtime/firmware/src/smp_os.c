#include "jl_node.h"

static jl_status echo(const struct jl_request *request, struct jl_cbor_writer *reply) {
    struct jl_bytes text;
    if (jl_cbor_get_text(request->map, "d", &text) != JL_CBOR_FOUND) {
        return JL_ERROR_INVALID;
    }
    jl_cbor_put_key(reply, "r");
    jl_cbor_put_text(reply, text);
    return JL_OK;
}

static jl_status parameters(struct jl_cbor_writer *reply) {
    jl_cbor_put_number(reply, "buf_size", JL_BUFFER_BYTES);
    jl_cbor_put_number(reply, "buf_count", 1);
    return JL_OK;
}

jl_status jl_os_handle(struct jl_node *node, const struct jl_request *request,
                       struct jl_cbor_writer *reply) {
    bool is_write = request->operation == JL_SMP_WRITE;
    if (request->command == JL_OS_ECHO) {
        return echo(request, reply);
    }
    if (request->command == JL_OS_PARAMETERS && !is_write) {
        return parameters(reply);
    }
    if (request->command == JL_OS_RESET && is_write) {
        node->is_reset_asked = true;
        return JL_OK;
    }
    return JL_ERROR_NOT_SUPPORTED;
}
