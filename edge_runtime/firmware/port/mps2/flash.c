/* The flash: 16 MiB of the board's memory, which QEMU keeps in a file. */
#include "../nor.h"
#include "mps2.h"

static const struct nor flash = {
    .memory = (volatile uint8_t *)MPS2_FLASH_BASE,
    .bytes = MPS2_FLASH_BYTES,
    .erase_bytes = MPS2_FLASH_ERASE_BYTES,
    .program_bytes = MPS2_FLASH_PROGRAM_BYTES,
};

bool mps2_flash_erase(uint32_t offset) {
    return nor_erase(&flash, offset);
}

bool mps2_flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    return nor_program(&flash, offset, data, bytes);
}
