/* The images that the scenarios load: small, and every byte of them known. */
#ifndef POWERCUT_IMAGES_H
#define POWERCUT_IMAGES_H

#include "jl_port.h"
#include "jl_sha256.h"

enum {
    IMAGE_BYTES = 1400,
    /** Elements of a model's input and of its output. */
    MODEL_SIZE = 4,
};

/** What a model does. */
enum model_behaviour {
    MODEL_ADDS_1,
    MODEL_ADDS_2,
    MODEL_ADDS_3,
    MODEL_DIFFERS, /* from the golden rows that it carries */
    MODEL_HANGS,
    MODELS,
};

struct image {
    uint8_t bytes[IMAGE_BYTES];
    uint8_t sha256[JL_SHA256_BYTES]; /* that it states */
};

extern struct image models[MODELS];
/** As MODEL_ADDS_2, but one byte is not the one that was hashed. */
extern struct image altered_model;
/** The key that signed them all. */
extern struct jl_trusted_keys images_keys;

void images_make(void);

/** The code of a model, as the port gives it: `entry_offset` leads to its behaviour. */
jl_infer *images_entry(const uint8_t *module, uint32_t entry_offset);

#endif
