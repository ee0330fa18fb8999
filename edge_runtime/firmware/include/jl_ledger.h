/* Where the ticks went: every tick since the start belongs to exactly one state. */
#ifndef JL_LEDGER_H
#define JL_LEDGER_H

#include <stdint.h>

enum jl_state {
    JL_STATE_WAKE,  /* start-up, and what lies between the other states */
    JL_STATE_RUN,   /* a model's code */
    JL_STATE_LINK,  /* receiving, answering, storing */
    JL_STATE_SLEEP, /* nothing to do */
    JL_STATES,
};

struct jl_ledger {
    enum jl_state state;
    uint64_t since; /* when it was entered */
    uint64_t ticks[JL_STATES];
    uint64_t decisions; /* inferences that succeeded */
    uint64_t bytes_in;
    uint64_t bytes_out;
};

/** Leave the current state for `state` at time `now`. */
void jl_ledger_enter(struct jl_ledger *ledger, enum jl_state state, uint64_t now);

#endif
