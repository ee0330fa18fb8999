#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"

#include <string.h>

/* No whole units: the board stores what it can, and says so. */
enum { PIECE_BYTES = 250 };

/** The image that has this hash and, byte for byte, lies in this slot. */
static int32_t identify(uint32_t kind, uint32_t slot, struct jl_bytes hash) {
    bool is_model = kind == JL_SMP_IMAGE_MODEL;
    const struct jl_area *areas = is_model ? board_port.model_slots : board_port.firmware_slots;
    const uint8_t *content = flash.memory + areas[slot].offset;
    for (int32_t number = 1; number < (is_model ? (int32_t)MODELS : (int32_t)FIRMWARES); number++) {
        const struct image *image = is_model ? &models[number] : &firmwares[number][slot];
        if (hash.bytes == JL_SHA256_BYTES &&
            memcmp(hash.data, image->sha256, JL_SHA256_BYTES) == 0 &&
            memcmp(content, image->bytes, IMAGE_BYTES) == 0) {
            return number;
        }
    }
    violate("slot %u of image %u holds what nobody made", slot, kind);
}

struct listed images_list(uint32_t kind) {
    struct listed listed = {.active = NOTHING, .confirmed = NOTHING};
    struct jl_bytes images;
    struct jl_bytes map;
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_IMAGE, JL_IMAGE_STATE);
    if (!reply_array(reply, "images", &images)) {
        violate("the board does not list its images");
    }
    while (reply_next(&images, &map)) {
        bool is_active = false;
        bool is_confirmed = false;
        struct jl_bytes hash = {0};
        (void)jl_cbor_get_bool(map, "active", &is_active);
        (void)jl_cbor_get_bool(map, "confirmed", &is_confirmed);
        (void)jl_cbor_get_bytes(map, "hash", &hash);
        if (reply_number(map, "image") != kind) {
            continue;
        }
        uint32_t slot = reply_number(map, "slot");
        int32_t number = identify(kind, slot, hash);
        if ((is_active && listed.active != NOTHING) ||
            (is_confirmed && listed.confirmed != NOTHING)) {
            violate("two images %u are active or confirmed", kind);
        }
        listed.active = is_active ? number : listed.active;
        listed.active_slot = is_active ? slot : listed.active_slot;
        listed.confirmed = is_confirmed ? number : listed.confirmed;
    }
    return listed;
}

static struct jl_bytes send_piece(uint32_t kind, const struct image *image, uint32_t offset) {
    uint32_t left = IMAGE_BYTES - offset;
    request_open();
    request_number("off", offset);
    request_bytes("data", image->bytes + offset, left < PIECE_BYTES ? left : PIECE_BYTES);
    if (offset == 0) {
        request_number("image", kind);
        request_number("len", IMAGE_BYTES);
        request_bytes("sha", image->file_sha256, JL_SHA256_BYTES);
    }
    return request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_UPLOAD);
}

/**
 * A client that begins anew, or sends a piece again, is told where to go on; what lies in the slot
 * counts as nothing.
 */
static void interrupt_upload(uint32_t kind, const struct image *image, uint32_t again,
                             uint32_t stored) {
    int32_t active = images_list(kind).active;
    for (uint32_t offset = 0; offset <= again; offset += again) {
        struct jl_bytes reply = send_piece(kind, image, offset);
        if (!reply_is_ok(reply) || reply_number(reply, "off") != stored) {
            violate("an upload that was interrupted at %u does not go on there", stored);
        }
    }
    if (images_list(kind).active != active) {
        violate("half an upload changed what is active");
    }
}

bool images_upload(uint32_t kind, const struct image *image) {
    for (uint32_t offset = 0; offset < IMAGE_BYTES;) {
        struct jl_bytes reply = send_piece(kind, image, offset);
        if (!reply_is_ok(reply)) {
            return false;
        }
        uint32_t stored = reply_number(reply, "off");
        if (stored <= offset || stored > IMAGE_BYTES || stored > offset + PIECE_BYTES) {
            violate("the upload goes on at %u after a piece at %u", stored, offset);
        }
        if (offset < IMAGE_BYTES / 2 && stored >= IMAGE_BYTES / 2) {
            interrupt_upload(kind, image, offset, stored);
        }
        offset = stored;
    }
    return true;
}

void images_abandon_upload(uint32_t kind, const struct image *image) {
    if (!reply_is_ok(send_piece(kind, image, 0))) {
        violate("no upload can be begun");
    }
}

/** The start of an upload that states another length than the image has. */
static bool announce(uint32_t kind, const struct image *image, uint32_t bytes) {
    request_open();
    request_number("off", 0);
    request_bytes("data", image->bytes, PIECE_BYTES);
    request_number("image", kind);
    request_number("len", bytes);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_UPLOAD));
}

void images_upload_too_much(uint32_t kind, const struct image *image) {
    if (announce(kind, image, MODEL_SLOT_BLOCKS * ERASE_BYTES + 1)) {
        violate("an upload was begun that no slot can hold");
    }
    uint32_t stored = PIECE_BYTES / PROGRAM_BYTES * PROGRAM_BYTES;
    if (!announce(kind, image, PIECE_BYTES + 1) || reply_is_ok(send_piece(kind, image, stored))) {
        violate("more was uploaded than was announced");
    }
}

bool images_erase(uint32_t kind, uint32_t slot) {
    request_open();
    request_number("slot", kind * JL_SMP_SLOTS_PER_IMAGE + slot);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_ERASE));
}

void images_check_erased(const struct jl_area *area) {
    for (uint32_t at = area->offset; at < area->offset + area->bytes; at++) {
        if (flash.memory[at] != 0xFF) {
            violate("an erased slot is not erased at %#x", at);
        }
    }
}
