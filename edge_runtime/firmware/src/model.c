#include "jl_crc.h"
#include "jl_memory.h"
#include "jl_model.h"

_Static_assert(sizeof(struct jl_module_header) == 80, "module ABI v1");
_Static_assert(sizeof(struct jl_module_tensor) == 28, "module ABI v1");
_Static_assert(sizeof(struct jl_module_typed_tensor) == 32, "module ABI v2");
_Static_assert(sizeof(struct jl_module_self_test) == 16, "module ABI v1");
_Static_assert(sizeof(struct jl_module_ceiling) == 12, "module ABI v1");

/* Everything between these two is one inference: marks for a profiler. */
__attribute__((noinline)) void jl_infer_begin(void);
__attribute__((noinline)) void jl_infer_end(void);

void jl_infer_begin(void) {
    __asm__ volatile("" ::: "memory");
}

void jl_infer_end(void) {
    __asm__ volatile("" ::: "memory");
}

/** Whether `bytes` at `offset` lie inside a module of `limit` bytes. */
static bool is_inside(uint64_t offset, uint64_t bytes, uint64_t limit) {
    return offset <= limit && bytes <= limit - offset;
}

static uint64_t align_up(uint64_t bytes) {
    return (bytes + JL_ARENA_ALIGNMENT - 1) & ~(uint64_t)(JL_ARENA_ALIGNMENT - 1);
}

/** The target says it before any code is read; the module's own header must say the same. */
static jl_status check_core(const struct jl_port *port, uint32_t kernel_class, uint32_t isa) {
    if (kernel_class != port->kernel_class) {
        return JL_NODE_ERROR_WRONG_CORE;
    }
    return (isa & ~port->isa_features) != 0 ? JL_NODE_ERROR_ISA_MISSING : JL_OK;
}

static bool is_abi_known(uint32_t version) {
    return version == JL_MODULE_ABI_VERSION || version == JL_MODULE_PIPELINE_ABI_VERSION;
}

static jl_status check_target(const struct jl_port *port, const struct jl_image_target *target) {
    if (target->profile_class != JL_PROFILE_CLASS_MCU) {
        return JL_NODE_ERROR_NO_TARGET;
    }
    if (!is_abi_known(target->abi_version)) {
        return JL_NODE_ERROR_ABI_UNSUPPORTED;
    }
    return check_core(port, target->kernel_class, target->isa_features);
}

static jl_status check_header(const struct jl_port *port, struct jl_bytes payload,
                              struct jl_module_header *header) {
    /* Code and constants keep the alignment that they were linked with. */
    if (payload.bytes < sizeof *header || (uintptr_t)payload.data % JL_ARENA_ALIGNMENT != 0) {
        return JL_NODE_ERROR_MODULE_MALFORMED;
    }
    memcpy(header, payload.data, sizeof *header);
    if (header->magic != JL_MODULE_MAGIC) {
        return JL_NODE_ERROR_MODULE_MALFORMED;
    }
    if (!is_abi_known(header->abi_version)) {
        return JL_NODE_ERROR_ABI_UNSUPPORTED;
    }
    jl_status status = check_core(port, header->kernel_class, header->isa_features);
    if (status != JL_OK) {
        return status;
    }
    uint32_t reserved = header->reserved[0] | header->reserved[1] | header->reserved[2];
    bool is_malformed = header->header_bytes != sizeof *header || reserved != 0 ||
                        header->reserved_end != 0 || header->module_bytes != payload.bytes ||
                        header->entry_offset < sizeof *header ||
                        header->entry_offset >= header->module_bytes;
    if (is_malformed) {
        return JL_NODE_ERROR_MODULE_MALFORMED;
    }
    return header->stack_bytes > port->module_stack_bytes ? JL_NODE_ERROR_STACK_TOO_LARGE : JL_OK;
}

static uint32_t tensor_record_bytes(const struct jl_module_header *header) {
    return header->abi_version == JL_MODULE_ABI_VERSION ? sizeof(struct jl_module_tensor)
                                                        : sizeof(struct jl_module_typed_tensor);
}

