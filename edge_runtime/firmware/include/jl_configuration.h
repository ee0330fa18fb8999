/*
 * What a user sets on a board. It lies in one of two erase blocks, the new one goes to the other:
 * a power cut leaves the old or the new configuration, never a mixture.
 */
#ifndef JL_CONFIGURATION_H
#define JL_CONFIGURATION_H

#include "jl_port.h"
#include "jl_smp_ids.h"

#include <stdint.h>

struct jl_configuration {
    /** Every how many decisions one goes to the outbox; 0: none does. */
    uint32_t report_every;
};

/** The stored configuration; where there is none, every decision is kept. */
struct jl_configuration jl_configuration_read(const struct jl_port *port);

/** Replace it. JL_ERROR_NOT_SUPPORTED: the board keeps none. */
jl_status jl_configuration_write(const struct jl_port *port,
                                 const struct jl_configuration *configuration);

#endif
