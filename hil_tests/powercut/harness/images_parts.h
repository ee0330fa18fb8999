/* What the images are made of. */
#ifndef POWERCUT_IMAGES_PARTS_H
#define POWERCUT_IMAGES_PARTS_H

#include "images.h"
#include "jl_image.h"
#include "jl_module.h"

enum {
    ROWS = 2,
    CEILINGS = 2,
    /** That an inference takes, beside the clock's own. */
    MODEL_TICKS = 2,
    PROTECTED_BYTES = 4 + 4 + sizeof(struct jl_image_target) + 4 + sizeof(uint32_t),
    TLV_BYTES = 4 + 4 + JL_SHA256_BYTES + 4 + JL_SHA256_BYTES + 4 + JL_SIGNATURE_BYTES,
    PAYLOAD_BYTES = IMAGE_BYTES - (int)sizeof(struct jl_image_header) - PROTECTED_BYTES - TLV_BYTES,
};

/** A module as it lies in its image. */
struct module {
    struct jl_module_header header;
    struct jl_module_tensor tensors[2];
    struct jl_module_self_test test;
    struct jl_module_ceiling ceilings[CEILINGS];
    int8_t inputs[ROWS][MODEL_SIZE];
    int8_t outputs[ROWS][MODEL_SIZE];
    uint8_t number;
    uint8_t rest[3];
};

/** Sign the image's first bytes anew (0: leave its signature), and hash the file. */
void images_seal(struct image *image, uint32_t signed_bytes);

#endif
