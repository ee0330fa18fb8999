#include "jl_memory.h"
#include "jl_node.h"

#ifndef JL_FIRMWARE_VERSION
#error "the build states the firmware's version"
#endif

enum {
    /* What a client erases that names no slot (smp_group_1.rst). */
    DEFAULT_ERASE_SLOT = 1,
    FIRST_MODEL_SLOT = JL_SMP_IMAGE_MODEL * JL_SMP_SLOTS_PER_IMAGE,
};

_Static_assert((int)JL_MODEL_SLOTS == (int)JL_SMP_SLOTS_PER_IMAGE, "slots as the protocol counts");

/** "255.255.65535.4294967295" */
struct version_text {
    char characters[25];
    uint32_t used;
};

static void add_number(struct version_text *text, uint32_t number) {
    char digits[10];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    if (text->used > 0) {
        text->characters[text->used++] = '.';
    }
    while (count > 0) {
        text->characters[text->used++] = digits[--count];
    }
}

static void put_flag(struct jl_cbor_writer *reply, const char *name) {
    jl_cbor_put_key(reply, name);
    jl_cbor_put_bool(reply, true);
}

static void put_place(struct jl_cbor_writer *reply, uint32_t image, uint32_t slot) {
    jl_cbor_put_number(reply, "image", image);
    jl_cbor_put_number(reply, "slot", slot);
    jl_cbor_put_key(reply, "version");
}

/** Open the record of an image in a slot: its place, version and hash. */
static void open_image(struct jl_cbor_writer *reply, uint32_t kind, uint32_t slot,
                       const struct jl_image *image) {
    struct version_text text = {.used = 0};
    add_number(&text, image->version.major);
    add_number(&text, image->version.minor);
    add_number(&text, image->version.revision);
    if (image->version.build != 0) {
        add_number(&text, image->version.build);
    }
    jl_cbor_open_map(reply);
    put_place(reply, kind, slot);
    jl_cbor_put_text(reply, (struct jl_bytes){(const uint8_t *)text.characters, text.used});
    jl_cbor_put_key(reply, "hash");
    jl_cbor_put_bytes(reply, (struct jl_bytes){image->sha256, sizeof image->sha256});
}

static void put_model(struct jl_cbor_writer *reply, const struct jl_slots *slots, uint32_t index) {
    open_image(reply, JL_SMP_IMAGE_MODEL, index, &slots->slot[index].image);
    if (index == slots->record.model_slot) {
        put_flag(reply, "confirmed");
    }
    if (index == slots->active) {
        put_flag(reply, "active");
    }
    jl_cbor_end(reply);
}

static void put_firmware(struct jl_cbor_writer *reply, const struct jl_node *node, uint32_t index) {
    const struct jl_record *record = &node->slots.record;
    open_image(reply, JL_SMP_IMAGE_FIRMWARE, index, &node->firmware[index].image);
    put_flag(reply, "bootable");
    if (index == record->firmware_trial && record->firmware_attempts == 0) {
        put_flag(reply, "pending");
    }
    if (index == record->firmware_slot) {
        put_flag(reply, "confirmed");
    }
    if (index == jl_firmware_running(record)) {
        put_flag(reply, "active");
    }
    jl_cbor_end(reply);
}

/** Firmware that is not replaceable lies in no slot. */
static void put_only_firmware(struct jl_cbor_writer *reply) {
    jl_cbor_open_map(reply);
    put_place(reply, JL_SMP_IMAGE_FIRMWARE, 0);
    jl_cbor_put_key(reply, JL_FIRMWARE_VERSION);
    put_flag(reply, "active");
    put_flag(reply, "confirmed");
    jl_cbor_end(reply);
}

/** What lies in a slot of firmware, verified now if it was not yet. */
static const struct jl_slot *firmware_slot(struct jl_node *node, uint32_t index) {
    struct jl_slot *slot = &node->firmware[index];
    if (!slot->is_known) {
        slot->is_known = true;
        slot->is_valid =
            jl_firmware_is_replaceable(node->port) &&
            jl_firmware_look(node->port, &node->slots.record, index, &slot->image) == JL_OK;
    }
    return slot;
}

static const struct jl_slot *model_slot(struct jl_node *node, uint32_t index) {
    return jl_slots_look(node->port, &node->slots, index);
}

static jl_status state(struct jl_node *node, struct jl_cbor_writer *reply) {
    jl_cbor_put_key(reply, "images");
    jl_cbor_open_array(reply);
    if (!jl_firmware_is_replaceable(node->port)) {
        put_only_firmware(reply);
    }
    for (uint32_t index = 0; index < JL_FIRMWARE_SLOTS; index++) {
        if (firmware_slot(node, index)->is_valid) {
            put_firmware(reply, node, index);
        }
    }
    for (uint32_t index = 0; index < JL_MODEL_SLOTS; index++) {
        if (model_slot(node, index)->is_valid) {
            put_model(reply, &node->slots, index);
        }
    }
    jl_cbor_end(reply);
    return JL_OK;
}

