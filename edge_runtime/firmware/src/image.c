#include "jl_crc.h"
#include "jl_image.h"
#include "jl_memory.h"

_Static_assert(sizeof(struct jl_image_header) == 32, "MCUboot's header");
_Static_assert(sizeof(struct jl_image_target) == 8, "TLV 0x00A0");

/** Head of a TLV area and of an entry in it. */
struct pair {
    uint16_t kind; /* magic, or type */
    uint16_t bytes;
};

jl_status jl_image_read_header(struct jl_bytes content, struct jl_image_header *header) {
    if (content.bytes < sizeof *header) {
        return JL_IMAGE_ERROR_INVALID_HEADER;
    }
    memcpy(header, content.data, sizeof *header);
    if (header->magic != JL_IMAGE_MAGIC) {
        return JL_IMAGE_ERROR_INVALID_MAGIC;
    }
    return header->header_bytes < sizeof *header ? JL_IMAGE_ERROR_INVALID_HEADER : JL_OK;
}

int jl_image_compare_versions(struct jl_image_version a, struct jl_image_version b) {
    uint64_t left = (uint64_t)a.major << 56 | (uint64_t)a.minor << 48 | (uint64_t)a.revision << 32;
    uint64_t right = (uint64_t)b.major << 56 | (uint64_t)b.minor << 48 | (uint64_t)b.revision << 32;
    left |= a.build;
    right |= b.build;
    return left < right ? -1 : left > right ? 1 : 0;
}

/** The bytes of a TLV area at `offset`, its own head left out. */
static jl_status open_tlvs(struct jl_bytes area, uint64_t offset, uint16_t magic,
                           struct jl_bytes *entries) {
    struct pair info;
    if (offset + sizeof info > area.bytes) {
        return JL_IMAGE_ERROR_NO_TLVS;
    }
    memcpy(&info, area.data + offset, sizeof info);
    if (info.kind != magic) {
        return JL_IMAGE_ERROR_NO_TLVS;
    }
    if (info.bytes < sizeof info || offset + info.bytes > area.bytes) {
        return JL_IMAGE_ERROR_INVALID_TLV;
    }
    entries->data = area.data + offset + sizeof info;
    entries->bytes = (uint32_t)(info.bytes - sizeof info);
    return JL_OK;
}

/**
 * The value of a type in a TLV area. Reads the area to its end: an entry that is cut off, or of the
 * wanted type but another size, or there twice, is an error. Absent: JL_ERROR_NOT_FOUND.
 */
static jl_status find_tlv(struct jl_bytes entries, uint16_t kind, void *value, uint32_t bytes) {
    jl_status status = JL_ERROR_NOT_FOUND;
    while (entries.bytes > 0) {
        struct pair entry;
        if (entries.bytes < sizeof entry) {
            return JL_IMAGE_ERROR_INVALID_TLV;
        }
        memcpy(&entry, entries.data, sizeof entry);
        entries.data += sizeof entry;
        entries.bytes -= (uint32_t)sizeof entry;
        if (entry.bytes > entries.bytes) {
            return JL_IMAGE_ERROR_INVALID_TLV;
        }
        if (entry.kind == kind) {
            if (entry.bytes != bytes || status == JL_OK) {
                return JL_IMAGE_ERROR_INVALID_TLV;
            }
            memcpy(value, entries.data, bytes);
            status = JL_OK;
        }
        entries.data += entry.bytes;
        entries.bytes -= entry.bytes;
    }
    return status;
}

/** As find_tlv(), where an image without the entry is refused for another reason. */
static jl_status require_tlv(struct jl_bytes entries, uint16_t kind, void *value, uint32_t bytes,
                             jl_status absent) {
    jl_status status = find_tlv(entries, kind, value, bytes);
    return status == JL_ERROR_NOT_FOUND ? absent : status;
}

/** An image taken apart; nothing of it is believed yet. */
struct parts {
    struct jl_image_header header;
    struct jl_bytes signed_part; /* header, payload, protected TLVs */
    struct jl_bytes protected_tlvs;
    struct jl_bytes tlvs;
};

static jl_status take_apart(struct jl_bytes area, struct parts *parts) {
    jl_status status = jl_image_read_header(area, &parts->header);
    if (status != JL_OK) {
        return status;
    }
    uint64_t protected_at = (uint64_t)parts->header.header_bytes + parts->header.payload_bytes;
    uint32_t protected_bytes = parts->header.protected_tlv_bytes;
    parts->protected_tlvs = (struct jl_bytes){0};
    if (protected_bytes > 0) {
        status = open_tlvs(area, protected_at, JL_TLV_PROTECTED_INFO_MAGIC, &parts->protected_tlvs);
        if (status != JL_OK) {
            return status;
        }
        if (parts->protected_tlvs.bytes + sizeof(struct pair) != protected_bytes) {
            return JL_IMAGE_ERROR_INVALID_TLV;
        }
    }
    uint64_t signed_bytes = protected_at + protected_bytes;
    status = open_tlvs(area, signed_bytes, JL_TLV_INFO_MAGIC, &parts->tlvs);
    parts->signed_part = (struct jl_bytes){area.data, (uint32_t)signed_bytes};
    return status;
}

