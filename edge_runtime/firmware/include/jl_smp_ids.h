/*
 * Numbers of SMP, the MCUmgr management protocol.
 * Generated from edge_runtime/wire/smp.py by edge_runtime/firmware/generate_ids.py; do not edit.
 */
#ifndef JL_SMP_IDS_H
#define JL_SMP_IDS_H

enum {
    JL_SMP_VERSION_1 = 0,
    JL_SMP_VERSION_2 = 1,
    JL_SMP_HEADER_BYTES = 8,
    JL_SMP_MIN_BUFFER_BYTES = 1024,
    JL_SMP_MAX_LINE_BYTES = 127,
    JL_SMP_IMAGE_FIRMWARE = 0,
    JL_SMP_IMAGE_MODEL = 1,
    JL_SMP_SLOTS_PER_IMAGE = 2,
    JL_SMP_FRAME_START_0 = 6,
    JL_SMP_FRAME_START_1 = 9,
    JL_SMP_FRAME_CONTINUE_0 = 4,
    JL_SMP_FRAME_CONTINUE_1 = 20,
};

enum {
    JL_SMP_READ = 0,
    JL_SMP_READ_REPLY = 1,
    JL_SMP_WRITE = 2,
    JL_SMP_WRITE_REPLY = 3,
};

enum {
    JL_GROUP_OS = 0,
    JL_GROUP_IMAGE = 1,
    JL_GROUP_STAT = 2,
    JL_GROUP_NODE = 64,
};

enum {
    JL_OS_ECHO = 0,
    JL_OS_RESET = 5,
    JL_OS_PARAMETERS = 6,
};

enum {
    JL_IMAGE_STATE = 0,
    JL_IMAGE_UPLOAD = 1,
    JL_IMAGE_ERASE = 5,
};

enum {
    JL_STAT_SHOW = 0,
    JL_STAT_LIST = 1,
};

enum {
    JL_NODE_INFER = 0,
    JL_NODE_LEDGER = 1,
    JL_NODE_OUTBOX_READ = 2,
    JL_NODE_OUTBOX_ACKNOWLEDGE = 3,
    JL_NODE_CONFIGURATION = 4,
    JL_NODE_SELF_TEST = 5,
    JL_NODE_KEYS = 6,
    JL_NODE_ROLLBACK = 7,
};

enum jl_clock {
    JL_CLOCK_ONLY = 0,
    JL_CLOCK_CRYSTAL = 1,
    JL_CLOCK_INTERNAL = 2,
    JL_CLOCK_UNCONTROLLED = 3,
};

/**
 * What an operation gave: group << 16 | code. The protocol's own codes have no group.
 */
