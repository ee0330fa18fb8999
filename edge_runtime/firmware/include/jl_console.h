/*
 * SMP's framing on a serial console: base64 lines, length, CRC-16.
 *
 * The receiver decodes byte by byte into a caller's buffer. Whatever is no frame is skipped; a new
 * frame's start always wins over a frame that was left half received.
 */
#ifndef JL_CONSOLE_H
#define JL_CONSOLE_H

#include "jl_cbor.h"

#include <stdbool.h>
#include <stdint.h>

enum jl_console_state {
    JL_CONSOLE_SKIP,          /* outside of a frame's lines */
    JL_CONSOLE_SKIP_START,    /* the first byte of a start delimiter came */
    JL_CONSOLE_SKIP_CONTINUE, /* the first byte of a continue delimiter came */
    JL_CONSOLE_LINE,          /* in a line of base64 */
    JL_CONSOLE_PADDED,        /* behind the padding: only the line's end may follow */
};

/** A receiver of frames. */
struct jl_console {
    uint8_t *buffer; /* the frame: length, message, CRC */
    uint32_t size;
    uint32_t used;
    uint32_t group;     /* characters of an unfinished group of four, 6 bits each */
    uint8_t characters; /* how many there are, 0..3 */
    uint8_t padding;    /* '=' seen in this group */
    bool is_open;       /* a frame's start was seen and nothing broke it since */
    enum jl_console_state state;
};

/** Start with a buffer for a message of `size - 4` bytes. */
void jl_console_begin(struct jl_console *console, uint8_t *buffer, uint32_t size);

/**
 * Take one received byte. True: `message` is complete and its CRC right; it lies in the buffer
 * until the next call.
 */
bool jl_console_take(struct jl_console *console, uint8_t byte, struct jl_bytes *message);

/** Sends bytes; false when the line took no more. */
typedef bool jl_console_write(const uint8_t *data, uint32_t bytes);

/**
 * Send a message of at most 65533 bytes as lines; returns the bytes of the lines that went out. The
 * rest is dropped once the line takes no more.
 */
uint32_t jl_console_send(jl_console_write *write, struct jl_bytes message);

#endif
