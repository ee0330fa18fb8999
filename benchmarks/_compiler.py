"""Export a model and profile it, by the two commands that anyone can run, and check every output.

What is measured stays in `out/benchmarks/<device>-<mode>/`: the model, its rows, the bundle and
what `jouleloop profile --keep` leaves, so that the commands in a figure's source run as they stand.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import device_profiles
from benchmarks._networks import NETWORKS, write_network
from benchmarks._peers import AD, KWS, METHOD, MLP, peers_of
from export.frontend.tflite import read_tflite
from export.graph import Rounding
from export.interpret import run
from export.optimize import Optimize
from hil_tests.result import Measure
from tests.export.graphs import rows_for
from tests.shared_data import shared_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

JOULELOOP = str(Path(sys.executable).with_name("jouleloop"))
OUT = Path("out/benchmarks")
SHARED = {KWS: "data/mlperf_tiny", AD: "data/mlperf_tiny", MLP: "data"}
MODELS = (*SHARED, *NETWORKS)
# Uniform rows, as many that saturate, and three whose elements are all alike.
ROWS = 10


@dataclass(frozen=True)
class Limits:
    """What a model must keep on a device; None where nothing is demanded."""

    instructions: float | None = None
    instructions_per_mac: float | None = None
    arena_bytes: int | None = None
    code_bytes: int | None = None
    export_s: float | None = None


@dataclass(frozen=True)
class Measured:
    """One model on one device.

    Args:
        model: file name without its end.
        device: profile id.
        optimize: what the module was made for.
        macs: multiply-accumulates of one inference.
        profile: what `jouleloop profile --json` prints.
        export_s: how long `jouleloop export` took.
        wrong: outputs that differ from the interpreter's.
        wrong_golden: outputs that differ from TensorFlow Lite Micro's, or None without its rows.
        commands: what was run.
    """

    model: str
    device: str
    optimize: Optimize
    macs: int
    profile: dict[str, Any]
    export_s: float
    wrong: int
    wrong_golden: int | None
    commands: tuple[str, str]

    @property
    def name(self) -> str:
        """The model, and the mode where it is not the default."""
        is_default = self.optimize is Optimize.SPEED
        return self.model if is_default else f"{self.model} --optimize {self.optimize}"

    @property
    def instructions(self) -> float:
        """Of one inference, the mean of all rows."""
        return float(self.profile["instructions"])


def measure_models(
    device: str, limits: Mapping[str, Limits], optimize: Optimize = Optimize.SPEED
) -> list[Measure]:
    """The figures of every model that is at hand, on one device; says which is not."""
    assert set(limits) <= set(MODELS), "limits for a model that is not measured"
    found: list[Measure] = []
    for model in MODELS:
        if is_absent(model):
            where = f"{SHARED[model]}/{model}.tflite"
            print(f"{model}: left out, shared data {where} is absent (JOULELOOP_SHARED names it)")
            continue
        found += measures(measure(model, device, optimize), limits.get(model, Limits()))
    return found


def is_absent(model: str) -> bool:
    """Whether a model is shared data that does not lie beside this checkout."""
    return model in SHARED and not (shared_folder() / SHARED[model] / f"{model}.tflite").exists()


@functools.cache
def measure(model: str, device: str, optimize: Optimize = Optimize.SPEED) -> Measured:
    """Export one model, profile it and compare every output."""
    folder = OUT / f"{device}-{optimize}"
    path, golden = _model_file(model, folder)
    graph = read_tflite(path, Rounding.DOUBLE)
    made = rows_for(graph, ROWS)[graph.inputs[0]].reshape(-1, graph.tensors[graph.inputs[0]].size)
    rows = np.concatenate([golden["inputs"].reshape(-1, made.shape[1]), made]) if golden else made
    names = {end: folder / f"{model}{end}" for end in (".jlb", ".npy", ".out.npy", ".keep")}
    np.save(names[".npy"], rows)
    export: list[str | Path] = [
        *("export", path, "--device", device, "--rounding", "double", "--optimize", optimize),
        *("--out", names[".jlb"]),
    ]
    profile: list[str | Path] = [
        *("profile", names[".jlb"], "--target", "qemu", "--input", names[".npy"]),
        *("--output", names[".out.npy"], "--keep", names[".keep"], "--json"),
    ]
    started = time.monotonic()
    exported = _json_of([*export, "--json"])
    export_s = time.monotonic() - started
    profiled = _json_of(profile)
    outputs = np.load(names[".out.npy"])
    expected = run(graph, {graph.inputs[0]: rows})[graph.outputs[0]].reshape(len(rows), -1)
    wrong_golden = None
    if golden:
        theirs = golden["outputs"].reshape(len(golden["inputs"]), -1)
        wrong_golden = int(np.count_nonzero(outputs[: len(theirs)] != theirs))
    return Measured(
        model,
        device,
        optimize,
        sum(layer["macs"] for layer in exported["cost"]["layers"]),
        profiled,
        export_s,
        int(np.count_nonzero(outputs != expected)),
        wrong_golden,
        (_line(export), _line(profile)),
    )


def _model_file(model: str, folder: Path) -> tuple[Path, dict[str, NDArray[np.int8]]]:
    """The .tflite file, and TensorFlow Lite Micro's rows where there are any."""
    folder.mkdir(parents=True, exist_ok=True)
    if model in NETWORKS:
        return write_network(model, folder), {}
    source = shared_folder() / SHARED[model] / f"{model}.tflite"
    path = folder / source.name
    path.write_bytes(source.read_bytes())
    with np.load(source.with_name(f"{model}.tflm_golden.npz")) as golden:
        return path, {key: golden[key] for key in ("inputs", "outputs")}