static jl_status verify_hash(const struct parts *parts, uint8_t sha256[JL_SHA256_BYTES]) {
    uint8_t stated[JL_SHA256_BYTES];
    jl_status status = require_tlv(parts->tlvs, JL_TLV_SHA256, stated, sizeof stated,
                                   JL_IMAGE_ERROR_HASH_NOT_FOUND);
    if (status != JL_OK) {
        return status;
    }
    struct jl_sha256 hash;
    jl_sha256_begin(&hash);
    jl_sha256_add(&hash, parts->signed_part.data, parts->signed_part.bytes);
    jl_sha256_end(&hash, sha256);
    return memcmp(sha256, stated, sizeof stated) == 0 ? JL_OK : JL_NODE_ERROR_HASH_MISMATCH;
}

static const struct jl_public_key *find_key(const struct jl_trusted_keys *trusted,
                                            const uint8_t hash[JL_SHA256_BYTES]) {
    for (uint32_t index = 0; index < trusted->count; index++) {
        if (memcmp(trusted->keys[index].hash, hash, JL_SHA256_BYTES) == 0) {
            return &trusted->keys[index];
        }
    }
    return NULL;
}

static jl_status verify_signature(const struct jl_port *port, struct jl_bytes tlvs,
                                  const uint8_t sha256[JL_SHA256_BYTES]) {
    uint8_t key_hash[JL_SHA256_BYTES];
    uint8_t signature[JL_SIGNATURE_BYTES];
    jl_status status =
        require_tlv(tlvs, JL_TLV_KEY_HASH, key_hash, sizeof key_hash, JL_NODE_ERROR_UNSIGNED);
    if (status == JL_OK) {
        status =
            require_tlv(tlvs, JL_TLV_ED25519, signature, sizeof signature, JL_NODE_ERROR_UNSIGNED);
    }
    if (status != JL_OK) {
        return status;
    }
    const struct jl_public_key *key = find_key(port->trusted_keys, key_hash);
    if (key == NULL) {
        return JL_NODE_ERROR_KEY_UNTRUSTED;
    }
    bool is_signed = port->verify_signature(key->key, sha256, signature);
    return is_signed ? JL_OK : JL_NODE_ERROR_SIGNATURE_WRONG;
}

static jl_status read_protected(struct jl_bytes tlvs, struct jl_image *image) {
    jl_status status = require_tlv(tlvs, JL_TLV_TARGET, &image->target, sizeof image->target,
                                   JL_NODE_ERROR_NO_TARGET);
    if (status != JL_OK) {
        return status;
    }
    return require_tlv(tlvs, JL_TLV_SECURITY_COUNTER, &image->security_counter,
                       sizeof image->security_counter, JL_NODE_ERROR_NO_COUNTER);
}

jl_status jl_image_verify(const struct jl_port *port, struct jl_bytes area,
                          struct jl_image *image) {
    struct parts parts;
    jl_status status = take_apart(area, &parts);
    if (status == JL_OK) {
        status = verify_hash(&parts, image->sha256);
    }
    if (status == JL_OK) {
        status = verify_signature(port, parts.tlvs, image->sha256);
    }
    if (status == JL_OK) {
        status = read_protected(parts.protected_tlvs, image);
    }
    if (status != JL_OK) {
        return status;
    }
    const struct jl_image_header *header = &parts.header;
    image->version = header->version;
    image->payload = (struct jl_bytes){area.data + header->header_bytes, header->payload_bytes};
    image->bytes = (uint32_t)(parts.tlvs.data - area.data) + parts.tlvs.bytes;
    return JL_OK;
}

jl_status jl_image_check_firmware(const struct jl_port *port, const struct jl_image *image) {
    const struct jl_image_target *target = &image->target;
    uint32_t board = jl_crc32(port->profile_id, jl_text_bytes(port->profile_id));
    if (target->profile_class != JL_PROFILE_CLASS_FIRMWARE || target->isa_features != board) {
        return JL_NODE_ERROR_WRONG_BOARD;
    }
    if (target->kernel_class != port->kernel_class) {
        return JL_NODE_ERROR_WRONG_CORE;
    }
    return target->abi_version > JL_SERVICES_VERSION ? JL_NODE_ERROR_ABI_UNSUPPORTED : JL_OK;
}
