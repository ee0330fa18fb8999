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
    jl_cbor_put_key(reply, "image");
    jl_cbor_put_uint(reply, image);
    jl_cbor_put_key(reply, "slot");
    jl_cbor_put_uint(reply, slot);
    jl_cbor_put_key(reply, "version");
}

static void put_model(struct jl_cbor_writer *reply, const struct jl_slots *slots, uint32_t index) {
    const struct jl_image *image = &slots->slot[index].image;
    struct version_text text = {.used = 0};
    add_number(&text, image->version.major);
    add_number(&text, image->version.minor);
    add_number(&text, image->version.revision);
    if (image->version.build != 0) {
        add_number(&text, image->version.build);
    }
    jl_cbor_open_map(reply);
    put_place(reply, JL_SMP_IMAGE_MODEL, index);
    jl_cbor_put_text(reply, (struct jl_bytes){(const uint8_t *)text.characters, text.used});
    jl_cbor_put_key(reply, "hash");
    jl_cbor_put_bytes(reply, (struct jl_bytes){image->sha256, sizeof image->sha256});
    if (index == slots->active) {
        put_flag(reply, "active");
        put_flag(reply, "confirmed");
    }
    jl_cbor_end(reply);
}

static jl_status state(const struct jl_node *node, struct jl_cbor_writer *reply) {
    jl_cbor_put_key(reply, "images");
    jl_cbor_open_array(reply);
    jl_cbor_open_map(reply);
    put_place(reply, JL_SMP_IMAGE_FIRMWARE, 0);
    jl_cbor_put_key(reply, JL_FIRMWARE_VERSION);
    put_flag(reply, "active");
    put_flag(reply, "confirmed");
    jl_cbor_end(reply);
    for (uint32_t index = 0; index < JL_MODEL_SLOTS; index++) {
        if (node->slots.slot[index].is_valid) {
            put_model(reply, &node->slots, index);
        }
    }
    jl_cbor_end(reply);
    return JL_OK;
}

/** Read what the first piece announces; an absent value keeps its default. */
static jl_status read_start(struct jl_bytes map, struct jl_upload_start *start) {
    uint32_t image = JL_SMP_IMAGE_FIRMWARE;
    if (jl_cbor_get_uint(map, "image", &image) == JL_CBOR_WRONG ||
        jl_cbor_get_bytes(map, "sha", &start->sha256) == JL_CBOR_WRONG ||
        jl_cbor_get_bool(map, "upgrade", &start->must_be_newer) == JL_CBOR_WRONG) {
        return JL_ERROR_INVALID;
    }
    if (image != JL_SMP_IMAGE_MODEL) {
        return image == JL_SMP_IMAGE_FIRMWARE ? JL_IMAGE_ERROR_NO_FREE_SLOT
                                              : JL_IMAGE_ERROR_INVALID_SLOT;
    }
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
    jl_status status = read_start(map, &start);
    if (status != JL_OK) {
        return status;
    }
    return jl_upload_begin(node->port, &node->slots, &node->upload, &start, data);
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
        node->input_received = 0;
        node->output_ready = 0;
        status = jl_upload_finish(node->port, &node->slots, upload);
        if (status != JL_OK) {
            return status;
        }
    }
    jl_cbor_put_key(reply, "rc");
    jl_cbor_put_uint(reply, 0);
    jl_cbor_put_key(reply, "off");
    jl_cbor_put_uint(reply, offset);
    if (is_complete && upload->has_sha256) {
        put_flag(reply, "match");
    }
    return JL_OK;
}

static jl_status erase(struct jl_node *node, const struct jl_request *request) {
    uint32_t slot = DEFAULT_ERASE_SLOT;
    if (jl_cbor_get_uint(request->map, "slot", &slot) == JL_CBOR_WRONG) {
        return JL_ERROR_INVALID;
    }
    uint32_t index = slot - FIRST_MODEL_SLOT;
    if (slot < FIRST_MODEL_SLOT || index >= JL_MODEL_SLOTS) {
        return JL_IMAGE_ERROR_INVALID_SLOT;
    }
    if (node->upload.slot == index) {
        node->upload.is_open = false;
    }
    return jl_slots_erase(node->port, &node->slots, index);
}

jl_status jl_images_handle(struct jl_node *node, const struct jl_request *request,
                           struct jl_cbor_writer *reply) {
    bool is_write = request->operation == JL_SMP_WRITE;
    if (request->command == JL_IMAGE_STATE && !is_write) {
        return state(node, reply);
    }
    if (request->command == JL_IMAGE_UPLOAD && is_write) {
        return upload(node, request, reply);
    }
    if (request->command == JL_IMAGE_ERASE && is_write) {
        return erase(node, request);
    }
    return JL_ERROR_NOT_SUPPORTED;
}
