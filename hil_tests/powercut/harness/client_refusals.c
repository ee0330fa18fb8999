/* What a board must refuse, and what it must bear: without a cut, for the flash is as it was. */
#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"
#include "spoilt.h"

#include <string.h>

static void check_refusal(uint32_t kind, const struct image *image, const struct spoilt *spoilt) {
    if (images_upload(kind, image)) {
        violate("image %u was taken in spite of %s", kind, spoilt->what);
    }
    if (images_refusal() != spoilt->expected) {
        violate("image %u with %s was refused for %#x", kind, spoilt->what,
                (unsigned)images_refusal());
    }
}

void client_offer_spoilt_models(void) {
    for (const struct spoilt *spoilt = spoilt_models; spoilt->what != NULL; spoilt++) {
        const struct image image = spoilt_model(spoilt);
        check_refusal(JL_SMP_IMAGE_MODEL, &image, spoilt);
        models_check();
    }
}

void client_offer_spoilt_firmware(void) {
    for (const struct spoilt *spoilt = spoilt_firmware; spoilt->what != NULL; spoilt++) {
        const struct image image = spoilt_firmware_for(spoilt, 1 - board_firmware_slot);
        check_refusal(JL_SMP_IMAGE_FIRMWARE, &image, spoilt);
        firmware_check();
    }
}

/** Announcements that are refused at once: nothing has changed. */
static void announce_badly(uint32_t kind, const struct image *image, const struct image *current) {
    struct announcement start = {.bytes = IMAGE_BYTES, .hash_bytes = JL_SHA256_BYTES - 1};
    if (images_announce(kind, image, &start) != JL_IMAGE_ERROR_INVALID_HASH) {
        violate("image %u was begun with half a hash", kind);
    }
    struct image garbage = *image;
    garbage.bytes[0] ^= 1;
    start.hash_bytes = 0;
    if (images_announce(kind, &garbage, &start) != JL_IMAGE_ERROR_INVALID_MAGIC) {
        violate("what is no image %u was begun", kind);
    }
    start.bytes = 1;
    if (images_announce(kind, image, &start) != JL_IMAGE_ERROR_OVERRUN) {
        violate("image %u was begun with more than was announced", kind);
    }
    start.bytes = IMAGE_BYTES;
    start.must_be_newer = true;
    if (images_announce(kind, current, &start) != JL_IMAGE_ERROR_VERSION_OLDER) {
        violate("the same version of image %u was begun as a newer one", kind);
    }
}

void client_announce_models_badly(void) {
    client_try_model(MODEL_NEW);
    announce_badly(JL_SMP_IMAGE_MODEL, &models[MODEL_NEWER], &models[MODEL_NEW]);
    models_check();
    client_revert_model();
}

void client_announce_firmware_badly(void) {
    uint32_t spare = 1 - board_firmware_slot;
    client_test_firmware(FIRMWARE_NEWER);
    announce_badly(JL_SMP_IMAGE_FIRMWARE, &firmwares[FIRMWARE_NEWER][spare],
                   &firmwares[promises.firmware][spare]);
    board_start();
    client_check();
    if (!client_is_on_trial()) {
        violate("a refused upload ended a trial");
    }
    client_erase_models(); /* takes longer than the watchdog waits */
    board_start();
    client_check();
    client_check_reason("firmware", JL_NODE_ERROR_NOT_CONFIRMED);
}

void client_replace_firmware_before_its_trial(void) {
    uint32_t spare = 1 - board_firmware_slot;
    client_test_firmware(FIRMWARE_NEWER);
    promises.is_trial_promised = false;
    promises.trial = NOTHING;
    if (!images_upload(JL_SMP_IMAGE_FIRMWARE, &firmwares[FIRMWARE_LAST][spare])) {
        violate("what waits for its trial cannot be replaced");
    }
    if (firmware_ask_for(FIRMWARE_LAST, true)) {
        violate("firmware was confirmed that never ran");
    }
    if (!firmware_ask_for_running()) {
        violate("the firmware that runs cannot be asked for");
    }
    board_start();
    client_check();
}

void client_confirm_faded_firmware(void) {
    client_test_firmware(FIRMWARE_NEWER);
    board_start();
    client_check();
    uint8_t *content = flash.memory + board_port.firmware_slots[board_firmware_slot].offset;
    content[IMAGE_BYTES / 2] ^= 1;
    if (firmware_confirm()) {
        violate("firmware was confirmed that has faded");
    }
    content[IMAGE_BYTES / 2] ^= 1;
    board_start();
    client_check();
}

void client_misplace_firmware(void) {
    uint32_t spare = 1 - board_firmware_slot;
    memcpy(flash.memory + board_port.firmware_slots[spare].offset,
           firmwares[FIRMWARE_LAST][board_firmware_slot].bytes, IMAGE_BYTES);
    board_start();
    client_check();
    client_erase_firmware();
}

void client_crash_firmware(void) {
    client_test_firmware(FIRMWARE_CRASHES);
    board_start();
    client_check();
    client_check_reason("firmware", JL_NODE_ERROR_TRIAL_CRASHED);
}

void client_fill_slots(void) {
    static const enum model fillers[] = {MODEL_NEW, MODEL_NEWER};
    for (uint32_t index = 0; index < sizeof fillers / sizeof *fillers; index++) {
        promises.next_model = (int32_t)fillers[index];
        images_upload_padded(JL_SMP_IMAGE_MODEL, &models[fillers[index]]);
        client_choose_model(fillers[index], true);
        /* From either slot there is a way back to the other. */
        if (fillers[index] != MODEL_NEWER) {
            client_try_model(MODEL_NEWER);
            client_revert_model();
        }
    }
}

void client_erase_half_an_upload(void) {
    images_abandon_upload(JL_SMP_IMAGE_MODEL, &models[MODEL_NEW]);
    client_erase_models();
    client_try_model(MODEL_NEW);
    client_revert_model();
    images_abandon_upload(JL_SMP_IMAGE_FIRMWARE, &firmwares[FIRMWARE_NEW][1 - board_firmware_slot]);
    client_erase_firmware();
    client_test_firmware(FIRMWARE_NEW);
    board_start();
    client_check();
    board_start();
    client_check();
}
