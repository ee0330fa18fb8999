#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"

static uint32_t serving_slot; /* at the last look */

/** The counter that the board holds models to is that of the one that is confirmed, or was. */
static void check_model_counter(void) {
    request_open();
    struct jl_bytes reply = request_send(JL_SMP_READ, JL_GROUP_NODE, JL_NODE_KEYS);
    uint32_t counter = reply_number(reply, "model");
    if (promises.model != NOTHING) {
        promises.model_counter = models[promises.model].counter;
    }
    if (counter != promises.model_counter) {
        violate("the security counter of models is %u, that of the last confirmed one %u", counter,
                promises.model_counter);
    }
}

int32_t models_serving(void) {
    return promises.model_trial != NOTHING ? promises.model_trial : promises.model;
}

static struct listed list(void) {
    struct listed listed = images_list(JL_SMP_IMAGE_MODEL);
    serving_slot = listed.active == NOTHING ? serving_slot : listed.active_slot;
    return listed;
}

void models_check(void) {
    struct listed listed = list();
    if (listed.active != models_serving() || listed.confirmed != promises.model) {
        violate("model %d serves and %d is confirmed, not %d and %d", listed.active,
                listed.confirmed, models_serving(), promises.model);
    }
    check_model_counter();
}

/** Whether a start may have brought a new model for good. */
static bool may_be_confirmed(int32_t model) {
    bool is_new = model != NOTHING && model == promises.next_model;
    bool is_tried = model != NOTHING && model == promises.model_trial;
    return (is_new && promises.model == NOTHING) ||
           ((is_new || is_tried) && promises.is_confirming_model);
}

void models_check_start(void) {
    struct listed listed = list();
    if (listed.active != promises.model && !may_be_confirmed(listed.active)) {
        violate("model %d serves, neither the old one, %d, nor the new one", listed.active,
                promises.model);
    }
    if (promises.model_trial != NOTHING && listed.active != promises.model_trial) {
        client_check_reason("model", JL_NODE_ERROR_NOT_CONFIRMED);
    }
    promises.model = listed.active;
    promises.next_model = NOTHING;
    promises.model_trial = NOTHING;
    promises.is_confirming_model = false;
    models_check();
}

/** A model serves: on trial, or, where there is no way back, for good. */
static void settle_serving(enum model model) {
    if (promises.model == NOTHING) {
        promises.model = (int32_t)model;
    } else {
        promises.model_trial = (int32_t)model;
    }
    promises.next_model = NOTHING;
    models_check();
}

void client_try_model(enum model model) {
    promises.next_model = (int32_t)model;
    if (!images_upload(JL_SMP_IMAGE_MODEL, &models[model])) {
        violate("model %d was refused", (int)model);
    }
    settle_serving(model);
}

static bool ask_for(int32_t model, bool is_confirmed) {
    request_open();
    request_bytes("hash", models[model].sha256, JL_SHA256_BYTES);
    request_bool("confirm", is_confirmed);
    return reply_is_ok(request_send(JL_SMP_WRITE, JL_GROUP_IMAGE, JL_IMAGE_STATE));
}

static void settle_confirmed(int32_t model) {
    promises.model = model;
    promises.model_counter = models[model].counter;
    promises.next_model = NOTHING;
    promises.model_trial = NOTHING;
    promises.is_confirming_model = false;
    models_check();
}

static void confirm_model(enum model model) {
    promises.is_confirming_model = true;
    if (!ask_for((int32_t)model, true)) {
        violate("model %d was not confirmed", (int)model);
    }
    settle_confirmed((int32_t)model);
    client_check_reason("model", JL_OK);
}

void client_update_model(enum model model) {
    client_try_model(model);
    confirm_model(model);
}

void client_choose_model(enum model model, bool is_confirmed) {
    promises.next_model = (int32_t)model;
    if (is_confirmed) {
        confirm_model(model);
        return;
    }
    if (!ask_for((int32_t)model, false)) {
        violate("the trial of model %d was refused", (int)model);
    }
    settle_serving(model);
}

void client_revert_model(void) {
    if (!ask_for(promises.model, false)) {
        violate("there is no way back to model %d", promises.model);
    }
    promises.model_trial = NOTHING;
    models_check();
    client_check_reason("model", JL_NODE_ERROR_NOT_CONFIRMED);
}

void client_keep_model_by_upload(void) {
    promises.is_confirming_model = true;
    images_abandon_upload(JL_SMP_IMAGE_MODEL, &models[MODEL_LAST]);
    settle_confirmed(models_serving());
}

void client_offer_model(const struct image *image) {
    if (images_upload(JL_SMP_IMAGE_MODEL, image)) {
        violate("a broken model was taken");
    }
    models_check();
}

void client_change_its_mind(enum model model) {
    images_abandon_upload(JL_SMP_IMAGE_MODEL, &models[MODEL_LAST]);
    client_update_model(model);
}

void client_upload_too_much(void) {
    images_upload_too_much(JL_SMP_IMAGE_MODEL, &models[MODEL_NEWER]);
    models_check();
}

void client_erase_models(void) {
    models_check();
    if (images_erase(JL_SMP_IMAGE_MODEL, serving_slot)) {
        violate("the model that serves was erased");
    }
    if (images_erase(JL_SMP_IMAGE_MODEL, JL_MODEL_SLOTS)) {
        violate("a slot was erased that there is not");
    }
    images_leave_rest(&board_port.model_slots[1 - serving_slot]);
    if (!images_erase(JL_SMP_IMAGE_MODEL, 1 - serving_slot)) {
        violate("slot %u is not erased", 1 - serving_slot);
    }
    images_check_erased(&board_port.model_slots[1 - serving_slot]);
    models_check();
}

void client_erase_models_on_trial(void) {
    if (images_erase(JL_SMP_IMAGE_MODEL, 0) || images_erase(JL_SMP_IMAGE_MODEL, 1)) {
        violate("a trial's model, or the way back from it, was erased");
    }
    models_check();
}

uint8_t *client_slot(bool is_serving) {
    uint32_t slot = is_serving ? serving_slot : 1 - serving_slot;
    return flash.memory + board_port.model_slots[slot].offset;
}
