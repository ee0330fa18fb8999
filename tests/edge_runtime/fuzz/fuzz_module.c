/* A module's header and all that it leads to: binding reads nothing outside of the module. */
#include "fuzz.h"
#include "jl_model.h"

#include <string.h>

enum { ARENA_BYTES = 4096 };

static int32_t echo(void *arena, const int8_t *in, int8_t *out) {
    (void)arena;
    (void)in;
    (void)out;
    return 0;
}

static jl_infer *entry(const uint8_t *module, uint32_t entry_offset) {
    (void)module;
    (void)entry_offset;
    return echo;
}

static uint64_t no_ticks(void) {
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static _Alignas(JL_ARENA_ALIGNMENT) uint8_t arena[ARENA_BYTES];
    static struct jl_port port = {.profile_id = "host", .kernel_class = JL_KERNEL_SCALAR};
    port.module_entry = entry;
    port.clock_ticks = no_ticks;
    port.arena = arena;
    port.arena_end = arena + ARENA_BYTES;
    port.module_stack_bytes = ARENA_BYTES;
    /* As large as the module, and aligned as the ABI asks. */
    uint8_t *module = malloc(size);
    memcpy(module, data, size);
    struct jl_image image = {.payload = {module, (uint32_t)size}};
    image.target.profile_class = JL_PROFILE_CLASS_MCU;
    image.target.kernel_class = JL_KERNEL_SCALAR;
    image.target.abi_version = JL_MODULE_ABI_VERSION;
    struct jl_model model;
    if (jl_model_bind(&port, &image, &model) == JL_OK) {
        REQUIRE((uint8_t *)model.output + model.output_bytes <= port.arena_end);
        REQUIRE((uint8_t *)model.arena + model.header.arena_bytes <= port.arena_end);
        (void)jl_model_self_test(&port, &model);
    }
    free(module);
    return 0;
}
