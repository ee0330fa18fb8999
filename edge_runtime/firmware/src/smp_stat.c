#include "jl_memory.h"
#include "jl_node.h"

static const char ledger_name[] = "ledger";
static const char outbox_name[] = "outbox";

static bool is_named(struct jl_bytes text, const char *name) {
    return text.bytes == jl_text_bytes(name) && memcmp(text.data, name, text.bytes) == 0;
}

static jl_status show(struct jl_node *node, struct jl_bytes map, struct jl_cbor_writer *reply) {
    struct jl_bytes name;
    if (jl_cbor_get_text(map, "name", &name) != JL_CBOR_FOUND) {
        return JL_ERROR_INVALID;
    }
    bool is_ledger = is_named(name, ledger_name);
    if (!is_ledger && !is_named(name, outbox_name)) {
        return JL_ERROR_NOT_FOUND;
    }
    jl_cbor_put_key(reply, "name");
    jl_cbor_put_text(reply, name);
    jl_cbor_put_key(reply, "fields");
    jl_cbor_open_map(reply);
    if (is_ledger) {
        jl_put_ledger(node, reply);
    } else {
        jl_put_outbox(&node->outbox, reply);
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
    jl_cbor_end(reply);
    return JL_OK;
}
