/* The flash: the 16 MiB PSRAM at 0x21000000, which QEMU keeps in a file. */
#include "../nor.h"
#include "mps2.h"

static const struct nor psram = {
    .memory = (volatile uint8_t *)MPS2_FLASH_BASE,
    .bytes = MPS2_FLASH_BYTES,
    .erase_bytes = MPS2_FLASH_ERASE_BYTES,
    .program_bytes = MPS2_FLASH_PROGRAM_BYTES,
};

bool mps2_flash_erase(uint32_t offset) {
    return nor_erase(&psram, offset);
}

bool mps2_flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    return nor_program(&psram, offset, data, bytes);
}
