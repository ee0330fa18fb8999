#include "jl_boot.h"
#include "jl_firmware.h"

/** A trial that may not begin, or that nobody confirmed, is over: the confirmed slot counts. */
static void give_up(struct jl_record *record, jl_status reason) {
    record->firmware_trial = JL_NO_SLOT;
    record->firmware_attempts = 0;
    record->firmware_reason = jl_reason_of(reason);
}

/** Begin the trial that the record asks for. The attempt is stored first, or there is none. */
static bool begin_trial(const struct jl_port *port, struct jl_record *record,
                        struct jl_image *image) {
    jl_status status = jl_firmware_look(port, record, record->firmware_trial, image);
    if (status == JL_OK) {
        record->firmware_attempts = 1;
        status = jl_records_append(port, record);
    }
    if (status != JL_OK) {
        give_up(record, status);
        (void)jl_records_append(port, record);
    }
    jl_firmware_keep_alive(port, record); /* it may hang before its first word */
    return status == JL_OK;
}

/** Start the confirmed slot; where it is broken, the other, from then on the confirmed one. */
static bool fall_back(const struct jl_port *port, struct jl_record *record,
                      struct jl_image *image) {
    uint32_t confirmed = record->firmware_slot < JL_FIRMWARE_SLOTS ? record->firmware_slot : 0;
    jl_status status = jl_firmware_look(port, record, confirmed, image);
    if (status == JL_OK) {
        return true;
    }
    uint32_t other = confirmed == 0 ? 1 : 0;
    if (jl_firmware_look(port, record, other, image) != JL_OK) {
        return false;
    }
    record->firmware_slot = (uint8_t)other;
    record->firmware_reason = jl_reason_of(status);
    (void)jl_records_append(port, record);
    return true;
}

bool jl_boot_choose(const struct jl_port *port, struct jl_image *image) {
    struct jl_record record = jl_records_read(port);
    if (record.firmware_trial < JL_FIRMWARE_SLOTS) {
        if (record.firmware_attempts == 0 && begin_trial(port, &record, image)) {
            return true;
        }
        if (record.firmware_attempts > 0) {
            give_up(&record, jl_trial_end(port));
            (void)jl_records_append(port, &record);
        }
    }
    return fall_back(port, &record, image);
}
