/*
 * What a compiler takes for granted even where there is no C library, and so no <string.h>; the
 * linker finds them in compiler-rt, or in the host's C library.
 */
#ifndef JL_MEMORY_H
#define JL_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict target, const void *restrict source, size_t bytes);
void *memset(void *target, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

/** Bytes of a text before its end mark. */
static inline uint32_t jl_text_bytes(const char *text) {
    uint32_t bytes = 0;
    while (text[bytes] != '\0') {
        bytes++;
    }
    return bytes;
}

#endif