typedef enum {
    JL_OK = 0,
    /** the device failed without saying why */
    JL_ERROR_UNKNOWN = 1,
    /** it does not fit into the device's memory */
    JL_ERROR_NO_MEMORY = 2,
    /** the request is malformed, or a value in it is not allowed */
    JL_ERROR_INVALID = 3,
    /** the device has no such thing */
    JL_ERROR_NOT_FOUND = 5,
    /** the device's state does not allow that now */
    JL_ERROR_BAD_STATE = 6,
    /** the answer does not fit into the device's buffer */
    JL_ERROR_TOO_LARGE = 7,
    /** the device does not know this command */
    JL_ERROR_NOT_SUPPORTED = 8,
    /** what the device received is corrupt */
    JL_ERROR_CORRUPT = 9,
    /** the device speaks only older versions of SMP */
    JL_ERROR_TOO_NEW = 13,
    /** the image ends before its TLVs */
    JL_IMAGE_ERROR_NO_TLVS = 65540,
    /** an entry of the image's TLVs is cut off, or of a wrong size */
    JL_IMAGE_ERROR_INVALID_TLV = 65541,
    /** the image carries no SHA-256 */
    JL_IMAGE_ERROR_HASH_NOT_FOUND = 65544,
    /** the device has no slot for firmware; only its model, image 1, can be replaced */
    JL_IMAGE_ERROR_NO_FREE_SLOT = 65545,
    /** the device's flash could not be programmed */
    JL_IMAGE_ERROR_FLASH_WRITE_FAILED = 65548,
    /** the device's flash could not be erased */
    JL_IMAGE_ERROR_FLASH_ERASE_FAILED = 65549,
    /** the device has no such slot for models; theirs are 2 and 3 */
    JL_IMAGE_ERROR_INVALID_SLOT = 65550,
    /** the upload states no length, or sends a piece too short to be stored */
    JL_IMAGE_ERROR_INVALID_LENGTH = 65557,
    /** the image is shorter than its header, or its header's sizes are wrong */
    JL_IMAGE_ERROR_INVALID_HEADER = 65558,
    /** this is no image: its first bytes are not MCUboot's magic */
    JL_IMAGE_ERROR_INVALID_MAGIC = 65559,
    /** the received file is not the one whose SHA-256 the upload announced */
    JL_IMAGE_ERROR_INVALID_HASH = 65560,
    /** only a newer version was to be stored, and this one is not */
    JL_IMAGE_ERROR_VERSION_OLDER = 65563,
    /** the image is larger than the device's slot */
    JL_IMAGE_ERROR_TOO_LARGE = 65566,
    /** more bytes were sent than announced */
    JL_IMAGE_ERROR_OVERRUN = 65567,
    /** no model is active; upload one */
    JL_NODE_ERROR_NO_MODEL = 4194306,
    /** the input has not the size that the model expects */
    JL_NODE_ERROR_INPUT_SIZE = 4194307,
    /** the model's code reported a failure */
    JL_NODE_ERROR_INFERENCE_FAILED = 4194308,
    /** the image's SHA-256 is not the one that it states */
    JL_NODE_ERROR_HASH_MISMATCH = 4194309,
    /** the image does not say that it is a microcontroller's module */
    JL_NODE_ERROR_NO_TARGET = 4194310,
    /** the model was compiled for another class of cores */
    JL_NODE_ERROR_WRONG_CORE = 4194311,
    /** the model needs instructions that this core lacks */
    JL_NODE_ERROR_ISA_MISSING = 4194312,
    /** the module's ABI version is not the firmware's */
    JL_NODE_ERROR_ABI_UNSUPPORTED = 4194313,
    /** the module's header contradicts itself or leads outside the module */
    JL_NODE_ERROR_MODULE_MALFORMED = 4194314,
    /** input, output and arena do not fit into the device's RAM */
    JL_NODE_ERROR_ARENA_TOO_LARGE = 4194315,
    /** the model needs more stack than the device has */
    JL_NODE_ERROR_STACK_TOO_LARGE = 4194316,
    /** a golden row of the model's self-test gave another output */
    JL_NODE_ERROR_SELF_TEST_DIFFERS = 4194317,
    /** the self-test took more ticks than the model's ceiling allows */
    JL_NODE_ERROR_SELF_TEST_TOO_SLOW = 4194318,
    /** the image is not signed; sign it with Ed25519 as imgtool does */
    JL_NODE_ERROR_UNSIGNED = 4194319,
    /** the image is signed by a key that the device does not trust */
    JL_NODE_ERROR_KEY_UNTRUSTED = 4194320,
    /** the image's signature is not that of its key over this image */
    JL_NODE_ERROR_SIGNATURE_WRONG = 4194321,
    /** the image states no security counter */
    JL_NODE_ERROR_NO_COUNTER = 4194322,
    /** the image's security counter is below the one that the device has reached */
    JL_NODE_ERROR_COUNTER_OLDER = 4194323,
    /** this is no firmware, or it was built for another board */
    JL_NODE_ERROR_WRONG_BOARD = 4194324,
    /** the firmware is linked for the device's other slot */
    JL_NODE_ERROR_WRONG_SLOT = 4194325,
    /** what was on trial was not confirmed before the next start */
    JL_NODE_ERROR_NOT_CONFIRMED = 4194326,
    /** the board stopped in the model's self-test */
    JL_NODE_ERROR_SELF_TEST_STOPPED = 4194327,
    /** the self-test took more modelled joules than the model's ceiling */
    JL_NODE_ERROR_SELF_TEST_TOO_COSTLY = 4194328,
    /** the device does not write its flash; a debug probe puts models there */
    JL_NODE_ERROR_FLASH_READ_ONLY = 4194333,
    /** a fault stopped the board while something was on trial */
    JL_NODE_ERROR_TRIAL_CRASHED = 4194329,
    /** the watchdog stopped the board while something was on trial */
    JL_NODE_ERROR_TRIAL_HUNG = 4194330,
    /** the device's flash could not be written */
    JL_NODE_ERROR_FLASH_FAILED = 4194334,
} jl_status;

#endif
