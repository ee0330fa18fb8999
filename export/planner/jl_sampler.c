/* A whole sample of a planner: noise, denoising steps, projection. Mirrors
 * edge_runtime/planner/sampler.py, bit by bit. */
#include "jl_sampler.h"
#include "jl_random.h"

/* Without this a compiler may fuse a product and a sum, which rounds once instead of twice. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum { CONDITION = 2, EMBEDDING = 16 };

/* To the denoiser's input, halves to even. */
static int8_t quantise(float value) {
    float scaled = value / JL_INPUT_SCALE;
    scaled = scaled < -512.0f ? -512.0f : scaled > 512.0f ? 512.0f : scaled;
    /* Adding 1.5 * 2^23 leaves no bits for a fraction: the sum is rounded to whole numbers. */
    union {
        float value;
        uint32_t bits;
    } const shifted = {.value = scaled + 12582912.0f};
    const int32_t whole = (int32_t)(shifted.bits - 0x4B400000u) + JL_INPUT_ZERO_POINT;
    return (int8_t)(whole < -128 ? -128 : whole > 127 ? 127 : whole);
}

/* One step from noise towards data. */
static void denoise(struct jl_sampler_arena *arena, float *state, int32_t step) {
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        arena->in[i] = quantise(state[i]);
    }
    for (int32_t i = 0; i < EMBEDDING; i++) {
        arena->in[JL_PLAN_VALUES + CONDITION + i] = jl_embedding[step * EMBEDDING + i];
    }
    jl_denoise(arena->denoiser, arena->in, arena->out);
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        float data = ((float)arena->out[i] - (float)JL_OUTPUT_ZERO_POINT) * JL_OUTPUT_SCALE;
        data = data < -JL_X0_LIMIT ? -JL_X0_LIMIT : data > JL_X0_LIMIT ? JL_X0_LIMIT : data;
        state[i] = jl_keep_state[step] * state[i] + jl_keep_data[step] * data;
    }
}

/* The largest |A f + z - s|, as a share of the largest flow. */
static float residual(const float *plan) {
    const float *const storage = plan + JL_EDGES, *const exchange = storage + JL_NODES;
    float largest = 0.0f;
    for (int32_t node = 0; node < JL_NODES; node++) {
        float missing = exchange[node] - storage[node];
        for (int32_t edge = 0; edge < JL_EDGES; edge++) {
            if (jl_edge_targets[edge] == node) {
                missing = missing + plan[edge];
            }
            if (jl_edge_sources[edge] == node) {
                missing = missing - plan[edge];
            }
        }
        missing = missing < 0.0f ? -missing : missing;
        largest = missing > largest ? missing : largest;
    }
    return largest / JL_CAPACITY;
}

int32_t jl_infer(void *memory, const int8_t *in, int8_t *out) {
    const struct jl_sampler_request *const request = (const void *)in;
    struct jl_sampler_response *const response = (void *)out;
    union jl_sampler_memory *const shared = memory;
    float *const plan = response->plan;
    jl_gaussians(request->seed, request->sample, JL_PLAN_VALUES, plan);
    for (int32_t i = 0; i < CONDITION; i++) {
        shared->sampling.in[JL_PLAN_VALUES + i] = quantise(request->condition[i]);
    }
    for (int32_t step = 0; step < JL_STEPS; step++) {
        denoise(&shared->sampling, plan, step);
    }
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        plan[i] = plan[i] * jl_std[i] + jl_mean[i];
    }
    response->status = jl_project(plan, request->bounds, shared->projection);
    response->residual = residual(plan);
    return 0;
}
