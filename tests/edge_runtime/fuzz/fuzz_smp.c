/* SMP: messages of any content, one behind the other, each behind its length in two bytes. */
#include "fuzz.h"
#include "jl_node.h"
#include "nor.h"

#include <string.h>

enum { BLOCK = 4096, SLOT = 4 * BLOCK, FLASH_BYTES = 16 * BLOCK, ARENA_BYTES = 4096 };

static uint8_t memory[FLASH_BYTES];
static struct nor flash = {
    .memory = memory, .bytes = FLASH_BYTES, .erase_bytes = BLOCK, .program_bytes = 8};

static bool flash_erase(uint32_t offset) {
    return nor_erase(&flash, offset);
}

static bool flash_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    return nor_program(&flash, offset, data, bytes);
}

static uint64_t ticks(void) {
    static uint64_t now;
    return ++now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static _Alignas(JL_ARENA_ALIGNMENT) uint8_t arena[ARENA_BYTES];
    static struct jl_port port = {
        .profile_id = "host",
        .kernel_class = JL_KERNEL_SCALAR,
        .trusted_keys = &jl_trusted_keys,
        .verify_signature = jl_ed25519_verify,
        .flash = memory,
        .erase_bytes = BLOCK,
        .program_bytes = 8,
        .records = {0, 2 * BLOCK},
        .configuration = {2 * BLOCK, 2 * BLOCK},
        .outbox = {4 * BLOCK, 3 * BLOCK},
        .model_slots = {{8 * BLOCK, SLOT}, {12 * BLOCK, SLOT}},
        .flash_erase = flash_erase,
        .flash_program = flash_program,
        .ticks_hz = 1000,
        .clock_ticks = ticks,
        .arena = arena,
        .arena_end = arena + ARENA_BYTES,
    };
    static struct jl_node node;
    memset(memory, 0xFF, sizeof memory);
    jl_node_start(&node, &port);
    while (size >= 2) {
        size_t stated = (size_t)data[0] << 8 | data[1];
        size_t bytes = stated < size - 2 ? stated : size - 2;
        bytes = bytes < JL_BUFFER_BYTES - 4 ? bytes : JL_BUFFER_BYTES - 4;
        /* A copy as large as the message: a sanitizer sees what is read behind it. */
        uint8_t *message = malloc(bytes);
        memcpy(message, data + 2, bytes);
        uint32_t answer = jl_smp_answer(&node, (struct jl_bytes){message, (uint32_t)bytes});
        free(message);
        REQUIRE(answer <= sizeof node.reply);
        if (answer > 0) {
            struct jl_bytes map = {node.reply + JL_SMP_HEADER_BYTES, answer - JL_SMP_HEADER_BYTES};
            REQUIRE(jl_cbor_is_map(map));
        }
        data += bytes + 2;
        size -= bytes + 2;
    }
    return 0;
}
