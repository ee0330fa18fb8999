#include "images.h"
#include "board.h"
#include "images_parts.h"
#include "jl_crc.h"

#include <string.h>

struct jl_trusted_keys images_keys;
struct image models[MODELS];
struct image firmwares[FIRMWARES][JL_FIRMWARE_SLOTS];
struct image altered_firmware[JL_FIRMWARE_SLOTS];
struct image foreign_firmware[JL_FIRMWARE_SLOTS];
struct image altered_model;
struct image wrong_file;
struct image forged_model;
struct image hanging_model;

/* sign.zig */
void sign_public_key(uint8_t key[JL_PUBLIC_KEY_BYTES]);
void sign_digest(const uint8_t digest[JL_DIGEST_BYTES], uint8_t signature[JL_SIGNATURE_BYTES]);

static int32_t add(const int8_t *in, int8_t *out, int number) {
    for (uint32_t index = 0; index < MODEL_SIZE; index++) {
        out[index] = (int8_t)(in[index] + number);
    }
    board_compute(MODEL_TICKS);
    return 0;
}

#define DEFINE_MODEL(number)                                                                       \
    static int32_t add_##number(void *arena, const int8_t *in, int8_t *out) {                      \
        (void)arena;                                                                               \
        return add(in, out, MODEL_##number);                                                       \
    }
DEFINE_MODEL(OLD)
DEFINE_MODEL(NEW)
DEFINE_MODEL(NEWER)
DEFINE_MODEL(DIFFERS)
DEFINE_MODEL(LAST)
DEFINE_MODEL(LAST_TOO)

static int32_t fail(void *arena, const int8_t *in, int8_t *out) {
    (void)arena;
    memset(out, in[0], MODEL_SIZE);
    return 1;
}

static int32_t hang(void *arena, const int8_t *in, int8_t *out) {
    (void)arena;
    (void)in;
    (void)out;
    board_hang();
}

jl_infer *images_entry(const uint8_t *module, uint32_t entry_offset) {
    static jl_infer *const entries[MODELS] = {
        [MODEL_OLD] = add_OLD,           [MODEL_NEW] = add_NEW, [MODEL_NEWER] = add_NEWER,
        [MODEL_DIFFERS] = add_DIFFERS,   [MODEL_HANGS] = hang,  [MODEL_LAST] = add_LAST,
        [MODEL_LAST_TOO] = add_LAST_TOO,
    };
    uint8_t number = module[entry_offset];
    if (number == MODELS) {
        return fail;
    }
    return number < MODELS && entries[number] != NULL ? entries[number] : hang;
}

static struct module make_module(enum model number) {
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
                .entry_offset = offsetof(struct module, number),
                .self_test_offset = offsetof(struct module, test),
                .input_count = 1,
                .output_count = 1,
                .tensors_offset = offsetof(struct module, tensors),
            },
        .tensors = {tensor, tensor},
        .test = {ROWS, CEILINGS, offsetof(struct module, inputs), offsetof(struct module, outputs)},
        /* A clock's tick is part of each inference; another board may take less. */
        .ceilings = {{jl_crc32("another", 7), 1, 1},
                     {jl_crc32("powercut", 8), MODEL_TICKS + 1, MODEL_TICKS + 1}},
        .number = (uint8_t)number,
    };
    for (uint32_t row = 0; row < ROWS; row++) {
        memset(module.inputs[row], (int)(10 * row), MODEL_SIZE);
        add(module.inputs[row], module.outputs[row], (int)number);
    }
    module.outputs[ROWS - 1][MODEL_SIZE - 1] += number == MODEL_DIFFERS ? 1 : 0;
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

static void hash(const uint8_t *data, uint32_t bytes, uint8_t sha256[JL_SHA256_BYTES]) {
    struct jl_sha256 state;
    jl_sha256_begin(&state);
    jl_sha256_add(&state, data, bytes);
    jl_sha256_end(&state, sha256);
}

void images_seal(struct image *image, uint32_t signed_bytes) {
    if (signed_bytes > 0) {
        hash(image->bytes, signed_bytes, image->sha256);
        uint8_t *at = put_pair(image->bytes + signed_bytes, JL_TLV_INFO_MAGIC, TLV_BYTES);
        at = put_pair(at, JL_TLV_SHA256, JL_SHA256_BYTES);
        at = put(at, image->sha256, JL_SHA256_BYTES);
        at = put_pair(at, JL_TLV_KEY_HASH, JL_SHA256_BYTES);
        at = put(at, images_keys.keys[0].hash, JL_SHA256_BYTES);
        at = put_pair(at, JL_TLV_ED25519, JL_SIGNATURE_BYTES);
        sign_digest(image->sha256, at);
    }
    hash(image->bytes, IMAGE_BYTES, image->file_sha256);
}

