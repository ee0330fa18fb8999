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

static jl_status verify_hash(struct jl_bytes signed_part, struct jl_bytes tlvs,
                             uint8_t sha256[JL_SHA256_BYTES]) {
    uint8_t stated[JL_SHA256_BYTES];
    jl_status status = find_tlv(tlvs, JL_TLV_SHA256, stated, sizeof stated);
    if (status != JL_OK) {
        return status == JL_ERROR_NOT_FOUND ? JL_IMAGE_ERROR_HASH_NOT_FOUND : status;
    }
    struct jl_sha256 hash;
    jl_sha256_begin(&hash);
    jl_sha256_add(&hash, signed_part.data, signed_part.bytes);
    jl_sha256_end(&hash, sha256);
    return memcmp(sha256, stated, sizeof stated) == 0 ? JL_OK : JL_NODE_ERROR_HASH_MISMATCH;
}

jl_status jl_image_verify(struct jl_bytes area, struct jl_image *image) {
    struct jl_image_header header;
    jl_status status = jl_image_read_header(area, &header);
    if (status != JL_OK) {
        return status;
    }
    uint64_t protected_at = (uint64_t)header.header_bytes + header.payload_bytes;
    struct jl_bytes protected_tlvs = {0};
    if (header.protected_tlv_bytes > 0) {
        status = open_tlvs(area, protected_at, JL_TLV_PROTECTED_INFO_MAGIC, &protected_tlvs);
        if (status != JL_OK) {
            return status;
        }
        if (protected_tlvs.bytes + sizeof(struct pair) != header.protected_tlv_bytes) {
            return JL_IMAGE_ERROR_INVALID_TLV;
        }
    }
    uint64_t signed_bytes = protected_at + header.protected_tlv_bytes;
    struct jl_bytes tlvs;
    status = open_tlvs(area, signed_bytes, JL_TLV_INFO_MAGIC, &tlvs);
    if (status != JL_OK) {
        return status;
    }
    struct jl_bytes signed_part = {area.data, (uint32_t)signed_bytes};
    status = verify_hash(signed_part, tlvs, image->sha256);
    if (status != JL_OK) {
        return status;
    }
    status = find_tlv(protected_tlvs, JL_TLV_TARGET, &image->target, sizeof image->target);
    if (status != JL_OK) {
        return status == JL_ERROR_NOT_FOUND ? JL_NODE_ERROR_NO_TARGET : status;
    }
    image->version = header.version;
    image->payload = (struct jl_bytes){area.data + header.header_bytes, header.payload_bytes};
    image->bytes = (uint32_t)(tlvs.data - area.data) + tlvs.bytes;
    return JL_OK;
}
