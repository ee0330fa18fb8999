/* The two model slots: one serves, the other takes the next upload. */
#ifndef JL_SLOTS_H
#define JL_SLOTS_H

#include "jl_image.h"
#include "jl_model.h"
#include "jl_records.h"

#include <stdbool.h>
#include <stdint.h>

/** What lies in a slot. */
struct jl_slot {
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
 * Look at both slots and serve the one that the record names; where that one is broken, the other,
 * if it passes its self-test. Counts the start in the record. A board that does not write its flash
 * serves what lies in the first slot, if that passes.
 */
void jl_slots_boot(const struct jl_port *port, struct jl_slots *slots);

/** The slot that an upload goes to. */
uint32_t jl_slots_spare(const struct jl_slots *slots);

/**
 * Verify what was uploaded to a spare slot, run its self-test, and serve it. On failure nothing
 * changes for the model that serves, and the slot is emptied.
 */
jl_status jl_slots_activate(const struct jl_port *port, struct jl_slots *slots, uint32_t index);

/** Forget and erase what lies in a slot; the one that serves is refused. */
jl_status jl_slots_erase(const struct jl_port *port, struct jl_slots *slots, uint32_t index);

#endif