/**
 * Bytes of `count` tensors from tensor `first` on; every type but int8 has four an element.
 * UINT32_MAX when that is malformed, empty, or too large for any RAM.
 */
static uint32_t tensor_bytes(const uint8_t *module, const struct jl_module_header *header,
                             uint32_t first, uint32_t count) {
    uint64_t total = 0;
    for (uint32_t index = first; index < first + count; index++) {
        struct jl_module_typed_tensor typed = {.dtype = JL_DTYPE_INT8};
        uint32_t record_bytes = tensor_record_bytes(header);
        const uint8_t *record = module + header->tensors_offset + (size_t)index * record_bytes;
        memcpy(&typed, record, record_bytes);
        if (typed.tensor.rank > JL_MODULE_MAX_RANK || typed.dtype > JL_DTYPE_INT32) {
            return UINT32_MAX;
        }
        uint64_t bytes = typed.dtype == JL_DTYPE_INT8 ? 1 : 4;
        for (uint32_t axis = 0; axis < typed.tensor.rank; axis++) {
            bytes *= typed.tensor.dims[axis];
            if (bytes == 0 || bytes > INT32_MAX) {
                return UINT32_MAX;
            }
        }
        total += bytes;
        if (total > INT32_MAX) {
            return UINT32_MAX;
        }
    }
    return total == 0 ? UINT32_MAX : (uint32_t)total;
}

static jl_status check_tensors(struct jl_model *model) {
    const struct jl_module_header *header = &model->header;
    uint32_t count = (uint32_t)header->input_count + header->output_count;
    uint64_t bytes = (uint64_t)count * tensor_record_bytes(header);
    if (header->tensors_offset % 4 != 0 ||
        !is_inside(header->tensors_offset, bytes, header->module_bytes)) {
        return JL_NODE_ERROR_MODULE_MALFORMED;
    }
    model->input_bytes = tensor_bytes(model->module, header, 0, header->input_count);
    model->output_bytes =
        tensor_bytes(model->module, header, header->input_count, header->output_count);
    bool is_malformed = model->input_bytes == UINT32_MAX || model->output_bytes == UINT32_MAX;
    return is_malformed ? JL_NODE_ERROR_MODULE_MALFORMED : JL_OK;
}

/** The self-test's record lies inside the module, with all that it leads to. */
static jl_status check_self_test(const struct jl_model *model) {
    uint32_t offset = model->header.self_test_offset;
    if (offset == 0) {
        return JL_OK;
    }
    uint32_t limit = model->header.module_bytes;
    struct jl_module_self_test test;
    if (offset % 4 != 0 || !is_inside(offset, sizeof test, limit)) {
        return JL_NODE_ERROR_MODULE_MALFORMED;
    }
    memcpy(&test, model->module + offset, sizeof test);
    uint64_t inputs = (uint64_t)test.rows * model->input_bytes;
    uint64_t outputs = (uint64_t)test.rows * model->output_bytes;
    uint64_t ceilings = (uint64_t)test.ceilings * sizeof(struct jl_module_ceiling);
    bool is_sound = is_inside(test.inputs_offset, inputs, limit) &&
                    is_inside(test.outputs_offset, outputs, limit) &&
                    is_inside((uint64_t)offset + sizeof test, ceilings, limit);
    return is_sound ? JL_OK : JL_NODE_ERROR_MODULE_MALFORMED;
}

/** Input, output and arena one behind the other in the board's RAM. */
static jl_status lay_out(const struct jl_port *port, struct jl_model *model) {
    uint64_t output_at = align_up(model->input_bytes);
    uint64_t arena_at = output_at + align_up(model->output_bytes);
    if (arena_at + model->header.arena_bytes > (uint64_t)(port->arena_end - port->arena)) {
        return JL_NODE_ERROR_ARENA_TOO_LARGE;
    }
    model->input = (int8_t *)port->arena;
    model->output = (int8_t *)port->arena + output_at;
    model->arena = port->arena + arena_at;
    return JL_OK;
}

