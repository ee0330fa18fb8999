/*
 * The native module, ABI v1 and v2: what a model is once it is linked for a core. Little-endian,
 * offsets from the module's first byte, position-independent, no calls out.
 *
 * Mirrors edge_runtime/wire/module.py (fields) and device_profiles/core.py (numbers); a test holds
 * them equal. Extended only by a new ABI version.
 */
#ifndef JL_MODULE_H
#define JL_MODULE_H

#include <stdint.h>

enum {
    JL_MODULE_ABI_VERSION = 1,
    JL_MODULE_PIPELINE_ABI_VERSION = 2, /* its tensors are jl_module_typed_tensor */
    JL_MODULE_MAX_RANK = 4,
};

/** "JLM1" */
#define JL_MODULE_MAGIC UINT32_C(0x314D4C4A)

/** Families of kernels. */
enum jl_kernel_class {
    JL_KERNEL_SCALAR = 1,
    JL_KERNEL_DSP = 2,
    JL_KERNEL_MVE = 3,
};

/** Instruction set features, bits. */
enum jl_isa {
    JL_ISA_THUMB2 = 1,
    JL_ISA_DSP = 2,
    JL_ISA_FPU_SINGLE = 4,
    JL_ISA_MVE_INTEGER = 8,
};

/**
 * A module's entry; 0 for success. `arena` is 16-byte aligned; several inputs (or outputs) lie one
 * behind the other.
 */
typedef int32_t jl_infer(void *arena, const int8_t *in, int8_t *out);

/** The first bytes of a module. */
struct jl_module_header {
    uint32_t magic;
    uint16_t abi_version;
    uint16_t header_bytes;
    uint8_t kernel_class;
    uint8_t reserved[3]; /* zero */
    uint32_t isa_features;
    uint32_t module_bytes;
    uint32_t arena_bytes;
    uint32_t stack_bytes;
    uint32_t entry_offset;     /* bit 0: Thumb */
    uint32_t self_test_offset; /* 0: none */
    uint8_t model_sha256[32];
    uint16_t input_count;
    uint16_t output_count;
    uint32_t tensors_offset; /* inputs, then outputs */
    uint32_t reserved_end;   /* zero */
};

/** An input or output: real = scale * (q - zero_point). */
struct jl_module_tensor {
    uint32_t rank;
    uint32_t dims[JL_MODULE_MAX_RANK];
    float scale;
    int32_t zero_point;
};

/** Types of tensors. */
enum jl_dtype {
    JL_DTYPE_INT8 = 0,
    JL_DTYPE_FLOAT32 = 1,
    JL_DTYPE_UINT32 = 2,
    JL_DTYPE_INT32 = 3,
};

/** An input or output of a pipeline. */
struct jl_module_typed_tensor {
    struct jl_module_tensor tensor;
    uint32_t dtype;
};

/** Golden rows; `ceilings` records of jl_module_ceiling follow. */
struct jl_module_self_test {
    uint32_t rows;
    uint32_t ceilings;
    uint32_t inputs_offset;
    uint32_t outputs_offset;
};

/** What one inference may cost on a profile; 0 where not known. */
struct jl_module_ceiling {
    uint32_t profile_crc32; /* CRC-32 (zlib) of the profile's id */
    uint32_t ticks;
    uint32_t nanojoules;
};

#endif
