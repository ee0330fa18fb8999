/*
 * The board whose header the build includes. It does not write its flash: firmware and model are
 * put there by a debug probe, and whatever would write is refused.
 */
#include "stm32f4.h"

extern const uint32_t link_stack_start[];
extern const uint32_t link_stack_top[];
extern uint8_t link_arena_start[];
extern uint8_t link_arena_end[];

enum {
    /* Behind the sectors of the firmware, 16 to 64 KiB; the linker script says the same. */
    MODEL_OFFSET = 0x20000,
    MODEL_BYTES = 0xE0000,
    SECTOR_BYTES = 0x20000, /* of the model's */
    WORD_BYTES = 4,
};

static bool refuse_erase(uint32_t offset) {
    (void)offset;
    return false;
}

static bool refuse_program(uint32_t offset, const uint8_t *data, uint32_t bytes) {
    (void)offset;
    (void)data;
    (void)bytes;
    return false;
}

const struct jl_port stm32f4_board = {
    .profile_id = STM32F4_PROFILE,
    .kernel_class = JL_KERNEL_DSP,
    .isa_features = JL_ISA_THUMB2 | JL_ISA_DSP | JL_ISA_FPU_SINGLE,
    .trusted_keys = &jl_trusted_keys,
    .verify_signature = jl_ed25519_verify,

    .flash = (const uint8_t *)0x08000000u,
    .erase_bytes = SECTOR_BYTES,
    .program_bytes = WORD_BYTES,
    .model_slots = {{MODEL_OFFSET, MODEL_BYTES}},
    .flash_erase = refuse_erase,
    .flash_program = refuse_program,

    .arena = link_arena_start,
    .arena_end = link_arena_end,
    .stack = link_stack_start,
    .stack_end = link_stack_top,
    .module_stack_bytes = 12 * 1024, /* of the 16 KiB in the linker script */
    .module_entry = cortex_m_module_entry,

    .picojoules_per_tick = JL_PICOJOULES_PER_TICK, /* from the crystal */
    .clock_ticks = cortex_m_systick_ticks,
    .sleep_until = stm32f4_sleep_until,
    .link_read = stm32f4_uart_read,
    .link_write = stm32f4_uart_write,
    .reset = cortex_m_reset,
    .stopped_by = cortex_m_stopped_by,
    .start_firmware = cortex_m_start_firmware, /* never: nothing is replaced */
};
