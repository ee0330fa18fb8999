#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"

#include <string.h>

/* No whole units: the board stores what it can, and says so. */
enum { PIECE_BYTES = 250 };

static uint32_t serving_slot; /* at the last look */

/** The image that has this hash and, byte for byte, lies in this slot. */
static int32_t identify(uint32_t slot, struct jl_bytes hash) {
    const uint8_t *content = flash.memory + board_port.model_slots[slot].offset;
    for (int32_t index = MODEL_OLD; index < MODELS; index++) {
        if (hash.bytes == JL_SHA256_BYTES &&
            memcmp(hash.data, models[index].sha256, JL_SHA256_BYTES) == 0 &&
            memcmp(content, models[index].bytes, IMAGE_BYTES) == 0) {
            return index;
        }
    }
    violate("slot %u holds an image that nobody made", slot);
}

/** The counter that the board holds models to is that of the one that serves, or did. */
static void check_model_counter(void) {
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_KEYS);
    uint32_t counter = reply_number(reply, "model");
    if (promises.model != NOTHING) {
        promises.model_counter = models[promises.model].counter;
    }
    if (counter != promises.model_counter) {
        violate("the security counter of models is %u, that of the last one that served %u",
                counter, promises.model_counter);
    }
}

/** The model that serves; every listed image is the one that it claims to be. */
static int32_t look(void) {
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_IMAGE, JL_IMAGE_STATE);
    struct jl_bytes images;
    struct jl_bytes map;
    if (!reply_array(reply, "images", &images)) {
        violate("the board does not list its images");
    }
    int32_t serving = NOTHING;
    while (reply_next(&images, &map)) {
        uint32_t image = 0;
        bool is_active = false;
        struct jl_bytes hash = {0};
        (void)jl_cbor_get_uint(map, "image", &image);
        (void)jl_cbor_get_bool(map, "active", &is_active);
        (void)jl_cbor_get_bytes(map, "hash", &hash);
        if (image != JL_SMP_IMAGE_MODEL) {
            continue;
        }
        int32_t known = identify(reply_number(map, "slot"), hash);
        if (is_active && serving != NOTHING) {
            violate("two models serve");
        }
        serving = is_active ? known : serving;
        serving_slot = is_active ? reply_number(map, "slot") : serving_slot;
    }
    return serving;
}

void models_check(void) {
    int32_t serving = look();
    bool is_new = promises.next_model != NOTHING && serving == promises.next_model;
    if (serving != promises.model && !is_new) {
        violate("model %d serves, neither the old one, %d, nor the new one, %d", serving,
                promises.model, promises.next_model);
    }
    promises.model = serving;
    promises.next_model = NOTHING;
    check_model_counter();
}

static struct jl_bytes send_piece(const struct image *image, uint32_t offset) {
    uint32_t left = IMAGE_BYTES - offset;
    request_open();
    request_number("off", offset);
    request_bytes("data", image->bytes + offset, left < PIECE_BYTES ? left : PIECE_BYTES);
    if (offset == 0) {
        request_number("image", JL_SMP_IMAGE_MODEL);
        request_number("len", IMAGE_BYTES);
        request_bytes("sha", image->file_sha256, JL_SHA256_BYTES);
    }
    return request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_UPLOAD);
}

/** A client that began anew is told where to go on, and what lies in the slot counts as nothing. */
static void interrupt_upload(const struct image *image, uint32_t stored) {
    struct jl_bytes reply = send_piece(image, 0);
    if (!reply_is_ok(reply) || reply_number(reply, "off") != stored) {
        violate("an upload that was interrupted at %u does not go on there", stored);
    }
    if (look() != promises.model) {
        violate("half an upload changed the model that serves");
    }
}

/** Upload an image piece by piece; whether the board took it. */
static bool upload(const struct image *image) {
    for (uint32_t offset = 0; offset < IMAGE_BYTES;) {
        struct jl_bytes reply = send_piece(image, offset);
        if (!reply_is_ok(reply)) {
            return false;
        }
        uint32_t stored = reply_number(reply, "off");
        if (stored <= offset || stored > IMAGE_BYTES || stored > offset + PIECE_BYTES) {
            violate("the upload goes on at %u after a piece at %u", stored, offset);
        }
        if (offset < IMAGE_BYTES / 2 && stored >= IMAGE_BYTES / 2) {
            interrupt_upload(image, stored);
        }
        offset = stored;
    }
    return true;
}

void client_update_model(enum model model) {
    promises.next_model = (int32_t)model;
    if (!upload(&models[model])) {
        violate("model %d was refused", (int)model);
    }
    promises.model = (int32_t)model;
    models_check();
}

void client_offer_model(const struct image *image) {
    if (upload(image)) {
        violate("a broken model was taken");
    }
    models_check();
}

/** The start of an upload that states another length than the image has. */
static bool announce(const struct image *image, uint32_t bytes) {
    request_open();
    request_number("off", 0);
    request_bytes("data", image->bytes, PIECE_BYTES);
    request_number("image", JL_SMP_IMAGE_MODEL);
    request_number("len", bytes);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_UPLOAD));
}

void client_upload_too_much(void) {
    const struct image *image = &models[MODEL_NEWER];
    if (announce(image, MODEL_SLOT_BLOCKS * ERASE_BYTES + 1)) {
        violate("an upload was begun that no slot can hold");
    }
    uint32_t stored = PIECE_BYTES / PROGRAM_BYTES * PROGRAM_BYTES;
    if (!announce(image, PIECE_BYTES + 1) || reply_is_ok(send_piece(image, stored))) {
        violate("more was uploaded than was announced");
    }
    models_check();
}

/** Erase a slot; whether the board did. */
static bool erase(uint32_t slot) {
    request_open();
    request_number("slot", JL_SMP_IMAGE_MODEL * JL_SMP_SLOTS_PER_IMAGE + slot);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_ERASE));
}

void client_erase_models(void) {
    models_check();
    if (erase(serving_slot)) {
        violate("the model that serves was erased");
    }
    if (!erase(1 - serving_slot)) {
        violate("slot %u is not erased", 1 - serving_slot);
    }
    const struct jl_area *area = &board_port.model_slots[1 - serving_slot];
    for (uint32_t at = area->offset; at < area->offset + area->bytes; at++) {
        if (flash.memory[at] != 0xFF) {
            violate("an erased slot is not erased at %#x", at);
        }
    }
    models_check();
}

uint8_t *client_slot(bool is_serving) {
    uint32_t slot = is_serving ? serving_slot : 1 - serving_slot;
    return flash.memory + board_port.model_slots[slot].offset;
}
