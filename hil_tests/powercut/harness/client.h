/* A client of the board, who writes into the book of promises and holds the board to it. */
#ifndef POWERCUT_CLIENT_H
#define POWERCUT_CLIENT_H

#include "images.h"
#include "jl_smp_ids.h"

#include <stdbool.h>

/** Run the model that serves; its decision goes to the outbox. */
void client_infer(void);
/** Acknowledge all decisions up to and with this one. */
void client_acknowledge(uint32_t through);
/** Acknowledge what was acknowledged before, as a client does that got no answer. */
void client_acknowledge_again(void);
/** Acknowledge the oldest one where that opens a block, which drops more of them. */
void client_acknowledge_and_drop(void);
/** Acknowledge one that was never made: refused. */
void client_acknowledge_too_much(void);
void client_configure(uint32_t report_every);

/** Upload a model that must serve then, on trial; the first is confirmed at once. */
void client_try_model(enum model model);
/** Upload, trial, confirmation. */
void client_update_model(enum model model);
/** Begin to upload another one first. */
void client_change_its_mind(enum model model);
/** Ask by its hash for a model that was tried before: it serves on trial again, or for good. */
void client_choose_model(enum model model, bool is_confirmed);
/** In a trial: ask for the confirmed model, which serves again. */
void client_revert_model(void);
/** In a trial: begin an upload; what serves is confirmed, for its way back makes room. */
void client_keep_model_by_upload(void);
/** Upload one that must be refused. */
void client_offer_model(const struct image *image);

/** Upload more than a slot holds, and more than was announced: refused. */
void client_upload_too_much(void);
/** Erase both slots: the one that serves is not. */
void client_erase_models(void);
/** In a trial, erase both slots: neither is. */
void client_erase_models_on_trial(void);
/** Where the model that serves lies, or the other slot, as it was last seen. */
uint8_t *client_slot(bool is_serving);
/** Run a model where none serves: refused. */
void client_infer_nothing(void);

/** Upload firmware and put it on trial: the next start runs it, the one behind that does not. */
void client_test_firmware(enum firmware number);
bool client_is_on_trial(void);
/** Keep the firmware that is on trial. */
void client_confirm_firmware(void);
/** Upload, trial, confirmation, and a start of what is confirmed. */
void client_update_firmware(enum firmware number);
/** Upload what must be refused: `images`, of the slot that an update goes to. */
void client_offer_firmware(const struct image images[JL_FIRMWARE_SLOTS]);
/** Upload firmware for the other slot, and too much of it: refused. */
void client_offer_misplaced_firmware(void);
/** In a trial: overwrite or erase what it falls back to, or ask for another one: refused. */
void client_disturb_trial(void);
/** Erase both slots: the one that runs is not. */
void client_erase_firmware(void);

/** Upload models that are right but for one thing: each is refused, and the board says why. */
void client_offer_spoilt_models(void);
void client_offer_spoilt_firmware(void);
/** In a trial, or before one: an upload that is refused at its beginning ends no trial. */
void client_announce_models_badly(void);
void client_announce_firmware_badly(void);
/** Upload other firmware than that which waits for its trial: none begins. */
void client_replace_firmware_before_its_trial(void);
/** Confirm firmware that has faded since it started: refused. */
void client_confirm_faded_firmware(void);
/** Firmware in the slot that it is not linked for, as a debug probe may put it, is none. */
void client_misplace_firmware(void);
/** A trial that ends at code that the core cannot execute. */
void client_crash_firmware(void);
/** Update with models that fill both slots to their ends. */
void client_fill_slots(void);
/** Erase a slot that half an upload lies in: the upload begins anew. */
void client_erase_half_an_upload(void);

/** Why the last trial of a kind, "firmware" or "model", was given up. */
void client_check_reason(const char *kind, jl_status expected);

/** After a start: whether every promise is kept. What was on its way is settled then. */
void client_check(void);

/** Without a start: a request that the board refused did nothing, and the next ones work. */
void client_check_running(void);

/** Whether flash lasts as long as it can. */
void client_check_wear(void);

/** All that the board can do, to its end: nothing that was cut off stands in the way. */
void client_use_everything(void);
/** A whole update of firmware; a trial that a cut left is over first. */
void client_use_firmware(void);

#endif
