#include "jl_slots.h"

/* A power cut stops a trial too: so often one is begun before its module gets the blame. */
enum { MAX_TRIALS = 3 };

static struct jl_bytes slot_bytes(const struct jl_port *port, uint32_t index) {
    const struct jl_area *area = &port->model_slots[index];
    return (struct jl_bytes){port->flash + area->offset, area->bytes};
}

static jl_status look(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    struct jl_slot *slot = &slots->slot[index];
    jl_status status = jl_image_verify(port, slot_bytes(port, index), &slot->image);
    if (status == JL_OK && slot->image.security_counter < slots->record.model_counter) {
        status = JL_NODE_ERROR_COUNTER_OLDER;
    }
    slot->is_valid = status == JL_OK;
    return status;
}

/** Without its header nothing in the slot can be taken for an image again. */
static void empty(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    slots->slot[index].is_valid = false;
    (void)port->flash_erase(port->model_slots[index].offset);
}

static jl_status write_record(const struct jl_port *port, struct jl_slots *slots,
                              struct jl_record record) {
    jl_status status = jl_records_append(port, &record);
    if (status == JL_OK) {
        slots->record = record;
    }
    return status;
}

/** Serve the slot that the record names. It passed its self-test before the record named it. */
static bool serve_recorded(const struct jl_port *port, struct jl_slots *slots) {
    uint32_t index = slots->record.active_slot;
    if (index >= JL_MODEL_SLOTS || !slots->slot[index].is_valid ||
        jl_model_bind(port, &slots->slot[index].image, &slots->model) != JL_OK) {
        return false;
    }
    slots->active = index;
    return true;
}

/**
 * Try the module in a slot and serve it. Its code may stop the board: the record says which slot is
 * on trial, and how often, so that the starts that follow do not try it for ever.
 */
static jl_status try_slot(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    struct jl_model model;
    jl_status status = jl_model_bind(port, &slots->slot[index].image, &model);
    if (status != JL_OK) {
        return status;
    }
    struct jl_record record = slots->record;
    record.trials = record.trial_slot == index ? (uint8_t)(record.trials + 1) : 1;
    record.trial_slot = (uint8_t)index;
    status = write_record(port, slots, record);
    if (status != JL_OK) {
        return status;
    }
    jl_status outcome = jl_model_self_test(port, &model);
    record.trial_slot = JL_NO_SLOT;
    record.trials = 0;
    record.model_reason = jl_reason_of(outcome);
    if (outcome == JL_OK) {
        record.active_slot = (uint8_t)index;
        record.model_counter = slots->slot[index].image.security_counter;
    }
    status = write_record(port, slots, record);
    if (outcome != JL_OK || status != JL_OK) {
        return outcome != JL_OK ? outcome : status;
    }
    slots->model = model;
    slots->active = index;
    return JL_OK;
}

/** The recorded model is broken: serve any other that proves itself. */
static void serve_other(const struct jl_port *port, struct jl_slots *slots) {
    uint32_t broken = slots->record.active_slot;
    for (uint32_t index = 0; index < JL_MODEL_SLOTS; index++) {
        if (index != broken && slots->slot[index].is_valid &&
            try_slot(port, slots, index) == JL_OK) {
            return;
        }
    }
}

/**
 * A trial stopped the board, or the power went in it. Where another model serves, or none is
 * awaited, the slot is emptied; as the last resort it is tried again, but not for ever.
 */
static void end_stopped_trial(const struct jl_port *port, struct jl_slots *slots) {
    struct jl_record *record = &slots->record;
    bool is_last_resort = slots->active == JL_NO_SLOT && record->active_slot != JL_NO_SLOT;
    if (record->trial_slot >= JL_MODEL_SLOTS || (is_last_resort && record->trials < MAX_TRIALS)) {
        return;
    }
    if (record->trial_slot != slots->active) {
        empty(port, slots, record->trial_slot);
    }
    record->model_reason = jl_reason_of(JL_NODE_ERROR_SELF_TEST_STOPPED);
    record->trial_slot = JL_NO_SLOT;
    record->trials = 0;
}

/** The only model of a board that does not write its flash: no record says that it was tried. */
static void serve_provisioned(const struct jl_port *port, struct jl_slots *slots) {
    jl_status status = look(port, slots, 0);
    if (status == JL_OK) {
        status = jl_model_bind(port, &slots->slot[0].image, &slots->model);
    }
    if (status == JL_OK) {
        status = jl_model_self_test(port, &slots->model);
    }
    if (status == JL_OK) {
        slots->active = 0;
    }
    slots->record.model_reason = jl_reason_of(status);
}

void jl_slots_boot(const struct jl_port *port, struct jl_slots *slots) {
    slots->record = jl_records_read(port);
    slots->active = JL_NO_SLOT;
    if (jl_port_is_read_only(port)) {
        serve_provisioned(port, slots);
        return;
    }
    for (uint32_t index = 0; index < JL_MODEL_SLOTS; index++) {
        look(port, slots, index);
    }
    bool is_serving = serve_recorded(port, slots);
    end_stopped_trial(port, slots);
    slots->record.boot_id++;
    /* A board whose flash is worn out still answers, with the boot it counted in RAM. */
    (void)jl_records_append(port, &slots->record);
    if (slots->record.active_slot != JL_NO_SLOT && !is_serving) {
        serve_other(port, slots);
    }
}

uint32_t jl_slots_spare(const struct jl_slots *slots) {
    return slots->active == 0 ? 1 : 0;
}

jl_status jl_slots_activate(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    jl_status status = look(port, slots, index);
    if (status == JL_OK) {
        slots->record.trial_slot = JL_NO_SLOT; /* whatever lay there before */
        status = try_slot(port, slots, index);
    }
    if (status != JL_OK) {
        empty(port, slots, index);
    }
    return status;
}

jl_status jl_slots_erase(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    if (index == slots->active) {
        return JL_ERROR_BAD_STATE;
    }
    const struct jl_area *area = &port->model_slots[index];
    slots->slot[index].is_valid = false;
    for (uint32_t at = 0; at < area->bytes; at += port->erase_bytes) {
        if (!port->flash_erase(area->offset + at)) {
            return JL_IMAGE_ERROR_FLASH_ERASE_FAILED;
        }
    }
    return JL_OK;
}
