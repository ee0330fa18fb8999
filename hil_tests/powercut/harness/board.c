#include "board.h"
#include "engine.h"
#include "images.h"

#include <setjmp.h>
#include <stddef.h>
#include <string.h>

enum { ARENA_BYTES = 1024 };

struct jl_node board_node;
static _Alignas(JL_ARENA_ALIGNMENT) uint8_t arena[ARENA_BYTES];
static uint64_t ticks;
static jmp_buf *watchdog;

static uint64_t clock_ticks(void) {
    return ticks++;
}

static void sleep_until(uint64_t until) {
    (void)until;
}

static uint32_t link_read(uint8_t *data, uint32_t bytes) {
    (void)data;
    (void)bytes;
    return 0;
}

static bool link_write(const uint8_t *data, uint32_t bytes) {
    (void)data;
    (void)bytes;
    return true;
}

static void reset(void) {
}

const struct jl_port board_port = {
    .profile_id = "powercut",
    .kernel_class = JL_KERNEL_SCALAR,
    .flash = flash.memory,
    .erase_bytes = ERASE_BYTES,
    .program_bytes = PROGRAM_BYTES,
    .records = {0, 2 * ERASE_BYTES},
    .configuration = {2 * ERASE_BYTES, 2 * ERASE_BYTES},
    .outbox = {4 * ERASE_BYTES, OUTBOX_BLOCKS *ERASE_BYTES},
    .model_slots =
        {
            {8 * ERASE_BYTES, MODEL_SLOT_BLOCKS *ERASE_BYTES},
            {12 * ERASE_BYTES, MODEL_SLOT_BLOCKS *ERASE_BYTES},
        },
    .flash_erase = flash_erase,
    .flash_program = flash_program,
    .arena = arena,
    .arena_end = arena + ARENA_BYTES,
    .module_stack_bytes = 1024,
    .module_entry = images_entry,
    .ticks_hz = 1000000,
    .clock_ticks = clock_ticks,
    .sleep_until = sleep_until,
    .link_read = link_read,
    .link_write = link_write,
    .reset = reset,
};

_Noreturn void board_hang(void) {
    longjmp(*watchdog, 1);
}

void board_start(void) {
    static jmp_buf stopped;
    static uint32_t starts;
    starts = 0;
    watchdog = &stopped;
    if (setjmp(stopped) != 0 && starts >= MAX_STARTS) {
        violate("the board stopped in each of %u starts", starts);
    }
    starts++;
    flash_power_up();
    ticks = 0;
    memset(arena, 0xA5, sizeof arena);
    memset(&board_node, 0xA5, sizeof board_node);
    jl_node_start(&board_node, &board_port);
    watchdog = NULL;
}

bool board_outlives(void (*action)(void)) {
    static jmp_buf stopped;
    watchdog = &stopped;
    if (setjmp(stopped) != 0) {
        board_start();
        return false;
    }
    action();
    watchdog = NULL;
    return true;
}
