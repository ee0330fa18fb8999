/* What every fuzz target is: a function that takes any bytes and must find nothing to stumble on.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/** libFuzzer's entry; replay.c calls it with saved inputs. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Something holds that must not be. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
