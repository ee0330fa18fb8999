/*
 * Flash played by RAM that QEMU keeps in a file, under the rules of NOR flash: whole erase blocks,
 * whole program units, and programming only lets bits fall.
 */
#include "mps2.h"

static volatile uint8_t *flash_at(uint32_t offset) {
    return (volatile uint8_t *)(uintptr_t)(MPS2_FLASH_BASE + offset);
}

bool mps2_flash_erase(uint32_t offset) {
    if (offset % MPS2_FLASH_ERASE_BYTES != 0 || offset >= MPS2_FLASH_BYTES) {
        return false;
    }
    volatile uint32_t *at = (volatile uint32_t *)flash_at(offset);
    for (uint32_t word = 0; word < MPS2_FLASH_ERASE_BYTES / 4; word++) {
        at[word] = UINT32_MAX;
    }
    return true;
}

bool mps2_flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    if (offset % MPS2_FLASH_PROGRAM_BYTES != 0 || bytes % MPS2_FLASH_PROGRAM_BYTES != 0 ||
        offset > MPS2_FLASH_BYTES || bytes > MPS2_FLASH_BYTES - offset) {
        return false;
    }
    volatile uint8_t *at = flash_at(offset);
    bool is_stored = true;
    for (uint32_t index = 0; index < bytes; index++) {
        at[index] = at[index] & data[index];
        is_stored = is_stored && at[index] == data[index];
    }
    return is_stored;
}
