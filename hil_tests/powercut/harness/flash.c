#include "flash.h"
#include "board.h"
#include "engine.h"
#include "nor.h"

#include <string.h>

struct flash flash;

static struct cut armed;
static uint32_t operation_count;
static bool has_failed;
static struct operation operations[MAX_OPERATIONS];

static const struct nor nor = {
    .memory = flash.memory,
    .bytes = FLASH_BYTES,
    .erase_bytes = ERASE_BYTES,
    .program_bytes = PROGRAM_BYTES,
};

uint32_t flash_random(uint32_t below) {
    /* splitmix64 */
    uint64_t value = flash.random += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)((value ^ value >> 31) % below);
}

void flash_arm(struct cut cut) {
    armed = cut;
    operation_count = 0;
    has_failed = false;
}

bool flash_has_failed(void) {
    return has_failed;
}

uint32_t flash_operations(void) {
    return operation_count;
}

const struct operation *flash_operation(uint32_t index) {
    return &operations[index];
}

uint32_t flash_torn_variants(const struct operation *operation) {
    if (operation->is_erase) {
        return TORN_ERASES;
    }
    uint32_t pages = operation->units < PAGE_UNITS ? 1 : TORN_PAGES;
    return TORN_UNITS * operation->units - 1 + pages;
}

void flash_reset(uint64_t seed) {
    memset(&flash, 0, sizeof flash);
    memset(flash.memory, 0xFF, sizeof flash.memory);
    flash.random = seed;
}

void flash_power_up(void) {
    for (uint32_t at = flash.unstable_from; at < flash.unstable_to; at++) {
        uint8_t drawn = (uint8_t)flash_random(256);
        uint8_t mask = flash.unstable[at];
        flash.memory[at] = (uint8_t)((flash.memory[at] & ~mask) | (drawn & mask));
    }
}

static void set_unstable(uint32_t at, uint8_t mask) {
    flash.unstable[at] = mask;
    if (mask == 0) {
        return;
    }
    if (flash.unstable_from == flash.unstable_to) {
        flash.unstable_from = flash.unstable_to = at;
    }
    flash.unstable_from = at < flash.unstable_from ? at : flash.unstable_from;
    flash.unstable_to = at >= flash.unstable_to ? at + 1 : flash.unstable_to;
}

/** Each bit of `mask` with a chance of `percent`. */
static uint8_t some_of(uint8_t mask, uint32_t percent) {
    uint8_t chosen = 0;
    for (uint32_t bit = 0; bit < 8; bit++) {
        if (flash_random(100) < percent) {
            chosen |= (uint8_t)(1u << bit);
        }
    }
    return chosen & mask;
}

/** Some bits of a unit fall, some waver; one at least stays up. */
static void tear_unit(uint32_t offset, const uint8_t *data) {
    bool has_firm = false;
    for (uint32_t index = 0; index < PROGRAM_BYTES; index++) {
        uint8_t *at = &flash.memory[offset + index];
        uint8_t falling = (uint8_t)(*at & ~data[index]);
        if (!has_firm && falling != 0) {
            falling &= (uint8_t)(falling - 1); /* without its lowest bit */
            has_firm = true;
        }
        uint8_t fallen = some_of(falling, 50);
        set_unstable(offset + index, some_of(falling & (uint8_t)~fallen, 50));
        *at &= (uint8_t)~fallen;
    }
}

/** The first bit that is to fall does, and no other. */
static void scratch_unit(uint32_t offset, const uint8_t *data) {
    for (uint32_t index = 0; index < PROGRAM_BYTES; index++) {
        uint8_t *at = &flash.memory[offset + index];
        uint8_t falling = (uint8_t)(*at & ~data[index]);
        if (falling != 0) {
            *at &= (uint8_t) ~(falling & -falling);
            return;
        }
    }
}

/** Whole units; each of them must be erased, in a block whose last erase ended. */
static bool program_units(uint32_t offset, const uint8_t *data, uint32_t units) {
    for (uint32_t at = offset; at < offset + units * PROGRAM_BYTES; at++) {
        if (flash.memory[at] != 0xFF) {
            violate("a unit at %#x is programmed that is not erased", at);
        }
        if (flash.is_half_erased[at / ERASE_BYTES]) {
            violate("block %u is programmed though its erase never ended", at / ERASE_BYTES);
        }
        flash.unstable[at] = 0;
    }
    return nor_program(&nor, offset, data, units * PROGRAM_BYTES);
}

/** All bits but one that is to fall. */
static void nearly_program_unit(uint32_t offset, const uint8_t *data) {
    uint32_t left_out = flash_random(PROGRAM_BYTES);
    bool is_left_out = false;
    for (uint32_t index = 0; index < PROGRAM_BYTES; index++) {
        uint32_t byte = (left_out + index) % PROGRAM_BYTES;
        uint8_t *at = &flash.memory[offset + byte];
        uint8_t falling = (uint8_t)(*at & ~data[byte]);
        if (!is_left_out && falling != 0) {
            falling &= (uint8_t)(falling - 1);
            is_left_out = true;
        }
        *at &= (uint8_t)~falling;
    }
}

