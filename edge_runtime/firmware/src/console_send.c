#include "jl_console.h"
#include "jl_crc.h"
#include "jl_smp_ids.h"

enum {
    /* Base64 characters of a line, in whole groups: all but the delimiter and the newline. */
    LINE_CHARACTERS = (JL_SMP_MAX_LINE_BYTES - 3) / 4 * 4,
};

/** A frame's bytes, one after the other: length, message, CRC. */
struct frame {
    struct jl_bytes message;
    uint32_t bytes;
    uint32_t at;
    uint16_t crc;
};

static uint8_t next_byte(struct frame *frame) {
    uint32_t length = frame->message.bytes + 2;
    uint32_t at = frame->at++;
    if (at < 2) {
        return (uint8_t)(at == 0 ? length >> 8 : length);
    }
    if (at < 2 + frame->message.bytes) {
        uint8_t byte = frame->message.data[at - 2];
        frame->crc = jl_crc16(frame->crc, byte);
        return byte;
    }
    return (uint8_t)(at == frame->bytes - 2 ? frame->crc >> 8 : frame->crc);
}

/** Four characters for the frame's next one to three bytes. */
static void put_group(struct frame *frame, uint8_t *characters) {
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t taken = 0;
    uint32_t group = 0;
    for (; taken < 3 && frame->at < frame->bytes; taken++) {
        group |= (uint32_t)next_byte(frame) << (16 - 8 * taken);
    }
    for (uint32_t index = 0; index < 4; index++) {
        characters[index] = index > taken ? '=' : (uint8_t)base64[group >> (18 - 6 * index) & 63u];
    }
}

uint32_t jl_console_send(jl_console_write *write, struct jl_bytes message) {
    struct frame frame = {.message = message, .bytes = message.bytes + 4};
    uint32_t sent = 0;
    while (frame.at < frame.bytes) {
        uint8_t line[JL_SMP_MAX_LINE_BYTES];
        uint32_t used = 0;
        line[used++] = sent == 0 ? JL_SMP_FRAME_START_0 : JL_SMP_FRAME_CONTINUE_0;
        line[used++] = sent == 0 ? JL_SMP_FRAME_START_1 : JL_SMP_FRAME_CONTINUE_1;
        while (used < 2 + LINE_CHARACTERS && frame.at < frame.bytes) {
            put_group(&frame, line + used);
            used += 4;
        }
        line[used++] = '\n';
        if (!write(line, used)) {
            break;
        }
        sent += used;
    }
    return sent;
}
