/* A model: a verified module, bound to a board's RAM, ready to run. */
#ifndef JL_MODEL_H
#define JL_MODEL_H

#include "jl_image.h"
#include "jl_port.h"

#include <stdint.h>

/** A module that passed every check but the self-test. */
struct jl_model {
    const uint8_t *module;
    struct jl_module_header header;
    uint32_t input_bytes;
    uint32_t output_bytes;
    int8_t *input;  /* 16-byte aligned, input_bytes */
    int8_t *output; /* 16-byte aligned, output_bytes */
    void *arena;    /* 16-byte aligned, header.arena_bytes */
    jl_infer *infer;
};

/**
 * Check an image's target and its module against the board, and lay the model out in the board's
 * RAM. Reads the module, runs nothing of it.
 */
jl_status jl_model_bind(const struct jl_port *port, const struct jl_image *image,
                        struct jl_model *model);

/** A board with a watchdog starts afresh when one inference takes longer. */
enum { JL_INFER_LIMIT_MS = 4000 };

/** Run the model on what lies in `model->input`; `ticks` is what the code took. */
jl_status jl_model_run(const struct jl_port *port, const struct jl_model *model, uint64_t *ticks);

/**
 * Run the golden rows that the module carries: outputs exactly equal, ticks at most the ceiling
 * that the module states for this board's profile. A module without rows passes.
 */
jl_status jl_model_self_test(const struct jl_port *port, const struct jl_model *model);

#endif
