#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"

#include <string.h>

enum { PIECE_BYTES = 256 };

struct promises promises;

void promises_reset(void) {
    promises = (struct promises){
        .first = 1,
        .next = 1,
        .report_every = 1,
        .configuring = NOTHING,
        .model = NOTHING,
        .next_model = NOTHING,
    };
}

void boot_check(void) {
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_LEDGER);
    uint32_t boot_id = reply_number(reply, "boot_id");
    if (boot_id <= promises.boot_id) {
        violate("two starts have number %u", boot_id);
    }
    promises.boot_id = boot_id;
}

void configuration_check(void) {
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_CONFIGURATION);
    uint32_t report_every = reply_number(reply, "report_every");
    if (report_every != promises.report_every && report_every != promises.configuring) {
        violate("the configuration is %u, neither the old %u nor the new one", report_every,
                promises.report_every);
    }
    promises.report_every = report_every;
    promises.configuring = NOTHING;
}

void client_configure(uint32_t report_every) {
    promises.configuring = report_every;
    request_open();
    request_number("report_every", report_every);
    struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_NODE, JL_NODE_CONFIGURATION);
    if (!reply_is_ok(reply)) {
        violate("the configuration was refused");
    }
    promises.report_every = report_every;
    promises.configuring = NOTHING;
}

/** The image that has this hash and, byte for byte, lies in this slot. */
static int32_t identify(uint32_t slot, struct jl_bytes hash) {
    const uint8_t *content = flash.memory + board_port.model_slots[slot].offset;
    for (int32_t index = 0; index < MODELS; index++) {
        if (hash.bytes == JL_SHA256_BYTES &&
            memcmp(hash.data, models[index].sha256, JL_SHA256_BYTES) == 0 &&
            memcmp(content, models[index].bytes, IMAGE_BYTES) == 0) {
            return index;
        }
    }
    violate("slot %u holds an image that nobody made", slot);
}

void models_check(void) {
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
    }
    if (serving != promises.model &&
        (promises.next_model == NOTHING || serving != promises.next_model)) {
        violate("model %d serves, neither the old one, %d, nor the new one, %d", serving,
                promises.model, promises.next_model);
    }
    promises.model = serving;
    promises.next_model = NOTHING;
}

/** Upload an image piece by piece; whether the board took it. */
static bool upload(const struct image *image) {
    for (uint32_t offset = 0; offset < IMAGE_BYTES;) {
        uint32_t bytes = IMAGE_BYTES - offset < PIECE_BYTES ? IMAGE_BYTES - offset : PIECE_BYTES;
        request_open();
        request_number("off", offset);
        request_bytes("data", image->bytes + offset, bytes);
        if (offset == 0) {
            request_number("image", JL_SMP_IMAGE_MODEL);
            request_number("len", IMAGE_BYTES);
        }
        struct jl_bytes reply = request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_UPLOAD);
        if (!reply_is_ok(reply)) {
            return false;
        }
        offset += bytes;
        if (reply_number(reply, "off") != offset) {
            violate("the upload goes on at %u, not at %u", reply_number(reply, "off"), offset);
        }
    }
    return true;
}

void client_update_model(enum model_behaviour behaviour) {
    promises.next_model = (int32_t)behaviour;
    if (!upload(&models[behaviour])) {
        violate("model %d was refused", (int)behaviour);
    }
    promises.model = (int32_t)behaviour;
    models_check();
}

void client_offer_model(const struct image *image) {
    if (upload(image)) {
        violate("a broken model was taken");
    }
    models_check();
}

void client_check(void) {
    boot_check();
    configuration_check();
    models_check();
    outbox_check(0);
    outbox_check_wear();
}

void client_use_everything(void) {
    client_configure(promises.report_every + 1);
    client_configure(1);
    client_update_model(promises.model == MODEL_ADDS_3 ? MODEL_ADDS_1 : MODEL_ADDS_3);
    client_infer();
    client_infer();
    client_acknowledge_too_much();
    client_acknowledge(promises.next - 2);
}
