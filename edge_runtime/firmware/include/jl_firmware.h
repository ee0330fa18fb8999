/*
 * The firmware slots: an image starts once on trial, and for good when it was confirmed. All that
 * decides is in the record; one record is written for each step, so that a power cut leaves the
 * step done or not done.
 */
#ifndef JL_FIRMWARE_H
#define JL_FIRMWARE_H

#include "jl_image.h"
#include "jl_records.h"

#include <stdbool.h>
#include <stdint.h>

/** Whether the board has a boot loader that starts what lies in the slots. */
static inline bool jl_firmware_is_replaceable(const struct jl_port *port) {
    return port->firmware_slots[0].bytes > 0;
}

/** Firmware is linked for its slot: whether the header says that it is this one. */
bool jl_firmware_is_at_home(const struct jl_port *port, uint32_t index,
                            const struct jl_image_header *header);

/** Verify what lies in a slot: image, signature, board, place, security counter. */
jl_status jl_firmware_look(const struct jl_port *port, const struct jl_record *record,
                           uint32_t index, struct jl_image *image);

/** The slot that was started last. */
uint32_t jl_firmware_running(const struct jl_record *record);

/** The slot that an update goes to. */
uint32_t jl_firmware_spare(const struct jl_record *record);

/** Whether the firmware that runs is on trial. */
bool jl_firmware_is_on_trial(const struct jl_record *record);

/** A board with a watchdog starts afresh when firmware on trial does not call for so long. */
enum { JL_TRIAL_LIMIT_MS = 8000 };

/** Begin a trial, or keep it alive: the board's watchdog waits afresh. Off a trial, nothing. */
void jl_firmware_keep_alive(const struct jl_port *port, const struct jl_record *record);

/** Start the image in the spare slot once, at the next start. It must have been verified. */
jl_status jl_firmware_test(const struct jl_port *port, struct jl_record *record);

/** Keep the firmware that runs; from now on older security counters are refused. */
jl_status jl_firmware_confirm(const struct jl_port *port, struct jl_record *record);

/**
 * Before the spare slot changes: a trial that it was to have is off. Refused while it is the way
 * back from the firmware that runs.
 */
jl_status jl_firmware_release(const struct jl_port *port, struct jl_record *record);

/** Erase the spare slot. */
jl_status jl_firmware_erase(const struct jl_port *port, struct jl_record *record);

#endif
