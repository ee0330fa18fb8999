/* The board whose header the build includes: one struct for the whole family. */
#include "mps2.h"

extern const uint32_t link_stack_start[];
extern const uint32_t link_stack_top[];
extern uint8_t link_arena_start[];
extern uint8_t link_arena_end[];

const struct jl_port mps2_board = {
    .profile_id = MPS2_PROFILE,
    .kernel_class = MPS2_KERNEL_CLASS,
    .isa_features = MPS2_ISA_FEATURES,
    .trusted_keys = &jl_trusted_keys,
    .verify_signature = mps2_verify_signature,

    .flash = (const uint8_t *)MPS2_FLASH_BASE,
    .erase_bytes = MPS2_FLASH_ERASE_BYTES,
    .program_bytes = MPS2_FLASH_PROGRAM_BYTES,
    .records = {0, 2 * MPS2_FLASH_ERASE_BYTES},
    .configuration = {0x8000, 2 * MPS2_FLASH_ERASE_BYTES},
    .outbox = {0x10000, 16 * MPS2_FLASH_ERASE_BYTES},
    .model_slots = {{0x400000, 0x400000}, {0x800000, 0x400000}},
    .firmware_slots = {{MPS2_SLOT_A, MPS2_SLOT_BYTES}, {MPS2_SLOT_B, MPS2_SLOT_BYTES}},
    .flash_erase = mps2_flash_erase,
    .flash_program = mps2_flash_program,

    .arena = link_arena_start,
    .arena_end = link_arena_end,
    .stack = link_stack_start,
    .stack_end = link_stack_top,
    .module_stack_bytes = 12 * 1024, /* of the 16 KiB in the linker script */
    .module_entry = cortex_m_module_entry,

    .ticks_hz = MPS2_CLOCK_HZ,
    .picojoules_per_tick = JL_PICOJOULES_PER_TICK,
    .clock_ticks = mps2_clock_ticks,
    .sleep_until = mps2_sleep_until,
    .link_read = mps2_uart_read,
    .link_write = mps2_uart_write,
    .reset = cortex_m_reset,
#ifdef MPS2_WATCHDOG
    .watchdog = mps2_watchdog,
#endif
    .stopped_by = cortex_m_stopped_by,
    .start_firmware = cortex_m_start_firmware,
};
