#include "jl_console.h"
#include "jl_crc.h"
#include "jl_smp_ids.h"

enum {
    LENGTH_BYTES = 2,
    CRC_BYTES = 2,
    NOT_BASE64 = 0xFF,
};

/* What is received goes into the buffer: it cannot be const. */
// NOLINTNEXTLINE(readability-non-const-parameter)
void jl_console_begin(struct jl_console *console, uint8_t *buffer, uint32_t size) {
    *console = (struct jl_console){.buffer = buffer, .size = size, .state = JL_CONSOLE_SKIP};
}

static uint8_t base64_value(uint8_t character) {
    if (character >= 'A' && character <= 'Z') {
        return (uint8_t)(character - 'A');
    }
    if (character >= 'a' && character <= 'z') {
        return (uint8_t)(character - 'a' + 26);
    }
    if (character >= '0' && character <= '9') {
        return (uint8_t)(character - '0' + 52);
    }
    if (character == '+') {
        return 62;
    }
    return character == '/' ? 63 : NOT_BASE64;
}

static void open_line(struct jl_console *console) {
    console->group = 0;
    console->characters = 0;
    console->padding = 0;
    console->state = JL_CONSOLE_LINE;
}

/** The frame cannot be completed any more: wait for the next one's start. */
static void drop_frame(struct jl_console *console) {
    console->is_open = false;
    console->state = JL_CONSOLE_SKIP;
}

/** Four characters are together: one to three bytes. */
static void store_group(struct jl_console *console) {
    uint32_t bytes = 3u - console->padding;
    if (bytes > console->size - console->used) {
        drop_frame(console);
        return;
    }
    for (uint32_t index = 0; index < bytes; index++) {
        console->buffer[console->used++] = (uint8_t)(console->group >> (16 - 8 * index));
    }
    console->group = 0;
    console->characters = 0;
    if (console->padding > 0) {
        console->state = JL_CONSOLE_PADDED;
    }
}

static void take_character(struct jl_console *console, uint8_t character) {
    uint8_t value = base64_value(character);
    bool is_padding = character == '=' && console->characters >= 2;
    if (!is_padding && (value == NOT_BASE64 || console->padding > 0)) {
        drop_frame(console);
        return;
    }
    console->padding = (uint8_t)(console->padding + (is_padding ? 1 : 0));
    console->group = console->group << 6 | (is_padding ? 0u : value);
    console->characters++;
    if (console->characters == 4) {
        store_group(console);
    }
}

/** A line ended: true when it completed a frame whose CRC is right. */
static bool end_line(struct jl_console *console, struct jl_bytes *message) {
    console->state = JL_CONSOLE_SKIP;
    if (console->characters != 0) {
        drop_frame(console);
        return false;
    }
    if (console->used < LENGTH_BYTES) {
        return false;
    }
    uint32_t length = (uint32_t)console->buffer[0] << 8 | console->buffer[1];
    uint32_t received = console->used - LENGTH_BYTES;
    if (received < length && length <= console->size - LENGTH_BYTES) {
        return false; /* the next line goes on */
    }
    drop_frame(console);
    if (received != length || length < CRC_BYTES) {
        return false;
    }
    uint16_t crc = 0;
    for (uint32_t index = 0; index < length; index++) {
        crc = jl_crc16(crc, console->buffer[LENGTH_BYTES + index]);
    }
    *message = (struct jl_bytes){console->buffer + LENGTH_BYTES, length - CRC_BYTES};
    return crc == 0; /* over a message and its CRC */
}

/** The two bytes that start a line are no base64, so they count wherever they come. */
static bool take_delimiter(struct jl_console *console, uint8_t byte) {
    if (byte == JL_SMP_FRAME_START_0 || byte == JL_SMP_FRAME_CONTINUE_0) {
        if (console->state == JL_CONSOLE_LINE || console->state == JL_CONSOLE_PADDED) {
            drop_frame(console); /* a line that was never ended */
        }
        console->state =
            byte == JL_SMP_FRAME_START_0 ? JL_CONSOLE_SKIP_START : JL_CONSOLE_SKIP_CONTINUE;
        return true;
    }
    if (console->state == JL_CONSOLE_SKIP_START && byte == JL_SMP_FRAME_START_1) {
        console->used = 0;
        console->is_open = true;
        open_line(console);
        return true;
    }
    if (console->state == JL_CONSOLE_SKIP_CONTINUE && byte == JL_SMP_FRAME_CONTINUE_1 &&
        console->is_open) {
        open_line(console);
        return true;
    }
    return false;
}

bool jl_console_take(struct jl_console *console, uint8_t byte, struct jl_bytes *message) {
    if (take_delimiter(console, byte)) {
        return false;
    }
    switch (console->state) {
    case JL_CONSOLE_LINE:
    case JL_CONSOLE_PADDED:
        if (byte == '\n') {
            return end_line(console, message);
        }
        if (byte == '\r') {
            return false; /* some terminals send both */
        }
        if (console->state == JL_CONSOLE_PADDED) {
            drop_frame(console);
        } else {
            take_character(console, byte);
        }
        return false;
    default:
        console->state = JL_CONSOLE_SKIP;
        return false;
    }
}
