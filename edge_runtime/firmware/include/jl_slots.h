/*
 * The two model slots: one serves, the other takes the next upload. A model that passed its
 * self-test serves on trial; unless it is confirmed before the next start, the one that was
 * confirmed last serves again. Where there is none to go back to, a model is confirmed at once.
 */
#ifndef JL_SLOTS_H
#define JL_SLOTS_H

#include "jl_image.h"
#include "jl_model.h"
#include "jl_records.h"

#include <stdbool.h>
#include <stdint.h>

/** What lies in a slot; verified when somebody asks, for that takes its time. */
struct jl_slot {
    bool is_known; /* what follows is true */
    bool is_valid; /* a signed image that was not withdrawn by a higher security counter */
    struct jl_image image;
};

struct jl_slots {
    struct jl_slot slot[JL_MODEL_SLOTS];
    struct jl_record record;
    uint32_t active;       /* index, or JL_NO_SLOT */
    struct jl_model model; /* of the active slot */
};

/**
 * Serve the model that was confirmed; where that one is broken, the other, if it passes its
 * self-test. A trial that was not confirmed is over. Counts the start in the record. A board that
 * does not write its flash serves what lies in the first slot, if that passes.
 */
void jl_slots_boot(const struct jl_port *port, struct jl_slots *slots);

/** What lies in a slot, verified now if it was not yet. */
const struct jl_slot *jl_slots_look(const struct jl_port *port, struct jl_slots *slots,
                                    uint32_t index);

/** The slot that an upload goes to. */
uint32_t jl_slots_spare(const struct jl_slots *slots);

/** Whether the model that serves is not confirmed. */
bool jl_slots_is_on_trial(const struct jl_slots *slots);

/**
 * Verify what lies in the spare slot, run its self-test, and serve it, on trial. Not in a trial. On
 * failure nothing changes for the model that serves, and the slot is emptied.
 */
jl_status jl_slots_activate(const struct jl_port *port, struct jl_slots *slots, uint32_t index);

/** Keep the model that serves; from now on older security counters are refused. */
jl_status jl_slots_confirm(const struct jl_port *port, struct jl_slots *slots);

/**
 * End a trial: the confirmed model serves again. Where that one cannot, JL_ERROR_BAD_STATE, and the
 * trial goes on.
 */
jl_status jl_slots_revert(const struct jl_port *port, struct jl_slots *slots);

/** Forget and erase what lies in a slot; what serves is refused, and the way back from a trial. */
jl_status jl_slots_erase(const struct jl_port *port, struct jl_slots *slots, uint32_t index);

#endif
