#include "scenarios.h"
#include "board.h"
#include "client.h"
#include "promises.h"

#include <string.h>

enum {
    /** Entries of the outbox, marks among them. */
    OUTBOX_ENTRIES = OUTBOX_BLOCKS * OUTBOX_BLOCK_ENTRIES,
    /** Starts that fill both blocks of records, and begin the first again. */
    MANY_STARTS = 2 * (ERASE_BYTES / RECORD_BYTES) + 3,
};

static void start(void) {
    board_start();
    client_check();
}

static void infer(uint32_t times) {
    for (uint32_t index = 0; index < times; index++) {
        client_infer();
    }
}

/** A board that serves, and has something to lose. */
static void prepare(void) {
    start();
    client_update_model(MODEL_OLD);
    client_configure(1);
    infer(2);
}

static void run_boot(void) {
    for (uint32_t index = 0; index < MANY_STARTS; index++) {
        start();
    }
}

static void run_first_start(void) {
    start();
    client_check_reason("firmware", JL_OK);
    client_check_reason("model", JL_OK);
    client_infer_nothing();
    client_update_model(MODEL_OLD);
    client_configure(1);
    infer(1);
}

static void nothing(void) {
}

static void run_model_update(void) {
    start();
    client_change_its_mind(MODEL_NEW);
    client_infer();
    client_update_model(MODEL_NEWER);
    client_offer_model(&models[MODEL_OLD]);
    client_update_model(MODEL_LAST);
    client_update_model(MODEL_LAST_TOO);
    start();
    client_check_reason("model", JL_OK);
    client_erase_models();
}

/** Nobody confirms, or somebody asks for the old one: it serves again. */
static void run_model_revert(void) {
    start();
    client_try_model(MODEL_NEW);
    client_infer();
    client_erase_models_on_trial();
    start();
    client_choose_model(MODEL_NEW, false);
    client_revert_model();
    client_infer();
    client_try_model(MODEL_NEW);
    client_keep_model_by_upload();
    client_try_model(MODEL_NEWER);
    start();
    client_choose_model(MODEL_NEWER, true);
    start();
}

/** The bits of the way back from a trial have faded. */
static void prepare_faded_way_back(void) {
    prepare();
    client_try_model(MODEL_NEW);
    client_slot(false)[IMAGE_BYTES / 2] ^= 1;
    promises.model = MODEL_NEW;
    promises.model_trial = NOTHING;
}

static void offer_hanging_model(void) {
    client_offer_model(&models[MODEL_HANGS]);
}

static void prepare_model_refused(void) {
    prepare();
    client_announce_models_badly();
    client_offer_spoilt_models();
    client_erase_half_an_upload();
    client_fill_slots();
}

static void run_model_refused(void) {
    start();
    client_offer_model(&models[MODEL_DIFFERS]);
    client_check_reason("model", JL_NODE_ERROR_SELF_TEST_DIFFERS);
    client_offer_model(&altered_model);
    client_offer_model(&wrong_file);
    client_offer_model(&forged_model);
    client_upload_too_much();
    if (!board_outlives(offer_hanging_model)) {
        client_check();
        client_check_reason("model", JL_NODE_ERROR_SELF_TEST_STOPPED);
    }
    client_infer();
    start();
}

/** Two models with one counter; the bits of the one that serves have faded. */
static void prepare_faded_model(void) {
    prepare();
    client_update_model(MODEL_LAST_TOO);
    client_update_model(MODEL_LAST);
    client_slot(true)[IMAGE_BYTES / 2] ^= 1;
    promises.model = MODEL_LAST_TOO;
}

/** The other slot holds a model that was uploaded whole and not tried yet: it stops the board. */
static void prepare_no_model(void) {
    /* The first model of all does, too. */
    start();
    if (!board_outlives(offer_hanging_model)) {
        client_check();
    }
    client_check_reason("model", JL_NODE_ERROR_SELF_TEST_STOPPED);
    prepare_faded_model();
    memcpy(client_slot(false), hanging_model.bytes, IMAGE_BYTES);
    promises.model = NOTHING;
}

static void run_starts(void) {
    start();
    start();
}

static void run_firmware_update(void) {
    start();
    client_update_firmware(FIRMWARE_NEW);
    client_update_firmware(FIRMWARE_NEWER);
    infer(1);
}

/** Nobody confirms: the trial is over with the next start. Nor does firmware that stops. */
static void run_firmware_revert(void) {
    start();
    client_test_firmware(FIRMWARE_NEW);
    start();
    client_disturb_trial();
    start();
    client_check_reason("firmware", JL_NODE_ERROR_NOT_CONFIRMED);
    client_test_firmware(FIRMWARE_DEAD);
    start();
    client_check_reason("firmware", JL_NODE_ERROR_TRIAL_HUNG);
    start();
}

