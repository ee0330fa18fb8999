/*
 * MCUboot's image format: header, payload, protected TLVs, TLVs.
 * Mirrors edge_runtime/wire/image.py; a test holds them equal.
 */
#ifndef JL_IMAGE_H
#define JL_IMAGE_H

#include "jl_cbor.h"
#include "jl_port.h"
#include "jl_sha256.h"
#include "jl_smp_ids.h"

#include <stdint.h>

#define JL_IMAGE_MAGIC UINT32_C(0x96F3B83D)

enum {
    JL_TLV_INFO_MAGIC = 0x6907,
    JL_TLV_PROTECTED_INFO_MAGIC = 0x6908,
    JL_TLV_KEY_HASH = 0x01,
    JL_TLV_SHA256 = 0x10,
    JL_TLV_ED25519 = 0x24,
    JL_TLV_SECURITY_COUNTER = 0x50,
    JL_TLV_TARGET = 0x00A0,
    JL_PROFILE_CLASS_MCU = 1,
    JL_PROFILE_CLASS_FIRMWARE = 2,
};

struct jl_image_version {
    uint8_t major;
    uint8_t minor;
    uint16_t revision;
    uint32_t build;
};

struct jl_image_header {
    uint32_t magic;
    uint32_t load_address;
    uint16_t header_bytes;
    uint16_t protected_tlv_bytes;
    uint32_t payload_bytes;
    uint32_t flags;
    struct jl_image_version version;
    uint32_t padding;
};

/**
 * Value of the TLV 0x00A0. A firmware's `abi_version` is that of the services that it needs
 * (jl_services.h), its `isa_features` the CRC-32 (zlib) of its board's profile id.
 */
struct jl_image_target {
    uint8_t profile_class;
    uint8_t kernel_class;
    uint16_t abi_version;
    uint32_t isa_features;
};

/** A verified image. */
struct jl_image {
    struct jl_image_version version;
    struct jl_bytes payload;
    uint32_t bytes; /* of the whole image */
    uint8_t sha256[JL_SHA256_BYTES];
    struct jl_image_target target;
    uint32_t security_counter;
};

/** Read the header at the start of an image or of its first piece. */
jl_status jl_image_read_header(struct jl_bytes content, struct jl_image_header *header);

/** Order of two versions, build numbers included: negative, 0, positive. */
int jl_image_compare_versions(struct jl_image_version a, struct jl_image_version b);

/**
 * Verify the image that starts at `area.data` and ends inside the area: structure, hash, signature
 * of a key that the board trusts, target, security counter. What lies behind the image does not
 * matter. Of the port only its keys and its verify_signature() are used.
 */
jl_status jl_image_verify(const struct jl_port *port, struct jl_bytes area, struct jl_image *image);

/** Whether a verified image is firmware for this board, and its boot loader can start it. */
jl_status jl_image_check_firmware(const struct jl_port *port, const struct jl_image *image);

#endif
