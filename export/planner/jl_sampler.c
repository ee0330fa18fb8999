/* A whole sample of a planner: noise, denoising steps, projection. Mirrors
 * edge_runtime/planner/sampler.py and drawing.py, bit by bit. */
#include "jl_sampler.h"
#include "jl_random.h"

/* Without this a compiler may fuse a product and a sum, which rounds once instead of twice. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum { CONDITION = 2, EMBEDDING = 16 };

/* To an int8 input, halves to even. */
static int8_t quantise(float value, float scale, int32_t zero_point) {
    float scaled = value / scale;
    scaled = scaled < -512.0f ? -512.0f : scaled > 512.0f ? 512.0f : scaled;
    /* Adding 1.5 * 2^23 leaves no bits for a fraction: the sum is rounded to whole numbers. */
    union {
        float value;
        uint32_t bits;
    } const shifted = {.value = scaled + 12582912.0f};
    const int32_t whole = (int32_t)(shifted.bits - 0x4B400000u) + zero_point;
    return (int8_t)(whole < -128 ? -128 : whole > 127 ? 127 : whole);
}

static float cut(float value, float low, float high) {
    return value < low ? low : value > high ? high : value;
}

/* What the denoiser is told in a step: state, weights, and which step it is. */
static void tell(int8_t *in, const float *state, const float *condition, int32_t step) {
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        in[i] = quantise(state[i], JL_INPUT_SCALE, JL_INPUT_ZERO_POINT);
    }
    for (int32_t i = 0; i < CONDITION; i++) {
        in[JL_PLAN_VALUES + i] = quantise(condition[i], JL_INPUT_SCALE, JL_INPUT_ZERO_POINT);
    }
    for (int32_t i = 0; i < EMBEDDING; i++) {
        in[JL_PLAN_VALUES + CONDITION + i] = jl_embedding[step * EMBEDDING + i];
    }
}

/* The denoiser's answer as x0, cut to what plans are. */
static float x0_of(int8_t answer) {
    const float data = ((float)answer - (float)JL_OUTPUT_ZERO_POINT) * JL_OUTPUT_SCALE;
    return cut(data, -JL_X0_LIMIT, JL_X0_LIMIT);
}

#if JL_IS_AMORTISED
/* Flows near the nearest plan's, by the amortiser. */
static void guess(struct jl_sampler_memory *memory, const float *plan) {
    int8_t *const in = memory->part.guessing.in, *const out = memory->part.guessing.out;
    for (int32_t i = 0; i < JL_EDGES + 2 * JL_NODES; i++) {
        const float share = plan[i] * jl_guess_factor[i];
        const float low = i < JL_EDGES ? -1.0f : -2.0f;
        in[i] = quantise(cut(share, low, 2.0f), JL_GUESS_INPUT_SCALE, JL_GUESS_INPUT_ZERO_POINT);
    }
    for (int32_t i = 0; i < JL_NODES; i++) {
        const float on = plan[JL_EDGES + 3 * JL_NODES + i] >= JL_ON ? 1.0f : 0.0f;
        in[JL_EDGES + 2 * JL_NODES + i] =
            quantise(on, JL_GUESS_INPUT_SCALE, JL_GUESS_INPUT_ZERO_POINT);
    }
    jl_guess(memory->part.guessing.guesser, in, out);
    for (int32_t i = 0; i < JL_EDGES; i++) {
        const float share = ((float)out[i] - (float)JL_GUESS_OUTPUT_ZERO_POINT);
        const float most = jl_guess_flow_max[i];
        memory->near[i] = cut(plan[i], 0.0f, most) + share * JL_GUESS_OUTPUT_SCALE * most;
    }
}
#endif

#if JL_PROJECTS
static int32_t project_plan(struct jl_sampler_memory *memory, float *plan, const float *bounds) {
#if JL_IS_AMORTISED
    guess(memory, plan);
    return jl_project_near(plan, bounds, memory->near, memory->part.projection);
#else
    return jl_project(plan, bounds, memory->part.projection);
#endif
}
#endif

/* One step from noise towards data. */
static void take_step(struct jl_sampler_memory *memory, const struct jl_sampler_request *request,
                      float *state, int32_t step) {
    const int8_t *const out = memory->part.sampling.out;
#if JL_PROJECTS_EACH_STEP
    float *const data = memory->data;
    const int32_t is_last = step + 1 == JL_STEPS; /* the plan itself is projected then */
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        const float x0 = x0_of(out[i]);
        data[i] = is_last ? x0 : x0 * jl_std[i] + jl_mean[i];
    }
    if (!is_last) {
        /* Bounds that no plan keeps leave it as it is; the last projection says so. */
        project_plan(memory, data, request->bounds);
    }
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        const float x0 = is_last ? data[i] : (data[i] - jl_mean[i]) / jl_std[i];
        state[i] = jl_keep_state[step] * state[i] + jl_keep_data[step] * x0;
    }
#else
    (void)request;
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        state[i] = jl_keep_state[step] * state[i] + jl_keep_data[step] * x0_of(out[i]);
    }
#endif
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

int32_t jl_infer(void *memory_bytes, const int8_t *in, int8_t *out) {
    const struct jl_sampler_request *const request = (const void *)in;
    struct jl_sampler_response *const response = (void *)out;
    struct jl_sampler_memory *const memory = memory_bytes;
    float *const plan = response->plan;
    jl_gaussians(request->seed, request->sample, JL_PLAN_VALUES, plan);
    for (int32_t step = 0; step < JL_STEPS; step++) {
        tell(memory->part.sampling.in, plan, request->condition, step);
        jl_denoise(memory->part.sampling.denoiser, memory->part.sampling.in,
                   memory->part.sampling.out);
        take_step(memory, request, plan, step);
    }
    for (int32_t i = 0; i < JL_PLAN_VALUES; i++) {
        plan[i] = plan[i] * jl_std[i] + jl_mean[i];
    }
#if JL_PROJECTS
    response->status = project_plan(memory, plan, request->bounds);
#else
    response->status = JL_NOT_PROJECTED;
#endif
    response->residual = residual(plan);
    return 0;
}
