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

/** One that was withdrawn by a confirmed one's security counter. */
static bool is_withdrawn(uint32_t kind, int32_t number) {
    return kind == JL_SMP_IMAGE_MODEL ? models[number].counter < promises.model_counter
                                      : firmwares[number][0].counter < promises.firmware_counter;
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
        if (is_withdrawn(kind, number)) {
            violate("image %u lists what was withdrawn", kind);
        }
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
    struct jl_bytes ahead = send_piece(kind, image, stored + PROGRAM_BYTES);
    if (!reply_is_ok(ahead) || reply_number(ahead, "off") != stored) {
        violate("an upload with a gap goes on behind it");
    }
    if (images_list(kind).active != active) {
        violate("half an upload changed what is active");
    }
}

static jl_status refusal;

jl_status images_refusal(void) {
    return refusal;
}

bool images_upload(uint32_t kind, const struct image *image) {
    for (uint32_t offset = 0; offset < IMAGE_BYTES;) {
        struct jl_bytes reply = send_piece(kind, image, offset);
        if (!reply_is_ok(reply)) {
            refusal = reply_status(reply);
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

jl_status images_announce(uint32_t kind, const struct image *image,
                          const struct announcement *announcement) {
    request_open();
    request_number("off", 0);
    request_bytes("data", image->bytes, PIECE_BYTES);
    request_number("image", kind);
    request_number("len", announcement->bytes);
    request_bytes("sha", image->file_sha256, announcement->hash_bytes);
    request_bool("upgrade", announcement->must_be_newer);
    struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_UPLOAD);
    return reply_is_ok(reply) ? JL_OK : reply_status(reply);
}

void images_upload_padded(uint32_t kind, const struct image *image) {
    static uint8_t file[MODEL_SLOT_BLOCKS * ERASE_BYTES];
    memset(file, 0, sizeof file);
    memcpy(file, image->bytes, IMAGE_BYTES);
    for (uint32_t offset = 0; offset < sizeof file;) {
        uint32_t left = (uint32_t)sizeof file - offset;
        request_open();
        request_number("off", offset);
        request_bytes("data", file + offset, left < PIECE_BYTES ? left : PIECE_BYTES);
        if (offset == 0) {
            request_number("image", kind);
            request_number("len", sizeof file);
        }
        struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_UPLOAD);
        if (!reply_is_ok(reply) || reply_number(reply, "off") <= offset) {
            violate("an image that fills its slot was refused");
        }
        offset = reply_number(reply, "off");
    }
}

void images_upload_too_much(uint32_t kind, const struct image *image) {
    struct announcement start = {.bytes = MODEL_SLOT_BLOCKS * ERASE_BYTES + 1};
    if (images_announce(kind, image, &start) == JL_OK) {
        violate("an upload was begun that no slot can hold");
    }
    uint32_t stored = PIECE_BYTES / PROGRAM_BYTES * PROGRAM_BYTES;
    start.bytes = PIECE_BYTES + 1;
    if (images_announce(kind, image, &start) != JL_OK ||
        reply_is_ok(send_piece(kind, image, stored))) {
        violate("more was uploaded than was announced");
    }
}

bool images_erase(uint32_t kind, uint32_t slot) {
    request_open();
    request_number("slot", kind * JL_SMP_SLOTS_PER_IMAGE + slot);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_ERASE));
}

void images_leave_rest(const struct jl_area *area) {
    flash.memory[area->offset + area->bytes - 1] = 0;
}

void images_check_erased(const struct jl_area *area) {
    for (uint32_t at = area->offset; at < area->offset + area->bytes; at++) {
        if (flash.memory[at] != 0xFF) {
            violate("an erased slot is not erased at %#x", at);
        }
    }
}
