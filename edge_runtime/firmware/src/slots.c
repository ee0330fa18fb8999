#include "jl_firmware.h"
#include "jl_slots.h"

/* A power cut stops a self-test too: so often one is begun before its module gets the blame. */
enum { MAX_ATTEMPTS = 3 };

static const struct jl_slot empty_slot = {.is_known = true};

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
    slot->is_known = true;
    slot->is_valid = status == JL_OK;
    return status;
}

const struct jl_slot *jl_slots_look(const struct jl_port *port, struct jl_slots *slots,
                                    uint32_t index) {
    if (!slots->slot[index].is_known) {
        (void)look(port, slots, index);
    }
    return &slots->slot[index];
}

/** Without its header nothing in the slot can be taken for an image again. */
static void empty(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    slots->slot[index] = empty_slot;
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

static void end_trial(struct jl_record *record, jl_status reason) {
    record->model_trial = JL_NO_SLOT;
    record->model_attempts = 0;
    record->model_reason = jl_reason_of(reason);
}

static void confirm(struct jl_record *record, uint32_t index, const struct jl_image *image) {
    end_trial(record, JL_OK);
    record->model_slot = (uint8_t)index;
    record->model_counter = image->security_counter;
}

/** The slot that the record names. It passed its self-test before the record named it. */
static jl_status bind_confirmed(const struct jl_port *port, struct jl_slots *slots,
                                struct jl_model *model) {
    uint32_t index = slots->record.model_slot;
    if (index >= JL_MODEL_SLOTS || !jl_slots_look(port, slots, index)->is_valid) {
        return JL_ERROR_BAD_STATE;
    }
    return jl_model_bind(port, &slots->slot[index].image, model);
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
    record.model_attempts = record.model_trial == index ? (uint8_t)(record.model_attempts + 1) : 1;
    record.model_trial = (uint8_t)index;
    status = write_record(port, slots, record);
    if (status != JL_OK) {
        return status;
    }
    jl_status outcome = jl_model_self_test(port, &model);
    record.model_attempts = 0;
    if (outcome != JL_OK) {
        end_trial(&record, outcome);
    } else if (slots->active == JL_NO_SLOT) {
        confirm(&record, index, &slots->slot[index].image);
    }
    status = write_record(port, slots, record);
    if (outcome != JL_OK || status != JL_OK) {
        return outcome != JL_OK ? outcome : status;
    }
    slots->model = model;
    slots->active = index;
    return JL_OK;
}

/** The confirmed model is broken: serve any other that proves itself. */
static void serve_other(const struct jl_port *port, struct jl_slots *slots) {
    uint32_t broken = slots->record.model_slot;
    for (uint32_t index = 0; index < JL_MODEL_SLOTS; index++) {
        if (index != broken && jl_slots_look(port, slots, index)->is_valid &&
            try_slot(port, slots, index) == JL_OK) {
            return;
        }
    }
}

/**
 * A self-test stopped the board, or the power went in it. Where another model serves, or none is
 * awaited, the slot is emptied; as the last resort it is tried again, but not for ever.
 */
static void end_stopped_test(const struct jl_port *port, struct jl_slots *slots) {
    struct jl_record *record = &slots->record;
    bool is_last_resort = slots->active == JL_NO_SLOT && record->model_slot != JL_NO_SLOT;
    if (is_last_resort && record->model_attempts < MAX_ATTEMPTS) {
        return;
    }
    if (record->model_trial != slots->active) {
        empty(port, slots, record->model_trial);
    }
    end_trial(record, JL_NODE_ERROR_SELF_TEST_STOPPED);
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
        slots->record.model_slot = 0;
    }
    slots->record.model_reason = jl_reason_of(status);
}

void jl_slots_boot(const struct jl_port *port, struct jl_slots *slots) {
    slots->record = jl_records_read(port);
    struct jl_record *record = &slots->record;
    slots->active = JL_NO_SLOT;
    if (jl_port_is_read_only(port)) {
        serve_provisioned(port, slots);
        return;
    }
    bool is_serving = bind_confirmed(port, slots, &slots->model) == JL_OK;
    slots->active = is_serving ? record->model_slot : JL_NO_SLOT;
    if (record->model_trial < JL_MODEL_SLOTS && record->model_attempts > 0) {
        end_stopped_test(port, slots);
    } else if (record->model_trial < JL_MODEL_SLOTS) {
        end_trial(record, jl_trial_end(port));
    }
    record->boot_id++;
    /* A board whose flash is worn out still answers, with the boot it counted in RAM. */
    (void)jl_records_append(port, record);
    if (record->model_slot != JL_NO_SLOT && !is_serving) {
        serve_other(port, slots);
    }
}

bool jl_slots_is_on_trial(const struct jl_slots *slots) {
    return slots->active != JL_NO_SLOT && slots->active != slots->record.model_slot;
}

uint32_t jl_slots_spare(const struct jl_slots *slots) {
    return slots->active == 0 ? 1 : 0;
}

jl_status jl_slots_activate(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    jl_status status = look(port, slots, index);
    if (status == JL_OK) {
        slots->record.model_trial = JL_NO_SLOT; /* whatever lay there before */
        status = try_slot(port, slots, index);
    }
    if (status != JL_OK) {
        empty(port, slots, index);
    }
    return status;
}

jl_status jl_slots_confirm(const struct jl_port *port, struct jl_slots *slots) {
    if (!jl_slots_is_on_trial(slots)) {
        return JL_OK; /* confirmed already */
    }
    struct jl_record record = slots->record;
    slots->slot[record.model_slot].is_known = false; /* it may be withdrawn now */
    confirm(&record, slots->active, &slots->slot[slots->active].image);
    return write_record(port, slots, record);
}

jl_status jl_slots_revert(const struct jl_port *port, struct jl_slots *slots) {
    if (!jl_slots_is_on_trial(slots)) {
        return JL_OK;
    }
    struct jl_model model;
    if (bind_confirmed(port, slots, &model) != JL_OK) {
        return JL_ERROR_BAD_STATE;
    }
    struct jl_record record = slots->record;
    end_trial(&record, JL_NODE_ERROR_NOT_CONFIRMED);
    jl_status status = write_record(port, slots, record);
    if (status == JL_OK) {
        slots->model = model;
        slots->active = record.model_slot;
    }
    return status;
}

jl_status jl_slots_erase(const struct jl_port *port, struct jl_slots *slots, uint32_t index) {
    bool is_way_back = jl_slots_is_on_trial(slots) && index == slots->record.model_slot;
    if (index == slots->active || is_way_back) {
        return JL_ERROR_BAD_STATE;
    }
    const struct jl_area *area = &port->model_slots[index];
    slots->slot[index] = empty_slot;
    for (uint32_t at = 0; at < area->bytes; at += port->erase_bytes) {
        jl_firmware_keep_alive(port, &slots->record); /* flash may take a minute for a slot */
        if (!port->flash_erase(area->offset + at)) {
            return JL_IMAGE_ERROR_FLASH_ERASE_FAILED;
        }
    }
    return JL_OK;
}
