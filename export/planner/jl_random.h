/* Random numbers by counter: Philox4x32-10, and Gaussians from it, with the bits of
 * edge_runtime/planner/random.py. */
#ifndef JL_RANDOM_H
#define JL_RANDOM_H

#include <stdint.h>

/** Four random words for a counter under a key. */
void jl_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t words[4]);

/** `count` standard normal numbers of one sample; key is the seed, low word first. */
void jl_gaussians(const uint32_t key[2], uint32_t sample, int32_t count, float *numbers);

#endif
