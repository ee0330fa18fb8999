/* The boot loader: it starts verified firmware, or none. */
#ifndef JL_BOOT_H
#define JL_BOOT_H

#include "jl_image.h"
#include "jl_port.h"

#include <stdbool.h>

/**
 * Choose what to start, and store what must be known if it never answers: a trial is counted before
 * it begins. False: no slot holds firmware that may start.
 */
bool jl_boot_choose(const struct jl_port *port, struct jl_image *image);

/** Start the chosen firmware; where there is none, say so on the link and stay. */
_Noreturn void jl_boot_run(const struct jl_port *port);

#endif
