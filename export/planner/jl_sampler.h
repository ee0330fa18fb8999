/* What a module that samples plans takes and gives, and the constants of its sampler. */
#ifndef JL_SAMPLER_H
#define JL_SAMPLER_H

#include "jl_projection.h"
#include "jl_sampler_sizes.h"

/** Little-endian, without gaps; the module's input tensors one behind the other. */
struct jl_sampler_request {
    float condition[2];           /* weights of cost and CO2, 0..1 */
    uint32_t seed[2];             /* low word first */
    uint32_t sample;              /* index of the sample under this seed */
    float bounds[JL_PLAN_BOUNDS]; /* as jl_project takes them */
};

enum {
    /** The plan is as the last step left it, and keeps no constraint. */
    JL_NOT_PROJECTED = 2,
};

struct jl_sampler_response {
    float plan[JL_PLAN_VALUES];
    float residual; /* the largest |A f + z - s| over the largest flow */
    int32_t status; /* of jl_project, or JL_NOT_PROJECTED */
};

/** What the sampler keeps beside the plan. What lies in `part` never lives at the same time. */
struct jl_sampler_memory {
#if JL_PROJECTS_EACH_STEP
    float data[JL_PLAN_VALUES]; /* x0 of a step, projected */
#endif
#if JL_IS_AMORTISED
    float near[JL_EDGES]; /* flows that the amortiser guesses, kg */
#endif
    union {
        struct {
            _Alignas(16) int8_t denoiser[JL_DENOISER_ARENA_BYTES];
            _Alignas(16) int8_t in[JL_PLAN_VALUES + 2 + 16];
            _Alignas(16) int8_t out[JL_PLAN_VALUES];
        } sampling;
#if JL_IS_AMORTISED
        struct {
            _Alignas(16) int8_t guesser[JL_GUESSER_ARENA_BYTES];
            _Alignas(16) int8_t in[JL_EDGES + 3 * JL_NODES];
            _Alignas(16) int8_t out[JL_EDGES];
        } guessing;
#endif
#if JL_PROJECTS
        _Alignas(16) uint8_t projection[JL_PROJECTION_SCRATCH_BYTES];
#endif
    } part;
};

_Static_assert(sizeof(struct jl_sampler_memory) <= JL_SAMPLER_ARENA_BYTES,
               "the arena is smaller than what the sampler keeps there");

/** Made by export/planner/pipeline.py. */
extern const int8_t jl_embedding[JL_STEPS * 16]; /* quantised */
extern const float jl_keep_state[JL_STEPS];
extern const float jl_keep_data[JL_STEPS];
extern const float jl_mean[JL_PLAN_VALUES];
extern const float jl_std[JL_PLAN_VALUES];
extern const uint16_t jl_edge_sources[JL_EDGES];
extern const uint16_t jl_edge_targets[JL_EDGES];
#if JL_IS_AMORTISED
extern const float jl_guess_factor[JL_EDGES + 2 * JL_NODES]; /* to shares of the largest */
extern const float jl_guess_flow_max[JL_EDGES];              /* kg */
#endif

/** The denoiser, int8; generated. */
int32_t jl_denoise(void *arena, const int8_t *in, int8_t *out);

/** The amortiser, int8; generated. */
int32_t jl_guess(void *arena, const int8_t *in, int8_t *out);

/** The module's entry. */
int32_t jl_infer(void *memory, const int8_t *in, int8_t *out);

#endif
