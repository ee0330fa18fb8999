/*
 * The board's record: how often it started, which model slot serves, which one is on trial.
 *
 * Records are appended to one of two erase blocks; the one with the highest sequence and a right
 * CRC counts. A full block is followed by the other, erased first, so that the last good record is
 * never erased before the next one is complete.
 */
#ifndef JL_RECORDS_H
#define JL_RECORDS_H

#include "jl_port.h"
#include "jl_smp_ids.h"

#include <stdint.h>

/** No slot serves. */
enum { JL_NO_SLOT = 0xFF };

/** As it lies in flash; a multiple of every program unit that ports may have. */
struct jl_record {
    uint32_t magic;
    uint32_t sequence;
    uint32_t boot_id; /* counts starts, from 1 */
    uint32_t active_slot;
    uint16_t trial_slot; /* whose self-test runs, or was running when the board stopped */
    uint16_t trials;     /* of that slot, begun and not ended */
    /* Images with a lower security counter are refused; raised when one is served for good. */
    uint32_t model_counter;
    uint32_t firmware_counter;
    uint32_t crc32;
};

/** The newest record, or one for a board that never ran: boot 0, no slot. */
struct jl_record jl_records_read(const struct jl_port *port);

/** Append the record; sets its magic, sequence and CRC. */
jl_status jl_records_append(const struct jl_port *port, struct jl_record *record);

#endif
