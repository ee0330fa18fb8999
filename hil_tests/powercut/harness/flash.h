/*
 * Simulated NOR flash whose power can be cut at any operation: before it, in its middle, behind it.
 *
 * An operation is one call of the port: the erase of a block, or the program of some units. What a
 * cut in the middle leaves: of a program, a prefix of whole units and perhaps one unit of which
 * only some bits fell, or a single one; of parts that program a page at once, any of its units; of
 * an erase, a block of which only some bits rose. Bits that were on their way read differently at
 * each start; at least one bit of a torn unit never reads as programmed.
 *
 * Flash that fails reports it: the same is left, and the board goes on.
 */
#ifndef POWERCUT_FLASH_H
#define POWERCUT_FLASH_H

#include "jl_port.h"
#include "layout.h"

enum {
    MAX_OPERATIONS = 8192,
    /** Ways in which an erase can stop in its middle. */
    TORN_ERASES = 8,
    /** Ways in which each unit of a program can be the last: torn, scratched, whole. */
    TORN_UNITS = 3,
    /** Ways in which a whole page can stop, one of them also where there are less units. */
    TORN_PAGES = 4,
    PAGE_UNITS = 3,
};

/** What flash is, and what the next start depends on. */
struct flash {
    uint8_t memory[FLASH_BYTES];
    uint8_t unstable[FLASH_BYTES]; /* bits that are drawn anew at each start */
    uint32_t unstable_from;        /* outside [from, to) none is */
    uint32_t unstable_to;
    bool is_half_erased[FLASH_BLOCKS]; /* its erase stopped; it wants another one */
    uint32_t erases[FLASH_BLOCKS];
    uint32_t programs[FLASH_BLOCKS];
    uint64_t random;
};

enum cut_kind {
    CUT_NONE,
    CUT_BEFORE,
    CUT_TORN,
    CUT_AFTER,
    FAILURE, /* no cut: the operation is torn, and the flash says so */
};

struct cut {
    enum cut_kind kind;
    uint32_t operation; /* counted from 0 since flash_arm() */
    uint32_t variant;   /* of CUT_TORN, FAILURE */
};

/** An operation as it was asked for. */
struct operation {
    bool is_erase;
    bool is_in_start;
    uint32_t offset;
    uint32_t units;
};

extern struct flash flash;

/** Count operations from here on, and end the run at the cut. */
void flash_arm(struct cut cut);
/** Whether the flash reported a failure since flash_arm(). */
bool flash_has_failed(void);
/** Operations since flash_arm(). */
uint32_t flash_operations(void);
/** One of them. */
const struct operation *flash_operation(uint32_t index);
/** In how many ways its middle can be cut. */
uint32_t flash_torn_variants(const struct operation *operation);

/** All erased, never worn. */
void flash_reset(uint64_t seed);
/** Power comes back: unstable bits are drawn. */
void flash_power_up(void);

bool flash_erase(uint32_t offset);
bool flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes);

/** A number from 0 to `below` - 1 that the seed decides. */
uint32_t flash_random(uint32_t below);

#endif
