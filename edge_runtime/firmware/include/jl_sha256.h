/* SHA-256 by Zig's standard library (src/sha256.zig). */
#ifndef JL_SHA256_H
#define JL_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { JL_SHA256_BYTES = 32 };

/** A hash in the making; its content belongs to sha256.zig. */
struct jl_sha256 {
    _Alignas(16) uint8_t state[128];
};

void jl_sha256_begin(struct jl_sha256 *hash);
void jl_sha256_add(struct jl_sha256 *hash, const uint8_t *data, size_t bytes);
void jl_sha256_end(struct jl_sha256 *hash, uint8_t digest[JL_SHA256_BYTES]);

#endif
