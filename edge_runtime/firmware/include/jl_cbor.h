/*
 * CBOR (RFC 8949), as much of it as SMP needs: one map with text keys, read without a copy and
 * without recursion, written into a caller's buffer.
 */
#ifndef JL_CBOR_H
#define JL_CBOR_H

#include <stdbool.h>
#include <stdint.h>

/** How deep items may nest; deeper input is refused. */
enum { JL_CBOR_MAX_DEPTH = 8 };

/** Bytes that somebody else owns. */
struct jl_bytes {
    const uint8_t *data;
    uint32_t bytes;
};

/** What a look-up in a map gave. */
enum jl_cbor_found {
    JL_CBOR_FOUND,
    JL_CBOR_ABSENT,
    /** The key is there with a value of another type, or one that is too large. */
    JL_CBOR_WRONG,
};

/**
 * Whether the bytes are one well-formed map, and nothing behind it. No bytes at all count as an
 * empty map: clients send that for a request without arguments. Strings of indefinite length are
 * refused.
 */
bool jl_cbor_is_map(struct jl_bytes map);

/* The look-ups take a map that jl_cbor_is_map() accepted. Of equal keys the first counts. */
enum jl_cbor_found jl_cbor_get_uint(struct jl_bytes map, const char *key, uint32_t *value);
enum jl_cbor_found jl_cbor_get_bool(struct jl_bytes map, const char *key, bool *value);
enum jl_cbor_found jl_cbor_get_bytes(struct jl_bytes map, const char *key, struct jl_bytes *value);
enum jl_cbor_found jl_cbor_get_text(struct jl_bytes map, const char *key, struct jl_bytes *value);

/** A writer; once something does not fit, nothing more is written and `is_full` stays set. */
struct jl_cbor_writer {
    uint8_t *buffer;
    uint32_t size;
    uint32_t used;
    bool is_full;
};

/** Open a map or an array; jl_cbor_end() closes it (indefinite length: no counting ahead). */
void jl_cbor_open_map(struct jl_cbor_writer *writer);
void jl_cbor_open_array(struct jl_cbor_writer *writer);
void jl_cbor_end(struct jl_cbor_writer *writer);

void jl_cbor_put_uint(struct jl_cbor_writer *writer, uint64_t value);
void jl_cbor_put_bool(struct jl_cbor_writer *writer, bool value);
void jl_cbor_put_bytes(struct jl_cbor_writer *writer, struct jl_bytes value);
/** UTF-8 is the caller's business. */
void jl_cbor_put_text(struct jl_cbor_writer *writer, struct jl_bytes value);
/** A text from a literal, as a key is. */
void jl_cbor_put_key(struct jl_cbor_writer *writer, const char *key);
/** A key and its number. */
void jl_cbor_put_number(struct jl_cbor_writer *writer, const char *key, uint64_t value);

#endif
