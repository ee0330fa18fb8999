/*
 * Where what lies in the board's flash, in blocks. Behind each area lies a fence: what an older
 * layout left there looks valid, and belongs to nobody.
 */
#ifndef POWERCUT_LAYOUT_H
#define POWERCUT_LAYOUT_H

/* 1 to 32; parts differ. */
#ifndef POWERCUT_PROGRAM_BYTES
#define POWERCUT_PROGRAM_BYTES 8
#endif

enum {
    ERASE_BYTES = 512,
    PROGRAM_BYTES = POWERCUT_PROGRAM_BYTES,

    FENCE_BLOCKS = 2,
    RECORDS_BLOCK = 0,
    RECORDS_BLOCKS = 2,
    CONFIGURATION_BLOCK = RECORDS_BLOCK + RECORDS_BLOCKS + FENCE_BLOCKS,
    CONFIGURATION_BLOCKS = 2,
    OUTBOX_BLOCK = CONFIGURATION_BLOCK + CONFIGURATION_BLOCKS + FENCE_BLOCKS,
    OUTBOX_BLOCKS = 4,
    MODEL_SLOT_BLOCK = OUTBOX_BLOCK + OUTBOX_BLOCKS + FENCE_BLOCKS,
    MODEL_SLOT_BLOCKS = 4,
    FLASH_BLOCKS = MODEL_SLOT_BLOCK + 2 * MODEL_SLOT_BLOCKS + FENCE_BLOCKS,
    FLASH_BYTES = FLASH_BLOCKS * ERASE_BYTES,

    /** As the firmware lays them out; these figures are part of what the harness holds it to. */
    OUTBOX_ENTRY_BYTES = 64,
    OUTBOX_BLOCK_ENTRIES = ERASE_BYTES / OUTBOX_ENTRY_BYTES,
    RECORD_BYTES = 32,
};

#endif
