#include "jl_configuration.h"
#include "jl_crc.h"
#include "jl_memory.h"

#include <stdbool.h>
#include <stddef.h>

enum { BLOCKS = 2 };

#define CONFIGURATION_MAGIC UINT32_C(0x46434C4A) /* "JLCF" */

/** As it lies at the start of a block. */
struct stored {
    uint32_t magic;
    uint32_t sequence;
    struct jl_configuration configuration;
    uint32_t reserved[4]; /* zero */
    uint32_t crc32;
};

_Static_assert(sizeof(struct stored) % JL_MAX_PROGRAM_BYTES == 0, "whole program units");

static uint32_t block_offset(const struct jl_port *port, uint32_t block) {
    return port->configuration.offset + block * port->erase_bytes;
}

/** The newest one and its block; false: there is none. */
static bool find_newest(const struct jl_port *port, struct stored *newest, uint32_t *place) {
    bool is_found = false;
    for (uint32_t block = 0; block < BLOCKS && port->configuration.bytes > 0; block++) {
        struct stored stored;
        memcpy(&stored, port->flash + block_offset(port, block), sizeof stored);
        bool is_good = stored.magic == CONFIGURATION_MAGIC &&
                       stored.crc32 == jl_crc32(&stored, offsetof(struct stored, crc32));
        if (is_good && (!is_found || stored.sequence > newest->sequence)) {
            *newest = stored;
            *place = block;
            is_found = true;
        }
    }
    return is_found;
}

struct jl_configuration jl_configuration_read(const struct jl_port *port) {
    struct stored newest = {.configuration = {.report_every = 1}};
    uint32_t place;
    (void)find_newest(port, &newest, &place);
    return newest.configuration;
}

jl_status jl_configuration_write(const struct jl_port *port,
                                 const struct jl_configuration *configuration) {
    if (port->configuration.bytes == 0) {
        return JL_ERROR_NOT_SUPPORTED;
    }
    struct stored newest = {0};
    uint32_t place = BLOCKS - 1;
    (void)find_newest(port, &newest, &place);
    uint32_t offset = block_offset(port, (place + 1) % BLOCKS);
    struct stored stored = {
        .magic = CONFIGURATION_MAGIC,
        .sequence = newest.sequence + 1,
        .configuration = *configuration,
    };
    stored.crc32 = jl_crc32(&stored, offsetof(struct stored, crc32));
    bool is_stored = port->flash_erase(offset) &&
                     port->flash_program(offset, (const uint8_t *)&stored, sizeof stored);
    return is_stored ? JL_OK : JL_NODE_ERROR_FLASH_FAILED;
}
