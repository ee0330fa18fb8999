#include "jl_crc.h"

uint16_t jl_crc16(uint16_t crc, uint8_t byte) {
    uint32_t value = crc ^ (uint32_t)byte << 8;
    for (int bit = 0; bit < 8; bit++) {
        value = (value & 0x8000u) != 0 ? value << 1 ^ 0x1021u : value << 1;
    }
    return (uint16_t)value;
}

uint32_t jl_crc32(const void *data, uint32_t bytes) {
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    for (uint32_t index = 0; index < bytes; index++) {
        crc ^= at[index];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 1u) != 0 ? crc >> 1 ^ UINT32_C(0xEDB88320) : crc >> 1;
        }
    }
    return ~crc;
}
