#include "spoilt.h"
#include "images_parts.h"
#include "jl_image.h"

#include <stddef.h>
#include <string.h>

/* Where what lies in an image. */
#define HEADER(field) offsetof(struct jl_image_header, field)
#define MODULE(field) (sizeof(struct jl_image_header) + offsetof(struct module, field))
#define MODULE_FIELD(field) MODULE(header) + offsetof(struct jl_module_header, field)
#define TARGET(field) TARGET_AT + 4 + offsetof(struct jl_image_target, field)

enum {
    PAYLOAD_AT = sizeof(struct jl_image_header),
    PROTECTED_AT = PAYLOAD_AT + PAYLOAD_BYTES,
    TARGET_AT = PROTECTED_AT + 4,
    COUNTER_AT = TARGET_AT + 4 + sizeof(struct jl_image_target),
    TLVS_AT = COUNTER_AT + 4 + sizeof(uint32_t),
    HASH_AT = TLVS_AT + 4,
    KEY_AT = HASH_AT + 4 + JL_SHA256_BYTES,
    SIGNATURE_AT = KEY_AT + 4 + JL_SHA256_BYTES,
    ABSENT = 0x77,
};

/* What holds for every kind of image. */
#define SPOILT_IMAGES                                                                                \
    {"the magic", HEADER(magic), 4, 1, true, JL_IMAGE_ERROR_INVALID_MAGIC},                          \
        {"a header too short", HEADER(header_bytes), 2, 16, true, JL_IMAGE_ERROR_INVALID_HEADER},    \
        {"a payload behind the slot", HEADER(payload_bytes), 4, 0x7FFFFFF0, true,                    \
         JL_IMAGE_ERROR_NO_TLVS},                                                                    \
        {"a payload behind all memory", HEADER(payload_bytes), 4, 0xFFFFFFF0, true,                  \
         JL_IMAGE_ERROR_NO_TLVS},                                                                    \
        {"the protected area's size", HEADER(protected_tlv_bytes), 2, PROTECTED_BYTES - 4, true,     \
         JL_IMAGE_ERROR_INVALID_TLV},                                                                \
        {"no protected area", HEADER(protected_tlv_bytes), 2, 0, true, JL_IMAGE_ERROR_NO_TLVS},      \
        {"the protected area's magic", PROTECTED_AT, 2, ABSENT, true, JL_IMAGE_ERROR_NO_TLVS},       \
        {"the protected area's own size", PROTECTED_AT + 2, 2, PROTECTED_BYTES - 8, true,            \
         JL_IMAGE_ERROR_INVALID_TLV},                                                                \
        {"no target", TARGET_AT, 2, ABSENT, true, JL_NODE_ERROR_NO_TARGET},                          \
        {"no counter", COUNTER_AT, 2, ABSENT, true, JL_NODE_ERROR_NO_COUNTER},                       \
        {"a counter too short", COUNTER_AT + 2, 2, 0, true, JL_IMAGE_ERROR_INVALID_TLV},             \
        {"an older counter", COUNTER_AT + 4, 4, 0, true, JL_NODE_ERROR_COUNTER_OLDER},               \
        {"another core", TARGET(kernel_class), 1, JL_KERNEL_MVE, true, JL_NODE_ERROR_WRONG_CORE},    \
        {"a newer ABI", TARGET(abi_version), 2, 9, true, JL_NODE_ERROR_ABI_UNSUPPORTED},             \
        {"a counter after signing", COUNTER_AT + 4, 4, 900, false, JL_NODE_ERROR_HASH_MISMATCH},     \
        {"a version after signing", HEADER(version), 1, 9, false, JL_NODE_ERROR_HASH_MISMATCH},      \
        {"the payload's last byte", PROTECTED_AT - 1, 1, 0, false, JL_NODE_ERROR_HASH_MISMATCH},     \
        {"the hash's last byte", KEY_AT - 1, 1, 0, false, JL_NODE_ERROR_HASH_MISMATCH},              \
        {"no hash", HASH_AT, 2, ABSENT, false, JL_IMAGE_ERROR_HASH_NOT_FOUND},                       \
        {"no key", KEY_AT, 2, ABSENT, false, JL_NODE_ERROR_UNSIGNED},                                \
        {"another key", SIGNATURE_AT - 1, 1, 0, false, JL_NODE_ERROR_KEY_UNTRUSTED},                 \
        {"no signature", SIGNATURE_AT, 2, ABSENT, false, JL_NODE_ERROR_UNSIGNED},                    \
        {"two hashes", KEY_AT, 2, JL_TLV_SHA256, false, JL_IMAGE_ERROR_INVALID_TLV},                 \
        {"the signature's first byte", SIGNATURE_AT + 4, 1, 0, false,                                \
         JL_NODE_ERROR_SIGNATURE_WRONG},                                                             \
        {"the signature's last byte", IMAGE_BYTES - 1, 1, 0, false, JL_NODE_ERROR_SIGNATURE_WRONG},  \
        {"TLVs behind the slot", TLVS_AT + 2, 2, 0x7FF0, false, JL_IMAGE_ERROR_INVALID_TLV},         \
        {"TLVs that are cut off", TLVS_AT + 2, 2, TLV_BYTES - 8, false, JL_IMAGE_ERROR_INVALID_TLV}, \
    {                                                                                                \
        "the TLVs' magic", TLVS_AT, 2, ABSENT, false, JL_IMAGE_ERROR_NO_TLVS                         \
    }

