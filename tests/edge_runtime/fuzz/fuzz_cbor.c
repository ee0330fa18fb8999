/* The CBOR reader: what it takes for a map, every look-up must be able to walk through. */
#include "fuzz.h"
#include "jl_cbor.h"

static void require_inside(struct jl_bytes part, struct jl_bytes whole) {
    REQUIRE(part.data >= whole.data && part.bytes <= whole.bytes);
    REQUIRE(part.data + part.bytes <= whole.data + whole.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const keys[] = {"", "d", "off", "data", "hash", "confirm"};
    struct jl_bytes map = {data, (uint32_t)size};
    if (!jl_cbor_is_map(map)) {
        return 0;
    }
    for (size_t index = 0; index < sizeof keys / sizeof *keys; index++) {
        uint32_t number;
        bool truth;
        struct jl_bytes bytes;
        bool is_number = jl_cbor_get_uint(map, keys[index], &number) == JL_CBOR_FOUND;
        bool is_truth = jl_cbor_get_bool(map, keys[index], &truth) == JL_CBOR_FOUND;
        bool is_bytes = jl_cbor_get_bytes(map, keys[index], &bytes) == JL_CBOR_FOUND;
        if (is_bytes) {
            require_inside(bytes, map);
        }
        bool is_text = jl_cbor_get_text(map, keys[index], &bytes) == JL_CBOR_FOUND;
        if (is_text) {
            require_inside(bytes, map);
        }
        REQUIRE(is_number + is_truth + is_bytes + is_text <= 1);
    }
    return 0;
}
