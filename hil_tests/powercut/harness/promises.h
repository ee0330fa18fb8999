/*
 * What the board has promised: every answer that a client got, and the request that got none.
 *
 * A client that keeps this book can tell, after a start, what must be there, what must not, and
 * what may be either way because the power went before its answer.
 */
#ifndef POWERCUT_PROMISES_H
#define POWERCUT_PROMISES_H

#include "images.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    MAX_DECISIONS = 512,
    NOTHING = -1,
};

enum decision_state {
    DECISION_UNKNOWN,
    DECISION_OWED,
    DECISION_ACKNOWLEDGED,
    DECISION_DROPPED,
};

/** A decision as a client reads it. */
struct decision {
    uint32_t boot_id;
    uint32_t at;
    uint32_t ticks;
    uint32_t bytes;
    uint32_t crc32;
    uint8_t output[MODEL_SIZE];
};

struct told_decision {
    enum decision_state state;
    bool is_read; /* `content` is all of it, not only the output */
    struct decision content;
    uint32_t programs; /* in the outbox before it was stored */
};

struct promises {
    uint32_t cuts;    /* since the scenario began */
    uint32_t boot_id; /* the highest that was answered */
    uint32_t starts;  /* since then */

    struct told_decision decisions[MAX_DECISIONS]; /* by sequence */
    uint32_t first;
    uint32_t next;
    uint32_t dropped;
    bool is_appending;      /* `decisions[next]` is on its way */
    uint32_t acknowledging; /* through which; 0: nothing is */

    uint32_t report_every;
    int64_t configuring; /* to which; NOTHING: it is not */

    int32_t model; /* that is confirmed; NOTHING: none */
    uint32_t model_counter;
    int32_t next_model;  /* on its way: may serve already, without a way back for good */
    int32_t model_trial; /* it was answered that it serves on trial; NOTHING: none does */
    bool is_confirming_model;

    int32_t firmware; /* that is confirmed */
    uint32_t firmware_counter;
    int32_t trial;          /* asked for, or running; NOTHING: none */
    uint32_t trial_cuts;    /* `cuts` when it was answered that it will begin */
    uint32_t trial_starts;  /* of it */
    bool is_trial_promised; /* it was answered */
    bool is_confirming;
};

extern struct promises promises;

/** A board that never ran. */
void promises_reset(void);

/** The boot loader starts this firmware: a trial begins once. */
void promises_firmware_starts(enum firmware number);

#endif
