"""The C mirrors of the wire formats hold the same fields at the same places."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from device_profiles.core import Isa, KernelClass
from edge_runtime.firmware.build import FOLDER
from edge_runtime.firmware.trusted_keys import MAX_KEYS
from edge_runtime.wire import image, keys, module
from jouleloop.programs import require_program

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.host_c

# The layout that edge_runtime/wire/module.py documents: field -> (offset, bytes).
MODULE_HEADER = {
    "magic": (0, 4),
    "abi_version": (4, 2),
    "header_bytes": (6, 2),
    "kernel_class": (8, 1),
    "reserved": (9, 3),
    "isa_features": (12, 4),
    "module_bytes": (16, 4),
    "arena_bytes": (20, 4),
    "stack_bytes": (24, 4),
    "entry_offset": (28, 4),
    "self_test_offset": (32, 4),
    "model_sha256": (36, 32),
    "input_count": (68, 2),
    "output_count": (70, 2),
    "tensors_offset": (72, 4),
    "reserved_end": (76, 4),
}
TENSOR = {"rank": (0, 4), "dims": (4, 16), "scale": (20, 4), "zero_point": (24, 4)}
TYPED_TENSOR = {"tensor": (0, 28), "dtype": (28, 4)}
SELF_TEST = {
    "rows": (0, 4),
    "ceilings": (4, 4),
    "inputs_offset": (8, 4),
    "outputs_offset": (12, 4),
}
CEILING = {"profile_crc32": (0, 4), "ticks": (4, 4), "nanojoules": (8, 4)}
IMAGE_HEADER = {
    "magic": (0, 4),
    "load_address": (4, 4),
    "header_bytes": (8, 2),
    "protected_tlv_bytes": (10, 2),
    "payload_bytes": (12, 4),
    "flags": (16, 4),
    "version": (20, 8),
    "padding": (28, 4),
}
IMAGE_TARGET = {
    "profile_class": (0, 1),
    "kernel_class": (1, 1),
    "abi_version": (2, 2),
    "isa_features": (4, 4),
}
# C struct -> (fields, size of Python's struct)
STRUCTS = {
    "jl_module_header": (MODULE_HEADER, module.HEADER.size),
    "jl_module_tensor": (TENSOR, module.TENSOR.size),
    "jl_module_typed_tensor": (TYPED_TENSOR, module.TYPED_TENSOR.size),
    "jl_module_self_test": (SELF_TEST, module.SELF_TEST.size),
    "jl_module_ceiling": (CEILING, module.CEILING.size),
    "jl_image_header": (IMAGE_HEADER, image.HEADER.size),
    "jl_image_target": (IMAGE_TARGET, image.TARGET.size),
}
CONSTANTS = {
    "JL_MODULE_MAGIC": int.from_bytes(module.MAGIC, "little"),
    "JL_MODULE_ABI_VERSION": module.ABI_VERSION,
    "JL_MODULE_PIPELINE_ABI_VERSION": module.PIPELINE_ABI_VERSION,
    "JL_DTYPE_INT8": module.DTYPES.index("int8"),
    "JL_DTYPE_FLOAT32": module.DTYPES.index("float32"),
    "JL_DTYPE_UINT32": module.DTYPES.index("uint32"),
    "JL_DTYPE_INT32": module.DTYPES.index("int32"),
    "JL_MODULE_MAX_RANK": module.MAX_RANK,
    "JL_KERNEL_SCALAR": KernelClass.SCALAR,
    "JL_KERNEL_DSP": KernelClass.DSP,
    "JL_KERNEL_MVE": KernelClass.MVE,
    "JL_ISA_THUMB2": Isa.THUMB2,
    "JL_ISA_DSP": Isa.DSP,
    "JL_ISA_FPU_SINGLE": Isa.FPU_SINGLE,
    "JL_ISA_MVE_INTEGER": Isa.MVE_INTEGER,
    "JL_IMAGE_MAGIC": image.MAGIC,
    "JL_TLV_INFO_MAGIC": image.TLV_INFO_MAGIC,
    "JL_TLV_PROTECTED_INFO_MAGIC": image.TLV_PROTECTED_INFO_MAGIC,
    "JL_TLV_SHA256": image.TLV_SHA256,
    "JL_TLV_TARGET": image.TLV_TARGET,
    "JL_TLV_KEY_HASH": image.TLV_KEY_HASH,
    "JL_TLV_ED25519": image.TLV_ED25519,
    "JL_TLV_SECURITY_COUNTER": image.TLV_SECURITY_COUNTER,
    "JL_PROFILE_CLASS_MCU": image.PROFILE_CLASS_MCU,
    "JL_PROFILE_CLASS_FIRMWARE": image.PROFILE_CLASS_FIRMWARE,
    "JL_SERVICES_VERSION": image.SERVICES_VERSION,
    "JL_PUBLIC_KEY_BYTES": keys.KEY_BYTES,
    "JL_SIGNATURE_BYTES": keys.SIGNATURE_BYTES,
    "JL_MAX_TRUSTED_KEYS": MAX_KEYS,
    "JL_ARENA_ALIGNMENT": image.ALIGNMENT,
}


def test_c_and_python_agree(tmp_path: Path) -> None:
    lines = [f'printf("{name} %u\\n", (unsigned){name});' for name in CONSTANTS]
    for name, (fields, _) in STRUCTS.items():
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        for field in fields:
            place = f"offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field})"
            lines.append(f'printf("{name}.{field} %zu %zu\\n", {place});')
    source = "#include <stddef.h>\n#include <stdio.h>\n"
    source += '#include "jl_image.h"\n#include "jl_port.h"\n'
    source += "int main(void) {\n" + "\n".join(lines) + "\nreturn 0;\n}\n"
    (tmp_path / "layout.c").write_text(source)
    compile_it = [require_program("gcc"), "-std=c11", f"-I{FOLDER}/include", "layout.c"]
    subprocess.run([*compile_it, "-o", "layout"], cwd=tmp_path, check=True)
    told = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True).stdout
    found = {name: tuple(map(int, rest)) for name, *rest in map(str.split, told.splitlines())}
    expected: dict[str, tuple[int, ...]] = {
        name: (int(value),) for name, value in CONSTANTS.items()
    }
    for name, (fields, size) in STRUCTS.items():
        expected[name] = (size,)
        expected |= {f"{name}.{field}": place for field, place in fields.items()}
    assert found == expected


def test_python_fields_are_where_the_table_says() -> None:
    # Each field set alone to a value that shows its place; bytes around it stay zero.
    for layout, table in (
        (module.HEADER, MODULE_HEADER),
        (module.TENSOR, TENSOR),
        (module.SELF_TEST, SELF_TEST),
        (module.CEILING, CEILING),
        (image.TARGET, IMAGE_TARGET),
    ):
        assert sum(size for _, size in table.values()) == layout.size
    header = module.HEADER.pack(b"JLM1", 1, 2, 3, 4, 5, 6, 7, 8, 9, b"\x0a" * 32, 11, 12, 13, 14)
    values: list[bytes | int] = [
        b"JLM1",
        1,
        2,
        3,
        0,
        4,
        5,
        6,
        7,
        8,
        9,
        b"\x0a" * 32,
        11,
        12,
        13,
        14,
    ]
    for (offset, size), value in zip(MODULE_HEADER.values(), values, strict=True):
        content = value if isinstance(value, bytes) else value.to_bytes(size, "little")
        assert header[offset : offset + size] == content
