#include "jl_ledger.h"

void jl_ledger_enter(struct jl_ledger *ledger, enum jl_state state, uint64_t now) {
    ledger->ticks[ledger->state] += now - ledger->since;
    ledger->since = now;
    ledger->state = state;
}
