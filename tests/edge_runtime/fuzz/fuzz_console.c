/* The console's framing: any bytes, then a good frame, which must come through. */
#include "fuzz.h"
#include "jl_console.h"

#include <string.h>

enum { BUFFER_BYTES = 256 };

static struct jl_console console;
static struct jl_bytes last;
static uint32_t messages;

static bool loop_back(const uint8_t *data, uint32_t bytes) {
    for (uint32_t index = 0; index < bytes; index++) {
        messages += jl_console_take(&console, data[index], &last) ? 1 : 0;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* On the heap: a sanitizer sees what is written behind it. */
    uint8_t *buffer = malloc(BUFFER_BYTES);
    jl_console_begin(&console, buffer, BUFFER_BYTES);
    loop_back(data, (uint32_t)size);
    REQUIRE(console.used <= BUFFER_BYTES);
    messages = 0;
    uint32_t most = BUFFER_BYTES - 4;
    struct jl_bytes sent = {data, size < most ? (uint32_t)size : most};
    jl_console_send(loop_back, sent);
    REQUIRE(messages == 1 && last.bytes == sent.bytes);
    REQUIRE(sent.bytes == 0 || memcmp(last.data, sent.data, sent.bytes) == 0);
    free(buffer);
    return 0;
}