static void prepare_firmware_refused(void) {
    prepare();
    client_update_firmware(FIRMWARE_NEW);
    client_offer_spoilt_firmware();
    client_announce_firmware_badly();
    client_replace_firmware_before_its_trial();
    client_confirm_faded_firmware();
    client_misplace_firmware();
    client_crash_firmware();
}

static void run_firmware_refused(void) {
    start();
    client_offer_firmware(firmwares[FIRMWARE_OLD]);
    client_offer_firmware(altered_firmware);
    client_offer_firmware(foreign_firmware);
    client_offer_misplaced_firmware();
    client_test_firmware(FIRMWARE_NEWER);
    client_erase_firmware();
    start();
    /* The trial that it was to have is called off: the reason is still that of the last one. */
    client_check_reason("firmware", JL_NODE_ERROR_TRIAL_CRASHED);
}

static void fade_firmware(enum firmware other) {
    flash.memory[board_port.firmware_slots[board_firmware_slot].offset + IMAGE_BYTES / 2] ^= 1;
    promises.firmware = (int32_t)other;
}

/** Two of one counter; the bits of the confirmed one, in the first slot, have faded. */
static void prepare_faded_firmware(void) {
    prepare();
    client_update_firmware(FIRMWARE_LAST);
    client_update_firmware(FIRMWARE_LAST_TOO);
    board_check_no_firmware();
    fade_firmware(FIRMWARE_LAST);
}

static void prepare_faded_second_firmware(void) {
    prepare();
    client_update_firmware(FIRMWARE_LAST_TOO);
    client_update_firmware(FIRMWARE_LAST);
    client_update_firmware(FIRMWARE_LAST_TOO);
    fade_firmware(FIRMWARE_LAST);
}

/** The bits of firmware have faded that waits for its trial. */
static void prepare_faded_trial(void) {
    prepare();
    client_test_firmware(FIRMWARE_NEW);
    flash.memory[board_port.firmware_slots[1 - board_firmware_slot].offset] ^= 1;
    promises.trial = NOTHING;
    promises.is_trial_promised = false;
}

static void run_faded_trial(void) {
    for (int times = 0; times < 2; times++) {
        start();
        client_check_reason("firmware", JL_IMAGE_ERROR_INVALID_MAGIC);
    }
}

static void run_faded_firmware(void) {
    for (int times = 0; times < 2; times++) {
        start();
        client_check_reason("firmware", JL_NODE_ERROR_HASH_MISMATCH);
    }
}

static void prepare_aged(void) {
    prepare();
    board_age();
}

static void run_aged(void) {
    start();
    client_configure(2);
    client_configure(1);
    infer(OUTBOX_BLOCK_ENTRIES);
    client_acknowledge(promises.next - 2);
    start();
}

static void run_configuration(void) {
    start();
    client_configure(0);
    client_configure(UINT32_MAX);
    start();
    client_configure(0x00FF00FF);
    client_configure(1);
}

static void run_outbox(void) {
    start();
    infer(3);
    client_acknowledge(promises.next - 2);
    infer(2);
    client_acknowledge(promises.next - 1);
    client_acknowledge_again();
    start();
    infer(OUTBOX_ENTRIES / OUTBOX_BLOCKS);
    client_acknowledge(promises.next - 3);
}

static void prepare_full_outbox(void) {
    prepare();
    infer(OUTBOX_ENTRIES + 3);
    client_acknowledge(promises.first + 1);
}

static void run_full_outbox(void) {
    start();
    client_acknowledge_and_drop();
    infer(OUTBOX_ENTRIES / OUTBOX_BLOCKS);
    client_acknowledge(promises.next - 1);
    infer(2);
}

const struct scenario scenarios[] = {
    {"boot", prepare, run_boot, client_use_everything},
    {"first-start", nothing, run_first_start, client_use_everything},
    {"firmware-update", prepare, run_firmware_update, client_use_firmware},
    {"firmware-revert", prepare, run_firmware_revert, client_use_firmware},
    {"firmware-refused", prepare_firmware_refused, run_firmware_refused, client_use_firmware},
    {"firmware-faded", prepare_faded_firmware, run_faded_firmware, client_use_firmware},
    {"firmware-faded-too", prepare_faded_second_firmware, run_faded_firmware, client_use_firmware},
    {"firmware-trial-faded", prepare_faded_trial, run_faded_trial, client_use_firmware},
    {"model-update", prepare, run_model_update, client_use_everything},
    {"model-revert", prepare, run_model_revert, client_use_everything},
    {"model-refused", prepare_model_refused, run_model_refused, client_use_everything},
    {"model-faded", prepare_faded_model, run_starts, client_use_everything},
    {"model-way-back-faded", prepare_faded_way_back, run_starts, client_use_everything},
    {"model-hangs", prepare_no_model, run_starts, client_use_everything},
    {"outbox", prepare, run_outbox, client_use_everything},
    {"outbox-full", prepare_full_outbox, run_full_outbox, client_use_everything},
    {"configuration", prepare, run_configuration, client_use_everything},
    {"aged", prepare_aged, run_aged, client_use_everything},
    {0},
};
