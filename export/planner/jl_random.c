/* Random numbers by counter. Mirrors edge_runtime/planner/random.py, bit by bit. */
#include "jl_random.h"

/* Without this a compiler may fuse a product and a sum, which rounds once instead of twice. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

union jl_single {
    float value;
    uint32_t bits;
};

void jl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]) {
    uint32_t first = key[0], second = key[1];
    uint32_t a = counter[0], b = counter[1], c = counter[2], d = counter[3];
    for (int32_t round = 0; round < 10; round++) {
        const uint64_t left = (uint64_t)0xD2511F53u * a, right = (uint64_t)0xCD9E8D57u * c;
        a = (uint32_t)(right >> 32) ^ b ^ first;
        b = (uint32_t)right;
        c = (uint32_t)(left >> 32) ^ d ^ second;
        d = (uint32_t)left;
        first += 0x9E3779B9u;
        second += 0xBB67AE85u;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

/* Natural logarithm of a normal positive number: 2^exponent * mantissa around 1. */
static float logarithm(float value) {
    union jl_single both = {.value = value};
    const int32_t exponent = ((int32_t)both.bits - 0x3F3504F3) >> 23;
    both.bits -= (uint32_t)exponent << 23;
    const float ratio = (both.value - 1.0f) / (both.value + 1.0f);
    const float square = ratio * ratio;
    float total = 0.22222222f;
    total = total * square + 0.2857143f;
    total = total * square + 0.4f;
    total = total * square + 0.6666667f;
    total = total * square + 2.0f;
    return (float)exponent * 0.6931472f + total * ratio;
}

/* Square root by three steps of Newton for its inverse. */
static float root(float value) {
    const union jl_single both = {.value = value};
    union jl_single guess = {.bits = 0x5F3759DFu - (both.bits >> 1)};
    const float half = 0.5f * value;
    for (int32_t i = 0; i < 3; i++) {
        guess.value = guess.value * (1.5f - half * guess.value * guess.value);
    }
    return value * guess.value;
}

static float sine_of(float angle, float square) {
    float total = 2.7557319e-6f;
    total = total * square + -1.984127e-4f;
    total = total * square + 8.333334e-3f;
    total = total * square + -0.16666667f;
    total = total * square + 1.0f;
    return total * angle;
}

static float cosine_of(float square) {
    float total = 2.4801587e-5f;
    total = total * square + -1.3888889e-3f;
    total = total * square + 4.1666668e-2f;
    total = total * square + -0.5f;
    return total * square + 1.0f;
}

/* Two independent standard normal numbers from two random words. */
static void box_muller(uint32_t first, uint32_t second, float *numbers) {
    const float uniform = (float)((first >> 8) + 1u) * 5.9604645e-8f;
    const float radius = root(-2.0f * logarithm(uniform));
    const float turn = (float)(second >> 6 & 0xFFFFFFu) * 5.9604645e-8f - 0.5f;
    const float angle = turn * 1.5707964f;
    const float square = angle * angle;
    const float sine = sine_of(angle, square), cosine = cosine_of(square);
    const uint32_t quadrant = second >> 30;
    const float across = quadrant & 1u ? -sine : cosine, along = quadrant & 1u ? cosine : sine;
    numbers[0] = radius * (quadrant >= 2u ? -across : across);
    numbers[1] = radius * (quadrant >= 2u ? -along : along);
}

void jl_gaussians(const uint32_t key[2], uint32_t sample, int32_t count, float *numbers) {
    for (int32_t at = 0; at < count; at += 4) {
        const uint32_t counter[4] = {sample, (uint32_t)at / 4u, 0u, 0u};
        uint32_t words[4];
        float block[4];
        jl_philox(counter, key, words);
        box_muller(words[0], words[1], block);
        box_muller(words[2], words[3], block + 2);
        for (int32_t i = 0; i < 4 && at + i < count; i++) {
            numbers[at + i] = block[i];
        }
    }
}