def _json_of(arguments: list[str | Path]) -> dict[str, Any]:
    done = subprocess.run(
        [JOULELOOP, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{_line(arguments)} ended with {done.returncode}: {done.stderr}")
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def _line(arguments: list[str | Path]) -> str:
    return " ".join(["jouleloop", *map(str, arguments)])


def measures(measured: Measured, limits: Limits) -> Iterator[Measure]:
    """The figures of one model, those of its peers beside them."""
    profile, name = measured.profile, measured.name
    source = "; ".join(measured.commands)

    def figure(what: str, value: float, unit: str = "", limit: float | None = None) -> Measure:
        return Measure(f"{name}: {what}", value, unit, "measured", source, limit=limit)

    yield figure("instructions", measured.instructions, "", limits.instructions)
    per_mac = measured.instructions / measured.macs
    yield figure("instructions per MAC", per_mac, "", limits.instructions_per_mac)
    yield figure("arena, input and output", profile["arena_bytes"], "B", limits.arena_bytes)
    yield figure("code in flash", profile["code_flash_bytes"], "B", limits.code_bytes)
    yield figure("weights in flash", profile["weights_flash_bytes"], "B")
    yield figure("stack used", profile["painted_stack_bytes"], "B", profile["stack_bytes"])
    yield figure("outputs unlike the interpreter's", measured.wrong, "", 0)
    if measured.wrong_golden is not None:
        yield figure("outputs unlike TFLM's", measured.wrong_golden, "", 0)
    yield figure("export", measured.export_s, "s", limits.export_s)
    cycles = profile["estimated_cycles"]
    yield Measure(
        f"{name}: estimated cycles",
        cycles["value"],
        "",
        "modelled",
        cycles["source"],
        low=cycles["low"],
        high=cycles["high"],
    )
    yield from _beside_peers(measured, source)


def _beside_peers(measured: Measured, source: str) -> Iterator[Measure]:
    """How many times more a peer needs; above 1 is better than the peer."""
    core = device_profiles.load(measured.device).core.name
    ours = measured.profile
    for peer in peers_of(measured.model, core):
        flash = ours["code_flash_bytes"] + peer.holds_model * ours["weights_flash_bytes"]
        note = f" ({peer.note})" if peer.note else ""
        for what, theirs, mine in (
            ("instructions", peer.instructions, measured.instructions),
            ("RAM", peer.ram_bytes, ours["arena_bytes"]),
            ("flash, model included" if peer.holds_model else "flash", peer.flash_bytes, flash),
        ):
            yield Measure(
                f"{measured.name}: {what}, {peer.engine}{note} / ours",
                theirs / mine,
                "",
                "measured",
                f"{peer.engine}: {theirs:,} ({METHOD}); ours: {mine:,.0f} ({source})",
            )
