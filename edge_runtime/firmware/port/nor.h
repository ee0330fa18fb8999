/*
 * NOR flash played by memory: whole erase blocks, whole program units, and programming only lets
 * bits fall. Units are powers of two.
 */
#ifndef NOR_H
#define NOR_H

#include <stdbool.h>
#include <stdint.h>

struct nor {
    volatile uint8_t *memory;
    uint32_t bytes;
    uint32_t erase_bytes;
    uint32_t program_bytes;
};

static inline bool nor_erase(const struct nor *nor, uint32_t offset) {
    if (offset % nor->erase_bytes != 0 || offset >= nor->bytes) {
        return false;
    }
    for (uint32_t index = 0; index < nor->erase_bytes; index++) {
        nor->memory[offset + index] = 0xFF;
    }
    return true;
}

static inline bool nor_program(const struct nor *nor, uint32_t offset, const uint8_t *data,
                               uint32_t bytes) {
    if (offset % nor->program_bytes != 0 || bytes % nor->program_bytes != 0 ||
        offset > nor->bytes || bytes > nor->bytes - offset) {
        return false;
    }
    volatile uint8_t *at = nor->memory + offset;
    bool is_stored = true;
    for (uint32_t index = 0; index < bytes; index++) {
        at[index] = at[index] & data[index];
        is_stored = is_stored && at[index] == data[index];
    }
    return is_stored;
}

#endif
