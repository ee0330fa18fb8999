#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"

static const struct image *firmware_for(enum firmware number, uint32_t slot) {
    return &firmwares[number][slot];
}

/** The slot that an update goes to. */
static uint32_t spare_slot(void) {
    return 1 - board_firmware_slot;
}

void promises_firmware_starts(enum firmware number) {
    if ((int32_t)number == promises.firmware && promises.is_trial_promised &&
        promises.trial_starts == 0 && promises.trial_cuts == promises.cuts) {
        violate("the trial of firmware %d never began", promises.trial);
    }
    if ((int32_t)number == promises.firmware || (int32_t)number != promises.trial) {
        return;
    }
    if (promises.trial_starts > 0 && !promises.is_confirming) {
        violate("the trial of firmware %d begins again", promises.trial);
    }
    promises.trial_starts++;
}

static void end_trial(void) {
    promises.trial = NOTHING;
    promises.trial_starts = 0;
    promises.is_trial_promised = false;
    promises.is_confirming = false;
}

static void settle_confirmed(void) {
    promises.firmware = promises.trial;
    promises.firmware_counter = firmware_for((enum firmware)promises.trial, 0)->counter;
    end_trial();
}

static void check_counter(void) {
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_KEYS);
    uint32_t counter = reply_number(reply, "firmware");
    if (counter != promises.firmware_counter) {
        violate("the security counter of firmware is %u, that of the confirmed one %u", counter,
                promises.firmware_counter);
    }
}

void firmware_check(void) {
    struct listed listed = images_list(JL_SMP_IMAGE_FIRMWARE);
    int32_t running = (int32_t)board_firmware;
    if (listed.active != running || listed.active_slot != board_firmware_slot) {
        violate("firmware %d runs, the board says %d", running, listed.active);
    }
    bool is_trial = running == promises.trial && running != promises.firmware;
    if (running != promises.firmware && !is_trial) {
        violate("firmware %d runs, neither the old one, %d, nor the new one, %d", running,
                promises.firmware, promises.trial);
    }
    if (is_trial && listed.confirmed == running) {
        if (!promises.is_confirming) {
            violate("firmware %d is confirmed, and nobody did", running);
        }
        settle_confirmed();
    } else if (listed.confirmed != promises.firmware) {
        violate("firmware %d is confirmed, not %d", listed.confirmed, promises.firmware);
    } else if (!is_trial) {
        end_trial();
    }
    promises.is_confirming = false;
    check_counter();
}

bool client_is_on_trial(void) {
    return (int32_t)board_firmware != promises.firmware;
}

static bool ask_for(const struct image *image, bool is_confirmed) {
    request_open();
    request_bytes("hash", image->sha256, JL_SHA256_BYTES);
    request_bool("confirm", is_confirmed);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_STATE));
}

bool firmware_ask_for(enum firmware number, bool is_confirmed) {
    return ask_for(firmware_for(number, spare_slot()), is_confirmed);
}

bool firmware_ask_for_running(void) {
    return ask_for(firmware_for(board_firmware, board_firmware_slot), false);
}

void client_test_firmware(enum firmware number) {
    if (!images_upload(JL_SMP_IMAGE_FIRMWARE, firmware_for(number, spare_slot()))) {
        violate("firmware %d was refused", (int)number);
    }
    promises.trial = (int32_t)number;
    promises.trial_starts = 0;
    if (!firmware_ask_for(number, false)) {
        violate("the trial of firmware %d was refused", (int)number);
    }
    promises.is_trial_promised = true;
    promises.trial_cuts = promises.cuts;
}

bool firmware_confirm(void) {
    request_open();
    request_bool("confirm", true);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_STATE));
}

void client_confirm_firmware(void) {
    promises.is_confirming = true;
    if (!firmware_confirm()) {
        violate("firmware %d was not confirmed", promises.trial);
    }
    settle_confirmed();
    firmware_check();
    client_check_reason("firmware", JL_OK);
}

void client_update_firmware(enum firmware number) {
    client_test_firmware(number);
    board_start();
    client_check();
    if (!client_is_on_trial()) {
        violate("the trial of firmware %d did not begin", (int)number);
    }
    client_confirm_firmware();
    board_start();
    client_check();
    client_check_reason("firmware", JL_OK);
}

void client_offer_firmware(const struct image images[JL_FIRMWARE_SLOTS]) {
    if (images_upload(JL_SMP_IMAGE_FIRMWARE, &images[spare_slot()])) {
        violate("firmware was taken that must not run");
    }
    firmware_check();
}

void client_offer_misplaced_firmware(void) {
    const struct image *image = firmware_for(FIRMWARE_NEWER, board_firmware_slot);
    if (images_upload(JL_SMP_IMAGE_FIRMWARE, image)) {
        violate("firmware was taken that is linked for the other slot");
    }
    images_upload_too_much(JL_SMP_IMAGE_FIRMWARE, firmware_for(FIRMWARE_NEWER, spare_slot()));
    firmware_check();
}

void client_disturb_trial(void) {
    const struct image *image = firmware_for(FIRMWARE_NEWER, spare_slot());
    if (images_upload(JL_SMP_IMAGE_FIRMWARE, image) ||
        images_erase(JL_SMP_IMAGE_FIRMWARE, spare_slot()) ||
        firmware_ask_for((enum firmware)promises.firmware, false)) {
        violate("the way back from a trial was barred");
    }
    firmware_check();
}

void client_erase_firmware(void) {
    if (images_erase(JL_SMP_IMAGE_FIRMWARE, board_firmware_slot)) {
        violate("the firmware that runs was erased");
    }
    images_leave_rest(&board_port.firmware_slots[spare_slot()]);
    if (!images_erase(JL_SMP_IMAGE_FIRMWARE, spare_slot())) {
        violate("the spare slot of firmware is not erased");
    }
    images_check_erased(&board_port.firmware_slots[spare_slot()]);
    firmware_check();
}