const struct spoilt spoilt_models[] = {
    SPOILT_IMAGES,
    {"firmware", TARGET(profile_class), 1, JL_PROFILE_CLASS_FIRMWARE, true,
     JL_NODE_ERROR_NO_TARGET},
    {"instructions that are missing", TARGET(isa_features), 4, JL_ISA_DSP, true,
     JL_NODE_ERROR_ISA_MISSING},
    {"the module's magic", MODULE_FIELD(magic), 4, 1, true, JL_NODE_ERROR_MODULE_MALFORMED},
    {"the module's ABI", MODULE_FIELD(abi_version), 2, 9, true, JL_NODE_ERROR_ABI_UNSUPPORTED},
    {"the module's header", MODULE_FIELD(header_bytes), 2, 84, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"the module's core", MODULE_FIELD(kernel_class), 1, JL_KERNEL_MVE, true,
     JL_NODE_ERROR_WRONG_CORE},
    {"the module's instructions", MODULE_FIELD(isa_features), 4, JL_ISA_DSP, true,
     JL_NODE_ERROR_ISA_MISSING},
    {"what is reserved", MODULE_FIELD(reserved), 1, 1, true, JL_NODE_ERROR_MODULE_MALFORMED},
    {"the end of the header", MODULE_FIELD(reserved_end), 4, 1, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"the module's size", MODULE_FIELD(module_bytes), 4, PAYLOAD_BYTES + 16, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"an entry in the header", MODULE_FIELD(entry_offset), 4, 8, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"an entry behind the module", MODULE_FIELD(entry_offset), 4, PAYLOAD_BYTES, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"a large stack", MODULE_FIELD(stack_bytes), 4, 1025, true, JL_NODE_ERROR_STACK_TOO_LARGE},
    {"a large arena", MODULE_FIELD(arena_bytes), 4, 1024, true, JL_NODE_ERROR_ARENA_TOO_LARGE},
    {"an endless arena", MODULE_FIELD(arena_bytes), 4, UINT32_MAX, true,
     JL_NODE_ERROR_ARENA_TOO_LARGE},
    {"tensors behind the module", MODULE_FIELD(tensors_offset), 4, PAYLOAD_BYTES - 3, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"no inputs", MODULE_FIELD(input_count), 2, 0, true, JL_NODE_ERROR_MODULE_MALFORMED},
    {"too many axes", MODULE(tensors), 4, JL_MODULE_MAX_RANK + 1, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"an empty axis", MODULE(tensors) + 4, 4, 0, true, JL_NODE_ERROR_MODULE_MALFORMED},
    {"a large input", MODULE(tensors) + 4, 4, 2048, true, JL_NODE_ERROR_MODULE_MALFORMED},
    {"a self-test behind the module", MODULE_FIELD(self_test_offset), 4, PAYLOAD_BYTES - 3, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"rows behind the module", MODULE(test.rows), 4, 1000, true, JL_NODE_ERROR_MODULE_MALFORMED},
    {"ceilings behind the module", MODULE(test.ceilings), 4, 1000, true,
     JL_NODE_ERROR_MODULE_MALFORMED},
    {"the last output", MODULE(outputs) + ROWS *MODEL_SIZE - 1, 1, 0, true,
     JL_NODE_ERROR_SELF_TEST_DIFFERS},
    {"too slow", MODULE(ceilings[1].ticks), 4, MODEL_TICKS, true, JL_NODE_ERROR_SELF_TEST_TOO_SLOW},
    {"too costly", MODULE(ceilings[1].nanojoules), 4, MODEL_TICKS, true,
     JL_NODE_ERROR_SELF_TEST_TOO_COSTLY},
    {"one that fails", MODULE(number), 1, MODELS, true, JL_NODE_ERROR_INFERENCE_FAILED},
    {0},
};

const struct spoilt spoilt_firmware[] = {
    SPOILT_IMAGES,
    {"a model", TARGET(profile_class), 1, JL_PROFILE_CLASS_MCU, true, JL_NODE_ERROR_WRONG_BOARD},
    {"another board", TARGET(isa_features), 4, 1, true, JL_NODE_ERROR_WRONG_BOARD},
    {"another place", HEADER(load_address), 4, 16, true, JL_NODE_ERROR_WRONG_SLOT},
    {"no place", HEADER(load_address), 4, 0, true, JL_NODE_ERROR_WRONG_BOARD},
    {0},
};

static struct image spoil(struct image image, const struct spoilt *spoilt) {
    uint8_t *at = image.bytes + spoilt->offset;
    uint32_t value = spoilt->value;
    if (memcmp(at, &value, spoilt->bytes) == 0) {
        value = ~value; /* by chance it is what the image has */
    }
    memcpy(at, &value, spoilt->bytes);
    images_seal(&image, spoilt->is_signed ? TLVS_AT : 0);
    return image;
}

struct image spoilt_model(const struct spoilt *spoilt) {
    return spoil(models[MODEL_NEWER], spoilt);
}

struct image spoilt_firmware_for(const struct spoilt *spoilt, uint32_t slot) {
    return spoil(firmwares[FIRMWARE_NEWER][slot], spoilt);
}
