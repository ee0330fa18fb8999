/*
 * The image verifier. Hash and signature count as right here, or no changed image would come past
 * them: every hash is zeros, every signature is good.
 */
#include "fuzz.h"
#include "jl_image.h"

#include <string.h>

void jl_sha256_begin(struct jl_sha256 *hash) {
    memset(hash, 0, sizeof *hash);
}

void jl_sha256_add(struct jl_sha256 *hash, const uint8_t *data, size_t bytes) {
    /* Read as the real one reads, for the sanitizer. */
    for (size_t index = 0; index < bytes; index++) {
        hash->state[0] = (uint8_t)(hash->state[0] + data[index]);
    }
}

void jl_sha256_end(struct jl_sha256 *hash, uint8_t digest[JL_SHA256_BYTES]) {
    (void)hash;
    memset(digest, 0, JL_SHA256_BYTES);
}

static bool every_signature(const uint8_t public_key[JL_PUBLIC_KEY_BYTES],
                            const uint8_t digest[JL_DIGEST_BYTES],
                            const uint8_t signature[JL_SIGNATURE_BYTES]) {
    (void)public_key;
    (void)digest;
    (void)signature;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct jl_port port = {.profile_id = "host", .kernel_class = JL_KERNEL_SCALAR};
    port.trusted_keys = &jl_trusted_keys;
    port.verify_signature = every_signature;
    struct jl_bytes area = {data, (uint32_t)size};
    struct jl_image_header header;
    (void)jl_image_read_header(area, &header);
    struct jl_image image = {0};
    if (jl_image_verify(&port, area, &image) == JL_OK) {
        REQUIRE(image.bytes <= size);
        REQUIRE(image.payload.data >= data);
        REQUIRE(image.payload.data + image.payload.bytes <= data + size);
        (void)jl_image_check_firmware(&port, &image);
    }
    return 0;
}
