/* The parts of the client: each holds the board to its own promises. */
#ifndef POWERCUT_CLIENT_PARTS_H
#define POWERCUT_CLIENT_PARTS_H

#include "client.h"
#include "promises.h"

/** Read every decision from this one on. */
void outbox_check(uint32_t from);
/** Programs in the outbox; every entry is one, and so is every mark. */
uint32_t outbox_programs(void);
void configuration_check(void);
void models_check(void);
/** The start has a number of its own. */
void boot_check(void);

#endif