/** A part that programs all units of a page at once got to some of them. */
static void tear_page(uint32_t offset, const uint8_t *data, uint32_t units, uint32_t variant) {
    uint32_t last = (units - 1) * PROGRAM_BYTES;
    uint32_t inside = variant == 2 ? 1 + flash_random(units - 2) : 0;
    switch (variant) {
    case 0: /* the whole page but one bit of its last unit */
        program_units(offset, data, units - 1);
        nearly_program_unit(offset + last, data + last);
        return;
    case 1: /* the last unit alone */
        program_units(offset + last, data + last, 1);
        return;
    case 2: /* all but one between the first and the last */
        program_units(offset, data, inside);
        inside = (inside + 1) * PROGRAM_BYTES;
        program_units(offset + inside, data + inside, units - inside / PROGRAM_BYTES);
        return;
    default: /* of each unit but one some bits, perhaps all */
        for (uint32_t at = PROGRAM_BYTES; at <= last; at += PROGRAM_BYTES) {
            switch (flash_random(3)) {
            case 0:
                tear_unit(offset + at, data + at);
                break;
            case 1:
                program_units(offset + at, data + at, 1);
                break;
            default:
                break;
            }
        }
    }
}

static void tear_program(uint32_t offset, const uint8_t *data, uint32_t units, uint32_t variant) {
    if (variant >= TORN_UNITS * units - 1) {
        tear_page(offset, data, units, variant - (TORN_UNITS * units - 1));
        return;
    }
    uint32_t whole = variant / TORN_UNITS + (variant % TORN_UNITS == 2 ? 1 : 0);
    uint32_t at = whole * PROGRAM_BYTES;
    program_units(offset, data, whole);
    if (variant % TORN_UNITS == 0) {
        tear_unit(offset + at, data + at);
    } else if (variant % TORN_UNITS == 1) {
        scratch_unit(offset + at, data + at);
    }
}

/** Bits of a byte of which `percent` have risen; of the others, half waver. */
static void raise_some(uint32_t at, uint32_t percent) {
    uint8_t low = (uint8_t)~flash.memory[at];
    uint8_t risen = some_of(low, percent);
    flash.memory[at] |= risen;
    set_unstable(at, some_of(low & (uint8_t)~risen, 50));
}

static void tear_erase(uint32_t offset, uint32_t variant) {
    flash.is_half_erased[offset / ERASE_BYTES] = true;
    switch (variant) {
    case 0: { /* hardly begun: a bit of one byte wavers */
        uint32_t at = offset + flash_random(ERASE_BYTES);
        set_unstable(at, (uint8_t)(1u << flash_random(8)) & (uint8_t)~flash.memory[at]);
        break;
    }
    case 1:
    case 2:
    case 3: /* the first quarters are erased */
        memset(flash.memory + offset, 0xFF, variant * ERASE_BYTES / 4);
        break;
    case 4: /* the second half is */
        memset(flash.memory + offset + ERASE_BYTES / 2, 0xFF, ERASE_BYTES / 2);
        break;
    case 5: /* parts that program before they erase */
        memset(flash.memory + offset, 0, ERASE_BYTES);
        break;
    default: /* half of the bits have risen, or nearly all */
        for (uint32_t at = offset; at < offset + ERASE_BYTES; at++) {
            raise_some(at, variant == 6 ? 50 : 98);
        }
    }
}

/** Count the operation; whether the cut falls on it, and not behind it. */
static bool begin(struct operation operation) {
    if (operation_count >= MAX_OPERATIONS) {
        violate("%u flash operations and no end", operation_count);
    }
    operation.is_in_start = board_is_starting();
    bool is_hit = armed.kind != CUT_NONE && operation_count == armed.operation;
    operations[operation_count++] = operation;
    if (is_hit && armed.kind == CUT_BEFORE) {
        lose_power();
    }
    has_failed = has_failed || (is_hit && armed.kind == FAILURE);
    return is_hit;
}

bool flash_erase(uint32_t offset) {
    bool is_hit = begin((struct operation){.is_erase = true, .offset = offset});
    if (offset % ERASE_BYTES != 0 || !board_owns(offset, ERASE_BYTES)) {
        violate("an erase at %#x, where no block of the board begins", offset);
    }
    uint32_t block = offset / ERASE_BYTES;
    flash.erases[block]++;
    board_pass(ERASE_MS);
    if (is_hit && armed.kind == FAILURE) {
        tear_erase(offset, armed.variant);
        return false;
    }
    if (is_hit && armed.kind == CUT_TORN) {
        tear_erase(offset, armed.variant);
        lose_power();
    }
    bool is_erased = nor_erase(&nor, offset);
    memset(flash.unstable + offset, 0, ERASE_BYTES);
    flash.is_half_erased[block] = false;
    if (is_hit) {
        lose_power();
    }
    return is_erased;
}

bool flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    if (offset % PROGRAM_BYTES != 0 || bytes % PROGRAM_BYTES != 0 || bytes == 0 ||
        bytes > FLASH_BYTES || !board_owns(offset, bytes)) {
        violate("a program of %u bytes at %#x: no whole units of an area of the board", bytes,
                offset);
    }
    uint32_t units = bytes / PROGRAM_BYTES;
    bool is_hit = begin((struct operation){.offset = offset, .units = units});
    flash.programs[offset / ERASE_BYTES]++;
    if (is_hit && armed.kind == FAILURE) {
        tear_program(offset, data, units, armed.variant);
        return false;
    }
    if (is_hit && armed.kind == CUT_TORN) {
        tear_program(offset, data, units, armed.variant);
        lose_power();
    }
    bool is_stored = program_units(offset, data, units);
    if (is_hit) {
        lose_power();
    }
    return is_stored;
}
