#include "jl_firmware.h"

static struct jl_bytes slot_bytes(const struct jl_port *port, uint32_t index) {
    const struct jl_area *area = &port->firmware_slots[index];
    return (struct jl_bytes){port->flash + area->offset, area->bytes};
}

bool jl_firmware_is_at_home(const struct jl_port *port, uint32_t index,
                            const struct jl_image_header *header) {
    uintptr_t home = (uintptr_t)slot_bytes(port, index).data;
    return header->load_address == (uint32_t)home;
}

jl_status jl_firmware_look(const struct jl_port *port, const struct jl_record *record,
                           uint32_t index, struct jl_image *image) {
    struct jl_image_header header;
    struct jl_bytes area = slot_bytes(port, index);
    jl_status status = jl_image_read_header(area, &header);
    if (status == JL_OK && !jl_firmware_is_at_home(port, index, &header)) {
        status = JL_NODE_ERROR_WRONG_SLOT;
    }
    if (status == JL_OK) {
        status = jl_image_verify(port, area, image);
    }
    if (status == JL_OK) {
        status = jl_image_check_firmware(port, image);
    }
    if (status == JL_OK && image->security_counter < record->firmware_counter) {
        status = JL_NODE_ERROR_COUNTER_OLDER;
    }
    return status;
}

bool jl_firmware_is_on_trial(const struct jl_record *record) {
    return record->firmware_trial < JL_FIRMWARE_SLOTS && record->firmware_attempts > 0;
}

void jl_firmware_keep_alive(const struct jl_port *port, const struct jl_record *record) {
    if (jl_firmware_is_on_trial(record)) {
        jl_port_watch(port, JL_TRIAL_LIMIT_MS);
    }
}

uint32_t jl_firmware_running(const struct jl_record *record) {
    return jl_firmware_is_on_trial(record) ? record->firmware_trial : record->firmware_slot;
}

uint32_t jl_firmware_spare(const struct jl_record *record) {
    return jl_firmware_running(record) == 0 ? 1 : 0;
}

static jl_status write_record(const struct jl_port *port, struct jl_record *record,
                              struct jl_record next) {
    jl_status status = jl_records_append(port, &next);
    if (status == JL_OK) {
        *record = next;
    }
    return status;
}

jl_status jl_firmware_test(const struct jl_port *port, struct jl_record *record) {
    if (jl_firmware_is_on_trial(record)) {
        return JL_ERROR_BAD_STATE; /* what runs is not confirmed: there would be no way back */
    }
    struct jl_record next = *record;
    next.firmware_trial = (uint8_t)jl_firmware_spare(record);
    next.firmware_attempts = 0;
    return write_record(port, record, next);
}

jl_status jl_firmware_confirm(const struct jl_port *port, struct jl_record *record) {
    if (!jl_firmware_is_on_trial(record)) {
        return JL_OK; /* confirmed already */
    }
    struct jl_image image;
    jl_status status = jl_firmware_look(port, record, record->firmware_trial, &image);
    if (status != JL_OK) {
        return status;
    }
    struct jl_record next = *record;
    next.firmware_slot = record->firmware_trial;
    next.firmware_trial = JL_NO_SLOT;
    next.firmware_attempts = 0;
    next.firmware_reason = 0;
    next.firmware_counter = image.security_counter;
    status = write_record(port, record, next);
    if (status == JL_OK) {
        jl_port_watch(port, 0);
    }
    return status;
}

jl_status jl_firmware_release(const struct jl_port *port, struct jl_record *record) {
    if (jl_firmware_is_on_trial(record)) {
        return JL_ERROR_BAD_STATE;
    }
    if (record->firmware_trial >= JL_FIRMWARE_SLOTS) {
        return JL_OK;
    }
    struct jl_record next = *record;
    next.firmware_trial = JL_NO_SLOT;
    return write_record(port, record, next);
}

jl_status jl_firmware_erase(const struct jl_port *port, struct jl_record *record) {
    const struct jl_area *area = &port->firmware_slots[jl_firmware_spare(record)];
    /* The record first: a slot that is half erased is never on trial. */
    jl_status status = jl_firmware_release(port, record);
    for (uint32_t at = 0; status == JL_OK && at < area->bytes; at += port->erase_bytes) {
        if (!port->flash_erase(area->offset + at)) {
            status = JL_IMAGE_ERROR_FLASH_ERASE_FAILED;
        }
    }
    return status;
}
