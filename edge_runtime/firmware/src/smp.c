#include "jl_node.h"

/** Error codes that clients of version 1 know, for those of the groups. */
static uint32_t version_1_code(jl_status status) {
    switch (status) {
    case JL_NODE_ERROR_NO_MODEL:
        return JL_ERROR_NOT_FOUND;
    case JL_IMAGE_ERROR_NO_FREE_SLOT:
    case JL_IMAGE_ERROR_TOO_LARGE:
    case JL_NODE_ERROR_ARENA_TOO_LARGE:
    case JL_NODE_ERROR_STACK_TOO_LARGE:
        return JL_ERROR_NO_MEMORY;
    case JL_IMAGE_ERROR_INVALID_HASH:
    case JL_NODE_ERROR_HASH_MISMATCH:
        return JL_ERROR_CORRUPT;
    case JL_IMAGE_ERROR_FLASH_WRITE_FAILED:
    case JL_IMAGE_ERROR_FLASH_ERASE_FAILED:
    case JL_NODE_ERROR_INFERENCE_FAILED:
        return JL_ERROR_UNKNOWN;
    default:
        return JL_ERROR_INVALID;
    }
}

void jl_put_status(struct jl_cbor_writer *writer, const char *key, jl_status status) {
    jl_cbor_put_key(writer, key);
    jl_cbor_open_map(writer);
    jl_cbor_put_number(writer, "group", (uint32_t)status >> 16);
    jl_cbor_put_number(writer, "rc", (uint32_t)status & 0xFFFFu);
    jl_cbor_end(writer);
}

/** {"rc"} for the protocol's own codes and in version 1, else {"err": {"group", "rc"}}. */
static void put_error(struct jl_cbor_writer *writer, jl_status status, uint8_t version) {
    if ((uint32_t)status >> 16 == 0) {
        jl_cbor_put_number(writer, "rc", (uint32_t)status);
    } else if (version == JL_SMP_VERSION_1) {
        jl_cbor_put_number(writer, "rc", version_1_code(status));
    } else {
        jl_put_status(writer, "err", status);
    }
}

static jl_status dispatch(struct jl_node *node, const struct jl_request *request,
                          struct jl_cbor_writer *reply) {
    switch (request->group) {
    case JL_GROUP_OS:
        return jl_os_handle(node, request, reply);
    case JL_GROUP_IMAGE:
        return jl_images_handle(node, request, reply);
    case JL_GROUP_STAT:
        return jl_stat_handle(node, request, reply);
    case JL_GROUP_NODE:
        return jl_inference_handle(node, request, reply);
    default:
        return JL_ERROR_NOT_SUPPORTED;
    }
}

/** The length that the header states, and the map that it counts. */
static jl_status read_map(struct jl_request *request, struct jl_bytes message) {
    uint32_t length = (uint32_t)message.data[2] << 8 | message.data[3];
    request->map.data = message.data + JL_SMP_HEADER_BYTES;
    request->map.bytes = message.bytes - JL_SMP_HEADER_BYTES;
    if (request->version > JL_SMP_VERSION_2) {
        return JL_ERROR_TOO_NEW;
    }
    return request->map.bytes == length && jl_cbor_is_map(request->map) ? JL_OK : JL_ERROR_INVALID;
}

static void put_header(uint8_t *header, const struct jl_request *request, uint32_t map_bytes) {
    uint8_t version =
        request->version > JL_SMP_VERSION_2 ? (uint8_t)JL_SMP_VERSION_2 : request->version;
    header[0] = (uint8_t)(version << 3 | (request->operation + 1));
    header[1] = 0;
    header[2] = (uint8_t)(map_bytes >> 8);
    header[3] = (uint8_t)map_bytes;
    header[4] = (uint8_t)(request->group >> 8);
    header[5] = (uint8_t)request->group;
    header[6] = request->sequence;
    header[7] = request->command;
}

uint32_t jl_smp_answer(struct jl_node *node, struct jl_bytes message) {
    if (message.bytes < JL_SMP_HEADER_BYTES) {
        return 0; /* nobody to answer */
    }
    struct jl_request request = {
        .operation = message.data[0] & 7u,
        .version = message.data[0] >> 3 & 3u,
        .group = (uint16_t)(message.data[4] << 8 | message.data[5]),
        .sequence = message.data[6],
        .command = message.data[7],
    };
    if (request.operation != JL_SMP_READ && request.operation != JL_SMP_WRITE) {
        return 0; /* an answer: answering it could go on for ever */
    }
    struct jl_cbor_writer empty = {
        .buffer = node->reply + JL_SMP_HEADER_BYTES,
        .size = sizeof node->reply - JL_SMP_HEADER_BYTES,
    };
    struct jl_cbor_writer writer = empty;
    jl_cbor_open_map(&writer);
    jl_status status = read_map(&request, message);
    if (status == JL_OK) {
        status = dispatch(node, &request, &writer);
    }
    jl_cbor_end(&writer);
    if (status == JL_OK && writer.is_full) {
        status = JL_ERROR_TOO_LARGE;
    }
    if (status != JL_OK) {
        writer = empty;
        jl_cbor_open_map(&writer);
        put_error(&writer, status, request.version);
        jl_cbor_end(&writer);
    }
    put_header(node->reply, &request, writer.used);
    return JL_SMP_HEADER_BYTES + writer.used;
}
