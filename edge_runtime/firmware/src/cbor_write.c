#include "jl_cbor.h"
#include "jl_memory.h"

enum {
    MAJOR_UINT = 0x00,
    MAJOR_BYTES = 0x40,
    MAJOR_TEXT = 0x60,
    OPEN_ARRAY = 0x9F,
    OPEN_MAP = 0xBF,
    FALSE_ITEM = 0xF4,
    TRUE_ITEM = 0xF5,
    BREAK = 0xFF,
};

static void put_raw(struct jl_cbor_writer *writer, const uint8_t *data, uint32_t bytes) {
    if (writer->is_full || bytes > writer->size - writer->used) {
        writer->is_full = true;
        return;
    }
    if (bytes > 0) {
        memcpy(writer->buffer + writer->used, data, bytes);
        writer->used += bytes;
    }
}

static void put_byte(struct jl_cbor_writer *writer, uint8_t byte) {
    put_raw(writer, &byte, 1);
}

static void put_head(struct jl_cbor_writer *writer, uint8_t major, uint64_t argument) {
    if (argument < 24) {
        put_byte(writer, (uint8_t)(major | argument));
        return;
    }
    /* The shortest form: 1, 2, 4 or 8 bytes. */
    uint8_t power = 0;
    while (power < 3 && argument >> (8u << power) != 0) {
        power++;
    }
    uint8_t head[9] = {(uint8_t)(major | (24 + power))};
    uint32_t bytes = 1u << power;
    for (uint32_t index = 0; index < bytes; index++) {
        head[1 + index] = (uint8_t)(argument >> (8 * (bytes - 1 - index)));
    }
    put_raw(writer, head, 1 + bytes);
}

void jl_cbor_open_map(struct jl_cbor_writer *writer) {
    put_byte(writer, OPEN_MAP);
}

void jl_cbor_open_array(struct jl_cbor_writer *writer) {
    put_byte(writer, OPEN_ARRAY);
}

void jl_cbor_end(struct jl_cbor_writer *writer) {
    put_byte(writer, BREAK);
}

void jl_cbor_put_uint(struct jl_cbor_writer *writer, uint64_t value) {
    put_head(writer, MAJOR_UINT, value);
}

void jl_cbor_put_bool(struct jl_cbor_writer *writer, bool value) {
    put_byte(writer, value ? TRUE_ITEM : FALSE_ITEM);
}

void jl_cbor_put_bytes(struct jl_cbor_writer *writer, struct jl_bytes value) {
    put_head(writer, MAJOR_BYTES, value.bytes);
    put_raw(writer, value.data, value.bytes);
}

void jl_cbor_put_text(struct jl_cbor_writer *writer, struct jl_bytes value) {
    put_head(writer, MAJOR_TEXT, value.bytes);
    put_raw(writer, value.data, value.bytes);
}

void jl_cbor_put_key(struct jl_cbor_writer *writer, const char *key) {
    jl_cbor_put_text(writer, (struct jl_bytes){(const uint8_t *)key, jl_text_bytes(key)});
}

void jl_cbor_put_number(struct jl_cbor_writer *writer, const char *key, uint64_t value) {
    jl_cbor_put_key(writer, key);
    jl_cbor_put_uint(writer, value);
}