/** What is known of an image before it is made. */
struct parts {
    uint8_t version;
    uint32_t load_address;
    struct jl_bytes start; /* of the payload, which is filled up with bytes of its own */
    struct jl_image_target target;
};

/** Header, payload and TLVs; the image has its counter already. */
static void make_image(struct image *image, const struct parts *parts) {
    const struct jl_image_header header = {
        .magic = JL_IMAGE_MAGIC,
        .load_address = parts->load_address,
        .header_bytes = sizeof header,
        .protected_tlv_bytes = PROTECTED_BYTES,
        .payload_bytes = PAYLOAD_BYTES,
        .version = {.major = parts->version},
    };
    uint8_t *at = put(image->bytes, &header, sizeof header);
    at = put(at, parts->start.data, parts->start.bytes);
    for (uint32_t index = parts->start.bytes; index < PAYLOAD_BYTES; index++) {
        *at++ = (uint8_t)(index * 7 + parts->version * 31u);
    }
    at = put_pair(at, JL_TLV_PROTECTED_INFO_MAGIC, PROTECTED_BYTES);
    at = put_pair(at, JL_TLV_TARGET, sizeof parts->target);
    at = put(at, &parts->target, sizeof parts->target);
    at = put_pair(at, JL_TLV_SECURITY_COUNTER, sizeof image->counter);
    at = put(at, &image->counter, sizeof image->counter);
    images_seal(image, (uint32_t)(at - image->bytes));
}

static void make_model(struct image *image, enum model number) {
    const struct module module = make_module(number);
    const struct parts parts = {
        .version = (uint8_t)number,
        .start = {(const uint8_t *)&module, sizeof module},
        .target = {JL_PROFILE_CLASS_MCU, JL_KERNEL_SCALAR, JL_MODULE_ABI_VERSION, 0},
    };
    make_image(image, &parts);
}

static void make_firmware(struct image *image, enum firmware number, uint32_t slot,
                          const char *board) {
    const uint8_t *home = flash.memory + board_port.firmware_slots[slot].offset;
    const uint8_t first = (uint8_t)number;
    const struct parts parts = {
        .version = (uint8_t)number,
        .load_address = (uint32_t)(uintptr_t)home,
        .start = {&first, sizeof first},
        .target = {JL_PROFILE_CLASS_FIRMWARE, JL_KERNEL_SCALAR, JL_SERVICES_VERSION,
                   jl_crc32(board, (uint32_t)strlen(board))},
    };
    image->counter = number < FIRMWARE_LAST ? (uint32_t)number : FIRMWARE_LAST;
    make_image(image, &parts);
}

/** The same with one bit of its payload turned over. */
static struct image alter(const struct image *image) {
    struct image altered = *image;
    altered.bytes[IMAGE_BYTES / 2] ^= 1;
    hash(altered.bytes, IMAGE_BYTES, altered.file_sha256);
    return altered;
}

static void make_broken_models(void) {
    hanging_model.counter = MODEL_LAST;
    make_model(&hanging_model, MODEL_HANGS);
    altered_model = alter(&models[MODEL_NEWER]);
    wrong_file = models[MODEL_NEWER];
    wrong_file.file_sha256[0] ^= 1;
    forged_model = models[MODEL_NEWER];
    forged_model.bytes[IMAGE_BYTES - 1] ^= 1;
    hash(forged_model.bytes, IMAGE_BYTES, forged_model.file_sha256);
}

void images_make(void) {
    images_keys.count = 1;
    sign_public_key(images_keys.keys[0].key);
    memset(images_keys.keys[0].hash, 0xA5, sizeof images_keys.keys[0].hash);
    for (int number = MODEL_OLD; number < MODELS; number++) {
        models[number].counter = number < MODEL_LAST ? (uint32_t)number : MODEL_LAST;
        make_model(&models[number], (enum model)number);
    }
    make_broken_models();
    for (uint32_t slot = 0; slot < JL_FIRMWARE_SLOTS; slot++) {
        for (int number = FIRMWARE_OLD; number < FIRMWARES; number++) {
            make_firmware(&firmwares[number][slot], (enum firmware)number, slot,
                          board_port.profile_id);
        }
        make_firmware(&foreign_firmware[slot], FIRMWARE_NEWER, slot, "another board");
        altered_firmware[slot] = alter(&firmwares[FIRMWARE_NEWER][slot]);
    }
}
