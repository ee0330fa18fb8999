#include "board.h"
#include "client_parts.h"
#include "engine.h"
#include "exchange.h"

static uint32_t serving_slot; /* at the last look */

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

void models_check(void) {
    struct listed listed = images_list(JL_SMP_IMAGE_MODEL);
    int32_t serving = listed.active;
    serving_slot = serving == NOTHING ? serving_slot : listed.active_slot;
    bool is_new = promises.next_model != NOTHING && serving == promises.next_model;
    if (serving != promises.model && !is_new) {
        violate("model %d serves, neither the old one, %d, nor the new one, %d", serving,
                promises.model, promises.next_model);
    }
    promises.model = serving;
    promises.next_model = NOTHING;
    check_model_counter();
}

void client_update_model(enum model model) {
    promises.next_model = (int32_t)model;
    if (!images_upload(JL_SMP_IMAGE_MODEL, &models[model])) {
        violate("model %d was refused", (int)model);
    }
    promises.model = (int32_t)model;
    models_check();
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
    if (!images_erase(JL_SMP_IMAGE_MODEL, 1 - serving_slot)) {
        violate("slot %u is not erased", 1 - serving_slot);
    }
    images_check_erased(&board_port.model_slots[1 - serving_slot]);
    models_check();
}

uint8_t *client_slot(bool is_serving) {
    uint32_t slot = is_serving ? serving_slot : 1 - serving_slot;
    return flash.memory + board_port.model_slots[slot].offset;
}
