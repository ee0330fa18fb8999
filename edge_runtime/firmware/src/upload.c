#include "jl_memory.h"
#include "jl_upload.h"

/** Whether the same file is on its way already, so that the client may go on where it stopped. */
static bool is_resumed(const struct jl_upload *upload, const struct jl_upload_start *start) {
    return upload->is_open && upload->kind == start->kind && upload->has_sha256 &&
           upload->bytes == start->bytes && start->sha256.bytes == JL_SHA256_BYTES &&
           memcmp(upload->sha256, start->sha256.data, JL_SHA256_BYTES) == 0;
}

static const struct jl_area *area_of(const struct jl_port *port, uint32_t kind, uint32_t slot) {
    return kind == JL_SMP_IMAGE_FIRMWARE ? &port->firmware_slots[slot] : &port->model_slots[slot];
}

/** The header of what runs, or serves; false where there is none. */
static bool read_current(const struct jl_port *port, const struct jl_slots *slots, uint32_t kind,
                         struct jl_image_header *header) {
    uint32_t slot =
        kind == JL_SMP_IMAGE_FIRMWARE ? jl_firmware_running(&slots->record) : slots->active;
    if (slot == JL_NO_SLOT) {
        return false;
    }
    const struct jl_area *area = area_of(port, kind, slot);
    struct jl_bytes content = {port->flash + area->offset, area->bytes};
    return jl_image_read_header(content, header) == JL_OK;
}

static jl_status check_start(const struct jl_port *port, const struct jl_slots *slots,
                             uint32_t slot, const struct jl_upload_start *start,
                             struct jl_bytes data) {
    if (start->bytes > area_of(port, start->kind, slot)->bytes) {
        return JL_IMAGE_ERROR_TOO_LARGE;
    }
    if (data.bytes > start->bytes) {
        return JL_IMAGE_ERROR_OVERRUN;
    }
    if (start->sha256.bytes != 0 && start->sha256.bytes != JL_SHA256_BYTES) {
        return JL_IMAGE_ERROR_INVALID_HASH;
    }
    struct jl_image_header header;
    jl_status status = jl_image_read_header(data, &header);
    if (status != JL_OK) {
        return status;
    }
    if (start->kind == JL_SMP_IMAGE_FIRMWARE && !jl_firmware_is_at_home(port, slot, &header)) {
        /* A model may lie anywhere, firmware only where it says. */
        return header.load_address == 0 ? JL_NODE_ERROR_WRONG_BOARD : JL_NODE_ERROR_WRONG_SLOT;
    }
    struct jl_image_header current;
    if (start->must_be_newer && read_current(port, slots, start->kind, &current) &&
        jl_image_compare_versions(header.version, current.version) <= 0) {
        return JL_IMAGE_ERROR_VERSION_OLDER;
    }
    return JL_OK;
}

jl_status jl_upload_begin(const struct jl_port *port, struct jl_slots *slots,
                          struct jl_upload *upload, const struct jl_upload_start *start,
                          struct jl_bytes data) {
    if (is_resumed(upload, start)) {
        return JL_OK;
    }
    bool is_firmware = start->kind == JL_SMP_IMAGE_FIRMWARE;
    uint32_t slot = is_firmware ? jl_firmware_spare(&slots->record) : jl_slots_spare(slots);
    jl_status status = check_start(port, slots, slot, start, data);
    if (status == JL_OK) {
        /* A model's upload takes the slot of its way back: the model on trial is kept. */
        status =
            is_firmware ? jl_firmware_release(port, &slots->record) : jl_slots_confirm(port, slots);
    }
    if (status != JL_OK) {
        return status;
    }
    if (!is_firmware) {
        slots->slot[slot] = (struct jl_slot){.is_known = true}; /* and holds nothing */
    }
    *upload = (struct jl_upload){
        .is_open = true, .kind = start->kind, .slot = slot, .bytes = start->bytes};
    if (start->sha256.bytes == JL_SHA256_BYTES) {
        upload->has_sha256 = true;
        memcpy(upload->sha256, start->sha256.data, JL_SHA256_BYTES);
    }
    return jl_upload_store(port, upload, 0, data);
}

