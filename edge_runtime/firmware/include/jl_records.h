/*
 * The board's record: how often it started, which slots of firmware and models count, which are on
 * trial, and why the last trial ended badly. The boot loader and the firmware share it.
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

/** Why something was rolled back: a status in one byte, 0 for nothing. */
typedef uint8_t jl_reason;

/** As it lies in flash; a multiple of every program unit that ports may have. */
struct jl_record {
    uint32_t magic;
    uint32_t sequence;
    uint32_t boot_id;       /* counts starts, from 1 */
    uint8_t model_slot;     /* confirmed; it serves unless another one is on trial */
    uint8_t model_trial;    /* confirmed before the next start, or given up */
    uint8_t firmware_slot;  /* confirmed; it starts unless another one is on trial */
    uint8_t firmware_trial; /* starts once; confirmed before the next start, or given up */
    /* Images with a lower security counter are refused; raised when one is confirmed. */
    uint32_t model_counter;
    uint32_t firmware_counter;
    uint8_t firmware_attempts; /* starts of the firmware on trial so far */
    jl_reason firmware_reason; /* of the last rollback */
    jl_reason model_reason;
    uint8_t model_attempts; /* self-tests of the model on trial; 0: it passed, and serves */
    uint32_t crc32;
};

/** The newest record, or one for a board that never ran: boot 0, no slot. */
struct jl_record jl_records_read(const struct jl_port *port);

/** A status as a reason, and back. */
jl_reason jl_reason_of(jl_status status);
jl_status jl_reason_status(jl_reason reason);

/** Why a trial is over that nobody confirmed: what stopped the board, where that is known. */
jl_status jl_trial_end(const struct jl_port *port);

/** Append the record; sets its magic, sequence and CRC. */
jl_status jl_records_append(const struct jl_port *port, struct jl_record *record);

#endif
