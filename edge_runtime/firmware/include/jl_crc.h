/* Cyclic redundancy checks, bit by bit: no table, the data are short. */
#ifndef JL_CRC_H
#define JL_CRC_H

#include <stdint.h>

/** CRC-16/XMODEM (polynomial 0x1021) of one more byte; starts with 0. */
uint16_t jl_crc16(uint16_t crc, uint8_t byte);

/** CRC-32 as in zlib. */
uint32_t jl_crc32(const void *data, uint32_t bytes);

#endif
