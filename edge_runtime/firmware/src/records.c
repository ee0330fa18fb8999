#include "jl_crc.h"
#include "jl_memory.h"
#include "jl_records.h"

#include <stddef.h>

enum { BLOCKS = 2 };

#define RECORD_MAGIC UINT32_C(0x43524C4A) /* "JLRC" */

_Static_assert(sizeof(struct jl_record) % JL_MAX_PROGRAM_BYTES == 0, "whole program units");

static uint32_t record_crc(const struct jl_record *record) {
    return jl_crc32(record, offsetof(struct jl_record, crc32));
}

static uint32_t block_offset(const struct jl_port *port, uint32_t block) {
    return port->records.offset + block * port->erase_bytes;
}

/** Where the newest record lies. */
struct place {
    uint32_t block;
    uint32_t end; /* in the block, behind the record */
};

static bool find_newest(const struct jl_port *port, struct jl_record *newest, struct place *place) {
    bool is_found = false;
    for (uint32_t block = 0; block < BLOCKS && !jl_port_is_read_only(port); block++) {
        const uint8_t *start = port->flash + block_offset(port, block);
        for (uint32_t at = 0; at < port->erase_bytes; at += (uint32_t)sizeof *newest) {
            struct jl_record record;
            memcpy(&record, start + at, sizeof record);
            bool is_good = record.magic == RECORD_MAGIC && record.crc32 == record_crc(&record);
            if (is_good && (!is_found || record.sequence > newest->sequence)) {
                *newest = record;
                *place = (struct place){block, at + (uint32_t)sizeof record};
                is_found = true;
            }
        }
    }
    return is_found;
}

struct jl_record jl_records_read(const struct jl_port *port) {
    struct jl_record record;
    struct place place;
    if (!find_newest(port, &record, &place)) {
        record = (struct jl_record){
            .model_slot = JL_NO_SLOT,
            .model_trial = JL_NO_SLOT,
            .firmware_trial = JL_NO_SLOT,
        };
    }
    return record;
}

/* Codes of the group of images lie above those of our own, which stay below 34. */
enum { IMAGE_REASONS = 64 };

jl_reason jl_reason_of(jl_status status) {
    uint32_t group = (uint32_t)status >> 16;
    uint32_t code = (uint32_t)status & 0xFFFFu;
    return (jl_reason)(group == JL_GROUP_IMAGE ? IMAGE_REASONS + code : code);
}

jl_status jl_reason_status(jl_reason reason) {
    if (reason == 0) {
        return JL_OK;
    }
    uint32_t group = reason >= IMAGE_REASONS ? JL_GROUP_IMAGE : JL_GROUP_NODE;
    return (jl_status)(group << 16 | (reason & (IMAGE_REASONS - 1u)));
}

jl_status jl_trial_end(const struct jl_port *port) {
    switch (port->stopped_by == NULL ? JL_STOP_OTHER : port->stopped_by()) {
    case JL_STOP_FAULT:
        return JL_NODE_ERROR_TRIAL_CRASHED;
    case JL_STOP_WATCHDOG:
        return JL_NODE_ERROR_TRIAL_HUNG;
    default:
        return JL_NODE_ERROR_NOT_CONFIRMED;
    }
}

static bool is_erased(const uint8_t *data, uint32_t bytes) {
    for (uint32_t index = 0; index < bytes; index++) {
        if (data[index] != 0xFF) {
            return false;
        }
    }
    return true;
}

jl_status jl_records_append(const struct jl_port *port, struct jl_record *record) {
    if (jl_port_is_read_only(port)) {
        return JL_NODE_ERROR_FLASH_READ_ONLY;
    }
    struct jl_record newest = {0};
    struct place place = {.block = BLOCKS - 1, .end = port->erase_bytes};
    find_newest(port, &newest, &place);
    /* What a power cut left half written is stepped over. */
    const uint8_t *start = port->flash + block_offset(port, place.block);
    while (place.end < port->erase_bytes && !is_erased(start + place.end, sizeof *record)) {
        place.end += (uint32_t)sizeof *record;
    }
    if (place.end >= port->erase_bytes) {
        place = (struct place){.block = (place.block + 1) % BLOCKS, .end = 0};
        if (!port->flash_erase(block_offset(port, place.block))) {
            return JL_IMAGE_ERROR_FLASH_ERASE_FAILED;
        }
    }
    record->magic = RECORD_MAGIC;
    record->sequence = newest.sequence + 1;
    record->crc32 = record_crc(record);
    uint32_t offset = block_offset(port, place.block) + place.end;
    bool is_written = port->flash_program(offset, (const uint8_t *)record, sizeof *record);
    return is_written ? JL_OK : JL_IMAGE_ERROR_FLASH_WRITE_FAILED;
}