/** Program whole units from any source: what does not fill a unit is padded as erased flash is. */
static jl_status program(const struct jl_port *port, uint32_t offset, struct jl_bytes data) {
    uint32_t whole = data.bytes & ~(port->program_bytes - 1);
    if (whole > 0 && !port->flash_program(offset, data.data, whole)) {
        return JL_IMAGE_ERROR_FLASH_WRITE_FAILED;
    }
    if (whole == data.bytes) {
        return JL_OK;
    }
    uint8_t unit[JL_MAX_PROGRAM_BYTES];
    memset(unit, 0xFF, sizeof unit);
    memcpy(unit, data.data + whole, data.bytes - whole);
    bool is_written = port->flash_program(offset + whole, unit, port->program_bytes);
    return is_written ? JL_OK : JL_IMAGE_ERROR_FLASH_WRITE_FAILED;
}

/** Erase the blocks that begin in [from, to): so the flash is erased as the upload moves on. */
static jl_status erase_ahead(const struct jl_port *port, const struct jl_area *area, uint32_t from,
                             uint32_t to) {
    uint32_t first = (from + port->erase_bytes - 1) & ~(port->erase_bytes - 1);
    for (uint32_t at = first; at < to; at += port->erase_bytes) {
        if (!port->flash_erase(area->offset + at)) {
            return JL_IMAGE_ERROR_FLASH_ERASE_FAILED;
        }
    }
    return JL_OK;
}

jl_status jl_upload_store(const struct jl_port *port, struct jl_upload *upload, uint32_t offset,
                          struct jl_bytes data) {
    if (!upload->is_open || offset != upload->offset) {
        return JL_OK;
    }
    if (data.bytes > upload->bytes - offset) {
        return JL_IMAGE_ERROR_OVERRUN;
    }
    if (data.bytes < upload->bytes - offset) {
        data.bytes &= ~(port->program_bytes - 1);
        if (data.bytes == 0) {
            return JL_IMAGE_ERROR_INVALID_LENGTH; /* the upload would never move on */
        }
    }
    const struct jl_area *area = area_of(port, upload->kind, upload->slot);
    jl_status status = erase_ahead(port, area, offset, offset + data.bytes);
    if (status == JL_OK) {
        status = program(port, area->offset + offset, data);
    }
    if (status != JL_OK) {
        upload->is_open = false;
        return status;
    }
    upload->offset = offset + data.bytes;
    return JL_OK;
}

static bool is_announced_file(const struct jl_port *port, const struct jl_upload *upload) {
    uint8_t sha256[JL_SHA256_BYTES];
    struct jl_sha256 hash;
    jl_sha256_begin(&hash);
    const struct jl_area *area = area_of(port, upload->kind, upload->slot);
    jl_sha256_add(&hash, port->flash + area->offset, upload->bytes);
    jl_sha256_end(&hash, sha256);
    return memcmp(sha256, upload->sha256, sizeof sha256) == 0;
}

jl_status jl_upload_finish(const struct jl_port *port, struct jl_slots *slots,
                           struct jl_upload *upload) {
    upload->is_open = false;
    if (upload->has_sha256 && !is_announced_file(port, upload)) {
        return JL_IMAGE_ERROR_INVALID_HASH;
    }
    if (upload->kind == JL_SMP_IMAGE_MODEL) {
        return jl_slots_activate(port, slots, upload->slot);
    }
    struct jl_image image;
    jl_status status = jl_firmware_look(port, &slots->record, upload->slot, &image);
    if (status != JL_OK) {
        (void)port->flash_erase(port->firmware_slots[upload->slot].offset);
    }
    return status;
}
