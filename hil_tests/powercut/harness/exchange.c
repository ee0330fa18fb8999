#include "exchange.h"
#include "board.h"
#include "engine.h"

#include <string.h>

static uint8_t message[512];
static struct jl_cbor_writer writer;

void request_open(void) {
    writer = (struct jl_cbor_writer){
        .buffer = message + JL_SMP_HEADER_BYTES,
        .size = sizeof message - JL_SMP_HEADER_BYTES,
    };
    jl_cbor_open_map(&writer);
}

void request_number(const char *key, uint64_t value) {
    jl_cbor_put_number(&writer, key, value);
}

void request_bool(const char *key, bool value) {
    jl_cbor_put_key(&writer, key);
    jl_cbor_put_bool(&writer, value);
}

void request_bytes(const char *key, const void *data, uint32_t bytes) {
    jl_cbor_put_key(&writer, key);
    jl_cbor_put_bytes(&writer, (struct jl_bytes){data, bytes});
}

struct jl_bytes request_send(uint8_t operation, uint16_t group, uint8_t command) {
    jl_cbor_end(&writer);
    const uint8_t header[JL_SMP_HEADER_BYTES] = {
        (uint8_t)(JL_SMP_VERSION_2 << 3 | operation),
        0,
        (uint8_t)(writer.used >> 8),
        (uint8_t)writer.used,
        (uint8_t)(group >> 8),
        (uint8_t)group,
        0,
        command,
    };
    memcpy(message, header, sizeof header);
    struct jl_bytes request = {message, JL_SMP_HEADER_BYTES + writer.used};
    uint32_t bytes = jl_smp_answer(&board_node, request);
    board_rest();
    struct jl_bytes reply = {board_node.reply + JL_SMP_HEADER_BYTES, bytes - JL_SMP_HEADER_BYTES};
    if (bytes <= JL_SMP_HEADER_BYTES || !jl_cbor_is_map(reply)) {
        violate("the board answered group %u command %u with no map", group, command);
    }
    return reply;
}

/** Behind the item that starts at `at`, whatever it holds. */
static const uint8_t *skip_item(const uint8_t *at) {
    uint32_t depth = 0;
    do {
        uint8_t head = *at++;
        uint8_t major = head >> 5;
        if (head == 0xFF) {
            depth--;
        } else if ((head & 31u) == 31) {
            depth++;
        } else {
            uint32_t length = head & 31u;
            uint32_t more = length < 24 ? 0 : 1u << (length - 24);
            for (length = more > 0 ? 0 : length; more > 0; more--) {
                length = length << 8 | *at++;
            }
            at += major == 2 || major == 3 ? length : 0;
        }
    } while (depth > 0);
    return at;
}

bool reply_array(struct jl_bytes reply, const char *key, struct jl_bytes *array) {
    const uint8_t *at = reply.data + 1;
    const uint8_t *end = reply.data + reply.bytes - 1;
    uint32_t key_bytes = (uint32_t)strlen(key);
    while (at < end) {
        const uint8_t *value = skip_item(at);
        bool is_wanted =
            (uint32_t)(value - at) == key_bytes + 1 && memcmp(at + 1, key, key_bytes) == 0;
        at = skip_item(value);
        if (is_wanted) {
            *array = (struct jl_bytes){value + 1, (uint32_t)(at - value) - 2};
            return true;
        }
    }
    return false;
}

bool reply_map(struct jl_bytes reply, const char *key, struct jl_bytes *map) {
    struct jl_bytes items;
    if (!reply_array(reply, key, &items)) {
        return false;
    }
    *map = (struct jl_bytes){items.data - 1, items.bytes + 2}; /* its head, and its end */
    return true;
}

bool reply_next(struct jl_bytes *array, struct jl_bytes *map) {
    if (array->bytes == 0) {
        return false;
    }
    const uint8_t *end = skip_item(array->data);
    *map = (struct jl_bytes){array->data, (uint32_t)(end - array->data)};
    array->data = end;
    array->bytes -= map->bytes;
    return true;
}

bool reply_is_ok(struct jl_bytes reply) {
    uint32_t code = 0;
    (void)jl_cbor_get_uint(reply, "rc", &code);
    bool is_ok = code == 0 && jl_cbor_get_uint(reply, "err", &code) == JL_CBOR_ABSENT;
    if (!is_ok && flash_has_failed()) {
        lose_power(); /* it said so; whether it keeps its promises is seen at the next start */
    }
    return is_ok;
}

jl_status reply_status(struct jl_bytes reply) {
    uint32_t code = 0;
    uint32_t group = 0;
    struct jl_bytes error;
    if (!reply_map(reply, "err", &error)) {
        (void)jl_cbor_get_uint(reply, "rc", &code);
        return (jl_status)code;
    }
    (void)jl_cbor_get_uint(error, "group", &group);
    (void)jl_cbor_get_uint(error, "rc", &code);
    return (jl_status)(group << 16 | code);
}

uint32_t reply_number(struct jl_bytes reply, const char *key) {
    uint32_t value = 0;
    if (jl_cbor_get_uint(reply, key, &value) != JL_CBOR_FOUND) {
        if (flash_has_failed()) {
            lose_power(); /* a decision that is not kept has no sequence */
        }
        violate("an answer without \"%s\"", key);
    }
    return value;
}
