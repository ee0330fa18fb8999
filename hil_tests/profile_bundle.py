"""Profile a bundle's native module: run it alone on an emulated core and count everything."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import device_profiles
from device_profiles.energy_model import inference_energy
from edge_runtime.wire.bundle import GOLDEN, PIPELINE_GOLDEN, native_elf_name
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.module import PIPELINE_ABI_VERSION, parse_module
from export.planner.pipeline import STAGES
from hil_tests.profiler import (
    CodeMap,
    Places,
    attribute,
    plugin_arguments,
    read_counts,
    read_symbols,
)
from hil_tests.profiler.symbols import parse_symbols
from hil_tests.runner import prepare_run, run_module, runner_board
from jouleloop.errors import InputError, MissingFigureError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.wire.bundle import Bundle
    from hil_tests.profiler import Profile
    from hil_tests.runner import RunnerBoard
    from jouleloop.energy import Energy

MODULE_ELF, MAP, COUNTS = "module.elf", "map.json", "counts.csv"


@dataclass(frozen=True, eq=False)
class ModuleProfile:
    """What a module does, where, and in how much memory.

    Args:
        outputs: int8 [rows, output bytes].
        profile: instructions by layer, function and class, and estimated cycles.
        macs: layer -> multiply-accumulates of one inference.
        machine: QEMU's machine.
        arena_bytes: everything writable but the stack: arena, input and output.
        stack_bytes: what the module declares.
        painted_stack_bytes: what it was seen to use.
        code_flash_bytes: every read-only byte that is not weights.
        weights_flash_bytes: int8 weights, int32 biases, multipliers and shifts per channel.
        packing_flash_bytes: what of the code lies in the section `.weights` of `module.elf`, which
            is as large as the two together: offsets of the scaling, padding, tables of functions.
        energy: modelled joules of one inference by the estimated cycles, or None where the
            profile lacks a figure.
    """

    outputs: NDArray[np.int8]
    profile: Profile
    macs: dict[str, int]
    machine: str
    arena_bytes: int
    stack_bytes: int
    painted_stack_bytes: int
    code_flash_bytes: int
    weights_flash_bytes: int
    packing_flash_bytes: int
    energy: Energy | None

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        record = self.profile.as_record()
        for layer in record["layers"]:
            layer["macs"] = self.macs.get(layer["name"], 0)
        return record | {
            "machine": self.machine,
            "arena_bytes": self.arena_bytes,
            "stack_bytes": self.stack_bytes,
            "painted_stack_bytes": self.painted_stack_bytes,
            "code_flash_bytes": self.code_flash_bytes,
            "weights_flash_bytes": self.weights_flash_bytes,
            "packing_flash_bytes": self.packing_flash_bytes,
            "energy": None if self.energy is None else self.energy.as_record(),
        }


def profile_bundle(bundle: Bundle, rows: NDArray[np.int8], folder: Path) -> ModuleProfile:
    """Run rows through a bundle's module on an emulated core with our plugin loaded.

    Args:
        bundle: with a native module.
        rows: int8 [n, input bytes], n >= 1.
        folder: an existing folder; it then holds `firmware.elf`, `module.bin`, `module.elf`,
            `map.json` (symbol to layer) and `command.txt` (QEMU's call, with a place for a plugin).

    Raises:
        BundleError: no native module, or rows that do not fit it.
        InputError: QEMU emulates no such core.
        MissingToolError: QEMU, gcc or the cross compiler is not installed.
        LinkError: the module failed.
    """
    device = device_profiles.load(bundle.device_id)
    module = parse_image(bundle.native).payload
    board = runner_board(device.core)
    header = parse_module(module)
    layers = {layer["symbol"]: layer for layer in bundle.cost["layers"]}
    (folder / MODULE_ELF).write_bytes(bundle.file(native_elf_name(bundle.device_id)))
    command = prepare_run(folder, board, module, rows)
    names = {symbol: str(layer["name"]) for symbol, layer in layers.items()}
    if header.abi_version == PIPELINE_ABI_VERSION:
        names |= STAGES
    code = _write_map(folder, board, names)
    plugin = plugin_arguments(
        (folder / COUNTS).absolute(), window=_window(folder), parts=list(code.addresses)
    )
    ran = run_module(folder, [*command, *plugin], sum(spec.nbytes for spec in header.outputs))
    profile = attribute(read_counts(folder / COUNTS), code.map, device)
    in_and_out = sum(spec.nbytes for spec in (*header.inputs, *header.outputs))
    weights_bytes = int(bundle.cost["flash"]["weights_bytes"])
    return ModuleProfile(
        outputs=ran.outputs,
        profile=profile,
        macs={str(layer["name"]): int(layer["macs"]) for layer in layers.values()},
        machine=board.machine,
        arena_bytes=header.arena_bytes + in_and_out,
        stack_bytes=header.stack_bytes,
        painted_stack_bytes=ran.stack_bytes,
        code_flash_bytes=len(module) - weights_bytes,
        weights_flash_bytes=weights_bytes,
        packing_flash_bytes=int(bundle.cost["flash"]["packing_bytes"]),
        energy=_energy(device, profile),
    )


@dataclass(frozen=True)
class _Code:
    """What addresses mean, and where layers start."""

    map: CodeMap
    addresses: tuple[int, ...]


def _write_map(folder: Path, board: RunnerBoard, names: dict[str, str]) -> _Code:
    """Join the runner's and the module's symbols, and write them to `map.json`."""
    module = parse_symbols((folder / MODULE_ELF).read_bytes())
    placed = {symbol.name: board.module_base + symbol.address for symbol in module}
    record = {
        "module_base": board.module_base,
        "symbols": [
            {"name": s.name, "address": placed[s.name], "bytes": s.size, "layer": names.get(s.name)}
            for s in module
        ],
    }
    (folder / MAP).write_text(json.dumps(record, indent=1), encoding="utf-8")
    # A layer that costs nothing, such as a reshape, has no function.
    parts = [symbol for symbol in names if symbol in placed]
    places = (Places(module, board.module_base), Places(read_symbols(folder / "firmware.elf")))
    code = CodeMap(places, names, [names[symbol] for symbol in parts])
    return _Code(code, tuple(placed[symbol] for symbol in parts))


def _window(folder: Path) -> tuple[int, int]:
    address = {s.name: s.address for s in read_symbols(folder / "firmware.elf")}
    return address["jl_infer_begin"], address["jl_infer_end"]


def _energy(device: device_profiles.DeviceProfile, profile: Profile) -> Energy | None:
    try:
        return inference_energy(device, profile.cycles)
    except MissingFigureError:
        return None


def golden_rows(bundle: Bundle) -> NDArray[np.int8]:
    """The native module's own rows, int8 [n, input bytes]."""
    name = PIPELINE_GOLDEN if PIPELINE_GOLDEN in bundle.files else GOLDEN
    with np.load(io.BytesIO(bundle.file(name))) as golden:
        rows: NDArray[np.int8] = golden["inputs"]
    return rows.reshape(len(rows), -1)


def read_rows(path: Path) -> NDArray[np.int8]:
    """Rows from a .npy file, int8 [n, input bytes]; images may keep their shape.

    Raises:
        InputError: no such file, not int8, or no rows.
    """
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"cannot read rows from {path}: {error}", hint="save them with numpy.save"
        ) from error
    if not isinstance(rows, np.ndarray) or rows.dtype != np.int8 or rows.ndim < 2 or not len(rows):
        raise InputError(
            f"{path} holds {getattr(rows, 'dtype', 'an archive')} of shape "
            f"{getattr(rows, 'shape', '?')}; int8 rows, one input each, are needed",
            hint="quantise with the scale and zero point in the bundle's manifest",
        )
    return rows.reshape(len(rows), -1)


def write_rows(path: Path, rows: NDArray[np.int8]) -> None:
    """Write rows as .npy under exactly this name."""
    with path.open("wb") as stream:
        np.save(stream, rows)
