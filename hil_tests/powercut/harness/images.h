/* The images that the scenarios load: small, and every byte of them known. */
#ifndef POWERCUT_IMAGES_H
#define POWERCUT_IMAGES_H

#include "jl_port.h"
#include "jl_sha256.h"

enum {
    IMAGE_BYTES = 715, /* some units into a second block, and part of one more */
    /** Elements of a model's input and of its output. */
    MODEL_SIZE = 4,
};

/** The models; each adds its own number to its input, unless it is one that must not serve. */
enum model {
    MODEL_OLD = 1,
    MODEL_NEW,
    MODEL_NEWER,
    MODEL_DIFFERS, /* from the golden rows that it carries */
    MODEL_HANGS,
    MODEL_LAST, /* with the highest security counter, as the next one */
    MODEL_LAST_TOO,
    MODELS,
};

/** Firmware; it is linked for a slot, so there are two images of each. */
enum firmware {
    FIRMWARE_OLD = 1, /* from the factory, in the first slot */
    FIRMWARE_NEW,
    FIRMWARE_NEWER,
    FIRMWARE_DEAD,    /* stops the board as soon as it starts */
    FIRMWARE_CRASHES, /* so does this one */
    FIRMWARE_LAST,    /* with the highest security counter, as the next one */
    FIRMWARE_LAST_TOO,
    FIRMWARES,
};

struct image {
    uint8_t bytes[IMAGE_BYTES];
    uint8_t sha256[JL_SHA256_BYTES]; /* that it states */
    uint8_t file_sha256[JL_SHA256_BYTES];
    uint32_t counter;
};

/** The key that signed them all. */
extern struct jl_trusted_keys images_keys;

extern struct image models[MODELS]; /* none lies at 0 */
extern struct image firmwares[FIRMWARES][JL_FIRMWARE_SLOTS];
/** As FIRMWARE_NEWER, but one byte is not the one that was hashed. */
extern struct image altered_firmware[JL_FIRMWARE_SLOTS];
/** As FIRMWARE_NEWER, but for another board. */
extern struct image foreign_firmware[JL_FIRMWARE_SLOTS];
/** As MODEL_NEWER, but one byte is not the one that was hashed. */
extern struct image altered_model;
/** As MODEL_NEWER, but it is announced as another file. */
extern struct image wrong_file;
/** As MODEL_NEWER, but nobody signed it. */
extern struct image forged_model;
/** As MODEL_HANGS, with the highest security counter. */
extern struct image hanging_model;

void images_make(void);

/** The code of a model, as the port gives it: `entry_offset` leads to its number. */
jl_infer *images_entry(const uint8_t *module, uint32_t entry_offset);

#endif