jl_status jl_model_bind(const struct jl_port *port, const struct jl_image *image,
                        struct jl_model *model) {
    jl_status status = check_target(port, &image->target);
    if (status != JL_OK) {
        return status;
    }
    *model = (struct jl_model){.module = image->payload.data};
    status = check_header(port, image->payload, &model->header);
    if (status != JL_OK) {
        return status;
    }
    status = check_tensors(model);
    if (status != JL_OK) {
        return status;
    }
    status = check_self_test(model);
    if (status != JL_OK) {
        return status;
    }
    status = lay_out(port, model);
    if (status != JL_OK) {
        return status;
    }
    /* It is a function that gives an address, and no integer. */
    // cppcheck-suppress AssignmentIntegerToAddress
    model->infer = port->module_entry(model->module, model->header.entry_offset);
    return JL_OK;
}

jl_status jl_model_run(const struct jl_port *port, const struct jl_model *model, uint64_t *ticks) {
    jl_port_watch(port, JL_INFER_LIMIT_MS);
    uint64_t begin = port->clock_ticks();
    jl_infer_begin();
    int32_t result = model->infer(model->arena, model->input, model->output);
    jl_infer_end();
    *ticks = port->clock_ticks() - begin;
    jl_port_watch(port, 0);
    return result == 0 ? JL_OK : JL_NODE_ERROR_INFERENCE_FAILED;
}

/** What one inference may cost on this board; 0 where no limit is known. */
static struct jl_module_ceiling find_ceiling(const struct jl_port *port,
                                             const struct jl_model *model,
                                             const struct jl_module_self_test *test) {
    uint32_t profile = jl_crc32(port->profile_id, jl_text_bytes(port->profile_id));
    const uint8_t *at = model->module + model->header.self_test_offset + sizeof *test;
    for (uint32_t index = 0; index < test->ceilings; index++) {
        struct jl_module_ceiling ceiling;
        memcpy(&ceiling, at + index * sizeof ceiling, sizeof ceiling);
        if (ceiling.profile_crc32 == profile) {
            return ceiling;
        }
    }
    return (struct jl_module_ceiling){0};
}

static jl_status check_cost(const struct jl_port *port, const struct jl_module_ceiling *ceiling,
                            uint64_t ticks) {
    if (ceiling->ticks != 0 && ticks > ceiling->ticks) {
        return JL_NODE_ERROR_SELF_TEST_TOO_SLOW;
    }
    /* Before the product, so that it cannot overflow. */
    uint64_t most_picojoules = (uint64_t)ceiling->nanojoules * 1000;
    bool is_costly = ceiling->nanojoules != 0 && port->picojoules_per_tick != 0 &&
                     ticks > most_picojoules / port->picojoules_per_tick;
    return is_costly ? JL_NODE_ERROR_SELF_TEST_TOO_COSTLY : JL_OK;
}

jl_status jl_model_self_test(const struct jl_port *port, const struct jl_model *model) {
    if (model->header.self_test_offset == 0) {
        return JL_OK;
    }
    struct jl_module_self_test test;
    memcpy(&test, model->module + model->header.self_test_offset, sizeof test);
    const struct jl_module_ceiling ceiling = find_ceiling(port, model, &test);
    const uint8_t *input = model->module + test.inputs_offset;
    const uint8_t *expected = model->module + test.outputs_offset;
    for (uint32_t row = 0; row < test.rows; row++) {
        memcpy(model->input, input, model->input_bytes);
        uint64_t ticks;
        jl_status status = jl_model_run(port, model, &ticks);
        if (status != JL_OK) {
            return status;
        }
        if (memcmp(model->output, expected, model->output_bytes) != 0) {
            return JL_NODE_ERROR_SELF_TEST_DIFFERS;
        }
        status = check_cost(port, &ceiling, ticks);
        if (status != JL_OK) {
            return status;
        }
        input += model->input_bytes;
        expected += model->output_bytes;
    }
    return JL_OK;
}
