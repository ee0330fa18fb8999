#include "images.h"
#include "board.h"
#include "jl_image.h"

#include <string.h>

enum {
    ROWS = 2,
    PROTECTED_BYTES = 4 + 4 + sizeof(uint32_t) + 4 + sizeof(struct jl_image_target),
    TLV_BYTES = 4 + 4 + JL_SHA256_BYTES + 4 + JL_SHA256_BYTES + 4 + JL_SIGNATURE_BYTES,
    PAYLOAD_BYTES = IMAGE_BYTES - (int)sizeof(struct jl_image_header) - PROTECTED_BYTES - TLV_BYTES,
};

/** A module as it lies in its image. */
struct module {
    struct jl_module_header header;
    struct jl_module_tensor tensors[2];
    struct jl_module_self_test test;
    int8_t inputs[ROWS][MODEL_SIZE];
    int8_t outputs[ROWS][MODEL_SIZE];
    uint8_t behaviour;
    uint8_t rest[3];
};

struct image models[MODELS];
struct image altered_model;
struct jl_trusted_keys images_keys;

/* sign.zig */
void sign_public_key(uint8_t key[JL_PUBLIC_KEY_BYTES]);
void sign_digest(const uint8_t digest[JL_DIGEST_BYTES], uint8_t signature[JL_SIGNATURE_BYTES]);

static int32_t add(const int8_t *in, int8_t *out, int step) {
    for (uint32_t index = 0; index < MODEL_SIZE; index++) {
        out[index] = (int8_t)(in[index] + step);
    }
    return 0;
}

static int32_t add_1(void *arena, const int8_t *in, int8_t *out) {
    (void)arena;
    return add(in, out, 1);
}

static int32_t add_2(void *arena, const int8_t *in, int8_t *out) {
    (void)arena;
    return add(in, out, 2);
}

static int32_t add_3(void *arena, const int8_t *in, int8_t *out) {
    (void)arena;
    return add(in, out, 3);
}

static int32_t hang(void *arena, const int8_t *in, int8_t *out) {
    (void)arena;
    (void)in;
    (void)out;
    board_hang();
}

jl_infer *images_entry(const uint8_t *module, uint32_t entry_offset) {
    switch (module[entry_offset]) {
    case MODEL_ADDS_1:
        return add_1;
    case MODEL_ADDS_2:
        return add_2;
    case MODEL_HANGS:
        return hang;
    default:
        return add_3;
    }
}

static struct module make_module(enum model_behaviour behaviour) {
    const struct jl_module_tensor tensor = {.rank = 1, .dims = {MODEL_SIZE}, .scale = 1};
    struct module module = {
        .header =
            {
                .magic = JL_MODULE_MAGIC,
                .abi_version = JL_MODULE_ABI_VERSION,
                .header_bytes = sizeof module.header,
                .kernel_class = JL_KERNEL_SCALAR,
                .module_bytes = PAYLOAD_BYTES,
                .arena_bytes = 16,
                .entry_offset = offsetof(struct module, behaviour),
                .self_test_offset = offsetof(struct module, test),
                .input_count = 1,
                .output_count = 1,
                .tensors_offset = offsetof(struct module, tensors),
            },
        .tensors = {tensor, tensor},
        .test = {ROWS, 0, offsetof(struct module, inputs), offsetof(struct module, outputs)},
        .behaviour = (uint8_t)behaviour,
    };
    int step = behaviour == MODEL_DIFFERS ? 7 : (int)behaviour + 1;
    for (uint32_t row = 0; row < ROWS; row++) {
        memset(module.inputs[row], (int)(10 * row), MODEL_SIZE);
        add(module.inputs[row], module.outputs[row], step);
    }
    return module;
}

static uint8_t *put(uint8_t *at, const void *data, uint32_t bytes) {
    memcpy(at, data, bytes);
    return at + bytes;
}

static uint8_t *put_pair(uint8_t *at, uint32_t kind, uint32_t bytes) {
    const uint16_t pair[2] = {(uint16_t)kind, (uint16_t)bytes};
    return put(at, pair, sizeof pair);
}

/** Header, payload and TLVs around a module; filled up with bytes of its own. */
static void make_image(struct image *image, uint8_t version, const void *start, uint32_t bytes,
                       struct jl_image_target target) {
    const struct jl_image_header header = {
        .magic = JL_IMAGE_MAGIC,
        .header_bytes = sizeof header,
        .protected_tlv_bytes = PROTECTED_BYTES,
        .payload_bytes = PAYLOAD_BYTES,
        .version = {.major = version},
    };
    uint8_t *at = put(image->bytes, &header, sizeof header);
    at = put(at, start, bytes);
    for (uint32_t index = bytes; index < PAYLOAD_BYTES; index++) {
        *at++ = (uint8_t)(index * 7 + version * 31);
    }
    at = put_pair(at, JL_TLV_PROTECTED_INFO_MAGIC, PROTECTED_BYTES);
    const uint32_t counter = 0;
    at = put_pair(at, JL_TLV_SECURITY_COUNTER, sizeof counter);
    at = put(at, &counter, sizeof counter);
    at = put_pair(at, JL_TLV_TARGET, sizeof target);
    at = put(at, &target, sizeof target);
    struct jl_sha256 hash;
    jl_sha256_begin(&hash);
    jl_sha256_add(&hash, image->bytes, (size_t)(at - image->bytes));
    jl_sha256_end(&hash, image->sha256);
    at = put_pair(at, JL_TLV_INFO_MAGIC, TLV_BYTES);
    at = put_pair(at, JL_TLV_SHA256, JL_SHA256_BYTES);
    at = put(at, image->sha256, JL_SHA256_BYTES);
    const struct jl_public_key *key = &images_keys.keys[0];
    at = put_pair(at, JL_TLV_KEY_HASH, sizeof key->hash);
    at = put(at, key->hash, sizeof key->hash);
    uint8_t signature[JL_SIGNATURE_BYTES];
    sign_digest(image->sha256, signature);
    at = put_pair(at, JL_TLV_ED25519, sizeof signature);
    put(at, signature, sizeof signature);
}

void images_make(void) {
    images_keys.count = 1;
    sign_public_key(images_keys.keys[0].key);
    memset(images_keys.keys[0].hash, 0xA5, sizeof images_keys.keys[0].hash);
    const struct jl_image_target target = {
        .profile_class = JL_PROFILE_CLASS_MCU,
        .kernel_class = JL_KERNEL_SCALAR,
        .abi_version = JL_MODULE_ABI_VERSION,
    };
    for (uint32_t index = 0; index < MODELS; index++) {
        struct module module = make_module((enum model_behaviour)index);
        make_image(&models[index], (uint8_t)(index + 1), &module, sizeof module, target);
    }
    altered_model = models[MODEL_ADDS_2];
    altered_model.bytes[IMAGE_BYTES / 2] ^= 1;
}
