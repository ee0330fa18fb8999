"""The native module, ABI v1 and v2: what a model is once it is linked for a core.

A module is position-independent: header, code and constants, all addressed as offsets from its
first byte, no calls out. `firmware/include/jl_module.h` mirrors this file; a test holds them equal.

Layout, little-endian (offset, size in bytes, field):

      0  4  magic "JLM1"                     36 32  model_sha256
      4  2  abi_version (1, 2)               68  2  input_count
      6  2  header_bytes (80)                70  2  output_count
      8  1  kernel_class                     72  4  tensors_offset
      9  3  reserved, zero                   76  4  reserved, zero
     12  4  isa_features
     16  4  module_bytes                   tensor record, 28 bytes, inputs first:
     20  4  arena_bytes                       rank u32, dims 4 x u32, scale f32, zero_point i32
     24  4  stack_bytes
     28  4  entry_offset (bit 0: Thumb)    self-test record:
     32  4  self_test_offset (0: none)        rows u32, ceilings u32, inputs_offset u32,
                                              outputs_offset u32, then per ceiling:
                                              profile_crc32 u32, ticks u32, nanojoules u32

Version 2 is that of pipelines, whose tensors need not be int8: a tensor record then has 32 bytes,
the last of them dtype u32, the place of the type in `DTYPES`. Nothing else differs.

The entry is `int32_t infer(void *arena, const int8_t *in, int8_t *out)`, 0 for success; `arena` is
16-byte aligned; several inputs (or outputs) lie one behind the other. The records of tensors and
of the self-test lie at multiples of 4. `profile_crc32` is the CRC-32 (zlib) of the profile's id;
a ceiling of 0 means that the profile has no such figure.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from device_profiles.core import Isa, KernelClass
from edge_runtime.wire.tensor import TensorSpec
from jouleloop.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterable

MAGIC = b"JLM1"
ABI_VERSION = 1
PIPELINE_ABI_VERSION = 2
DTYPES = ("int8", "float32", "uint32", "int32")
HEADER = struct.Struct("<4sHHB3xIIIIII32sHHII")
TENSOR = struct.Struct("<I4Ifi")
TYPED_TENSOR = struct.Struct("<I4IfiI")
SELF_TEST = struct.Struct("<IIII")
CEILING = struct.Struct("<III")
MAX_RANK = 4
HEADER_BYTES = HEADER.size


@dataclass(frozen=True)
class Ceiling:
    """What one inference may cost on a profile: port ticks and nanojoules, 0 where not known."""

    profile_crc32: int
    ticks: int
    nanojoules: int


@dataclass(frozen=True)
class SelfTest:
    """Golden rows that the loader runs before it activates a module.

    Args:
        inputs: rows × input bytes, one row behind the other.
        outputs: rows × output bytes, exact.
        ceilings: cost limits per profile.
    """

    rows: int
    inputs: bytes
    outputs: bytes
    ceilings: tuple[Ceiling, ...]


@dataclass(frozen=True)
class ModuleHeader:
    """The parsed header of a module; sizes in bytes, offsets from the module's first byte."""

    kernel_class: KernelClass
    isa: Isa
    module_bytes: int
    arena_bytes: int
    stack_bytes: int
    entry_offset: int
    self_test_offset: int
    model_sha256: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    abi_version: int = ABI_VERSION


def profile_crc32(profile_id: str) -> int:
    """The number under which a module's ceilings name a profile."""
    return zlib.crc32(profile_id.encode())


def parse_module(module: bytes) -> ModuleHeader:
    """Read and check a module's header.

    Raises:
        BundleError: not a module, another ABI, or an offset that leads outside.
    """
    if len(module) < HEADER_BYTES or module[:4] != MAGIC:
        raise BundleError(f"not a native module: {len(module)} bytes, magic {module[:4]!r}")
    (
        _,
        abi_version,
        header_bytes,
        kernel_class,
        isa,
        module_bytes,
        arena_bytes,
        stack_bytes,
        entry_offset,
        self_test_offset,
        model_sha256,
        input_count,
        output_count,
        tensors_offset,
        _,
    ) = HEADER.unpack_from(module)
    if abi_version not in (ABI_VERSION, PIPELINE_ABI_VERSION) or header_bytes != HEADER_BYTES:
        raise BundleError(
            f"module ABI {abi_version} with a header of {header_bytes} bytes; "
            f"this jouleloop speaks ABI {ABI_VERSION} and {PIPELINE_ABI_VERSION} with "
            f"{HEADER_BYTES}"
        )
    if kernel_class not in set(KernelClass):
        raise BundleError(f"module for the unknown core class {kernel_class}")
    record = _tensor_record(abi_version)
    tensors_end = tensors_offset + record.size * (input_count + output_count)
    if module_bytes != len(module) or max(entry_offset, tensors_end) > module_bytes:
        raise BundleError(
            f"module says {module_bytes} bytes, entry {entry_offset}, tensors to {tensors_end}; "
            f"it has {len(module)} bytes"
        )
    tensors = _read_tensors(module, record, tensors_offset, input_count + output_count)
    return ModuleHeader(
        KernelClass(kernel_class),
        Isa(isa),
        module_bytes,
        arena_bytes,
        stack_bytes,
        entry_offset,
        self_test_offset,
        model_sha256,
        tensors[:input_count],
        tensors[input_count:],
        abi_version,
    )


def _tensor_record(abi_version: int) -> struct.Struct:
    return TENSOR if abi_version == ABI_VERSION else TYPED_TENSOR


def _read_tensors(
    module: bytes, record: struct.Struct, offset: int, count: int
) -> tuple[TensorSpec, ...]:
    specs = []
    for index in range(count):
        rank, *rest = record.unpack_from(module, offset + index * record.size)
        dims, (scale, zero_point, *types) = rest[:MAX_RANK], rest[MAX_RANK:]
        dtype = types[0] if types else 0
        if rank > MAX_RANK:
            raise BundleError(f"tensor {index} of the module has rank {rank}; at most {MAX_RANK}")
        if dtype >= len(DTYPES):
            raise BundleError(f"tensor {index} of the module has the unknown type {dtype}")
        shape = tuple(dims[:rank])
        specs.append(TensorSpec(f"tensor{index}", shape, scale, zero_point, DTYPES[dtype]))
    return tuple(specs)


def pack_tensors(specs: Iterable[TensorSpec], abi_version: int = ABI_VERSION) -> bytes:
    """The tensor records of a module.

    Raises:
        ValueError: a tensor has more than four dimensions.
    """
    records = []
    for spec in specs:
        if len(spec.shape) > MAX_RANK:
            raise ValueError(f"{spec.name} has {len(spec.shape)} dimensions; at most {MAX_RANK}")
        dims = (*spec.shape, *(0,) * (MAX_RANK - len(spec.shape)))
        typed = () if abi_version == ABI_VERSION else (DTYPES.index(spec.dtype),)
        record = _tensor_record(abi_version)
        records.append(record.pack(len(spec.shape), *dims, spec.scale, spec.zero_point, *typed))
    return b"".join(records)