static bool has_hash(const struct jl_slot *slot, struct jl_bytes hash) {
    return slot->is_valid && hash.bytes == sizeof slot->image.sha256 &&
           memcmp(slot->image.sha256, hash.data, hash.bytes) == 0;
}

static jl_status confirm_firmware(struct jl_node *node) {
    node->firmware[jl_firmware_spare(&node->slots.record)].is_known = false; /* or withdrawn now */
    return jl_firmware_confirm(node->port, &node->slots.record);
}

/** Put the spare firmware on trial, or confirm the one that runs. */
static jl_status choose_firmware(struct jl_node *node, uint32_t index, bool is_confirmed) {
    bool runs = index == jl_firmware_running(&node->slots.record);
    if (is_confirmed) {
        /* Only what runs has shown that it runs. */
        return runs ? confirm_firmware(node) : JL_ERROR_BAD_STATE;
    }
    return runs ? JL_OK : jl_firmware_test(node->port, &node->slots.record);
}

/** Another model serves, or will: what was exchanged with the old one is void. */
static void forget_exchange(struct jl_node *node) {
    node->input_received = 0;
    node->output_ready = 0;
}

/** The slot of the model with this hash, of two the one that serves; JL_NO_SLOT: there is none. */
static uint32_t find_model(struct jl_node *node, struct jl_bytes hash) {
    uint32_t found = JL_NO_SLOT;
    for (uint32_t index = 0; index < JL_MODEL_SLOTS; index++) {
        bool is_better = found == JL_NO_SLOT || index == node->slots.active;
        if (is_better && has_hash(model_slot(node, index), hash)) {
            found = index;
        }
    }
    return found;
}

/** Serve the spare model on trial, or the confirmed one again; keep the one that serves. */
static jl_status choose_model(struct jl_node *node, uint32_t index, bool is_confirmed) {
    struct jl_slots *slots = &node->slots;
    jl_status status = JL_OK;
    if (index != slots->active) {
        forget_exchange(node);
        status = jl_slots_is_on_trial(slots) ? jl_slots_revert(node->port, slots)
                                             : jl_slots_activate(node->port, slots, index);
    }
    return status == JL_OK && is_confirmed ? jl_slots_confirm(node->port, slots) : status;
}

static jl_status set_state(struct jl_node *node, const struct jl_request *request,
                           struct jl_cbor_writer *reply) {
    struct jl_bytes hash = {0};
    bool is_confirmed = false;
    enum jl_cbor_found found = jl_cbor_get_bytes(request->map, "hash", &hash);
    if (found == JL_CBOR_WRONG ||
        jl_cbor_get_bool(request->map, "confirm", &is_confirmed) == JL_CBOR_WRONG) {
        return JL_ERROR_INVALID;
    }
    jl_status status = JL_ERROR_NOT_FOUND;
    if (found == JL_CBOR_ABSENT) {
        /* Without a hash: the firmware that runs. */
        status = is_confirmed ? confirm_firmware(node) : JL_ERROR_INVALID;
    }
    for (uint32_t index = 0; index < JL_FIRMWARE_SLOTS; index++) {
        if (has_hash(firmware_slot(node, index), hash)) {
            status = choose_firmware(node, index, is_confirmed);
        }
    }
    uint32_t model = find_model(node, hash);
    if (model != JL_NO_SLOT) {
        status = choose_model(node, model, is_confirmed);
    }
    return status == JL_OK ? state(node, reply) : status;
}

/** Read what the first piece announces; an absent value keeps its default. */
static jl_status read_start(const struct jl_port *port, struct jl_bytes map,
                            struct jl_upload_start *start) {
    uint32_t image = JL_SMP_IMAGE_FIRMWARE;
    if (jl_cbor_get_uint(map, "image", &image) == JL_CBOR_WRONG ||
        jl_cbor_get_bytes(map, "sha", &start->sha256) == JL_CBOR_WRONG ||
        jl_cbor_get_bool(map, "upgrade", &start->must_be_newer) == JL_CBOR_WRONG) {
        return JL_ERROR_INVALID;
    }
    if (image != JL_SMP_IMAGE_MODEL && image != JL_SMP_IMAGE_FIRMWARE) {
        return JL_IMAGE_ERROR_INVALID_SLOT;
    }
    if (image == JL_SMP_IMAGE_FIRMWARE && !jl_firmware_is_replaceable(port)) {
        return JL_IMAGE_ERROR_NO_FREE_SLOT;
    }
    start->kind = image;
    bool has_length = jl_cbor_get_uint(map, "len", &start->bytes) == JL_CBOR_FOUND;
    return has_length ? JL_OK : JL_IMAGE_ERROR_INVALID_LENGTH;
}

static jl_status store(struct jl_node *node, struct jl_bytes map) {
    uint32_t offset;
    struct jl_bytes data;
    if (jl_cbor_get_uint(map, "off", &offset) != JL_CBOR_FOUND ||
        jl_cbor_get_bytes(map, "data", &data) != JL_CBOR_FOUND) {
        return JL_ERROR_INVALID;
    }
    if (offset != 0) {
        return jl_upload_store(node->port, &node->upload, offset, data);
    }
    struct jl_upload_start start = {0};
    jl_status status = read_start(node->port, map, &start);
    if (status != JL_OK) {
        return status;
    }
    status = jl_upload_begin(node->port, &node->slots, &node->upload, &start, data);
    if (status == JL_OK && start.kind == JL_SMP_IMAGE_FIRMWARE) {
        node->firmware[node->upload.slot] = (struct jl_slot){.is_known = true};
    }
    return status;
}

static jl_status upload(struct jl_node *node, const struct jl_request *request,
                        struct jl_cbor_writer *reply) {
    jl_status status = store(node, request->map);
    if (status != JL_OK) {
        return status;
    }
    struct jl_upload *upload = &node->upload;
    bool is_complete = upload->is_open && upload->offset == upload->bytes;
    /* Without an upload the client is sent back to the start. */
    uint32_t offset = upload->is_open ? upload->offset : 0;
    if (is_complete) {
        /* The self-test runs in the arena, and the model may be another one afterwards. */
        forget_exchange(node);
        status = jl_upload_finish(node->port, &node->slots, upload);
        if (upload->kind == JL_SMP_IMAGE_FIRMWARE) {
            node->firmware[upload->slot].is_known = false;
        }
        if (status != JL_OK) {
            return status;
        }
    }
    jl_cbor_put_number(reply, "rc", 0);
    jl_cbor_put_number(reply, "off", offset);
    if (is_complete && upload->has_sha256) {
        put_flag(reply, "match");
    }
    return JL_OK;
}

static jl_status erase_firmware(struct jl_node *node, uint32_t index) {
    if (!jl_firmware_is_replaceable(node->port)) {
        return JL_IMAGE_ERROR_NO_FREE_SLOT;
    }
    if (index != jl_firmware_spare(&node->slots.record)) {
        return JL_ERROR_BAD_STATE;
    }
    if (node->upload.kind == JL_SMP_IMAGE_FIRMWARE) {
        node->upload.is_open = false;
    }
    jl_status status = jl_firmware_erase(node->port, &node->slots.record);
    node->firmware[index].is_known = false;
    return status;
}

static jl_status erase(struct jl_node *node, const struct jl_request *request) {
    uint32_t slot = DEFAULT_ERASE_SLOT;
    if (jl_cbor_get_uint(request->map, "slot", &slot) == JL_CBOR_WRONG) {
        return JL_ERROR_INVALID;
    }
    if (slot < FIRST_MODEL_SLOT) {
        return erase_firmware(node, slot);
    }
    uint32_t index = slot - FIRST_MODEL_SLOT;
    if (index >= JL_MODEL_SLOTS) {
        return JL_IMAGE_ERROR_INVALID_SLOT;
    }
    if (node->upload.kind == JL_SMP_IMAGE_MODEL && node->upload.slot == index) {
        node->upload.is_open = false;
    }
    return jl_slots_erase(node->port, &node->slots, index);
}

jl_status jl_images_handle(struct jl_node *node, const struct jl_request *request,
                           struct jl_cbor_writer *reply) {
    bool is_write = request->operation == JL_SMP_WRITE;
    if (request->command == JL_IMAGE_STATE) {
        return is_write ? set_state(node, request, reply) : state(node, reply);
    }
    bool is_storing = request->command == JL_IMAGE_UPLOAD || request->command == JL_IMAGE_ERASE;
    if (is_storing && is_write && jl_port_is_read_only(node->port)) {
        return JL_NODE_ERROR_FLASH_READ_ONLY;
    }
    if (request->command == JL_IMAGE_UPLOAD && is_write) {
        return upload(node, request, reply);
    }
    if (request->command == JL_IMAGE_ERASE && is_write) {
        return erase(node, request);
    }
    return JL_ERROR_NOT_SUPPORTED;
}
