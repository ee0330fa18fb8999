"""From a model to a bundle: read, lower, render, link, weigh, refuse what costs too much."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import jouleloop
from edge_runtime.key_folder import key_folder
from edge_runtime.planner.sampler import FAMILY as PLANNER_FAMILY
from edge_runtime.wire.bundle import (
    COST,
    GOLDEN,
    ONNX,
    OPERATORS,
    PIPELINE_GOLDEN,
    PLANNER,
    PUBLIC_KEY,
    TFLITE,
    Bundle,
    native_elf_name,
    native_name,
)
from edge_runtime.wire.image import Version, make_image
from edge_runtime.wire.module import ABI_VERSION, PIPELINE_ABI_VERSION, Ceiling, profile_crc32
from export.budget import (
    Budget,
    JoulesLimit,
    budget_record,
    check_joules,
    check_memory,
    joules_limit,
)
from export.cost import (
    count_instructions,
    estimate_energy,
    layer_costs,
    native_cost,
    portable_cost,
)
from export.dump import Dump, plan_text
from export.frontend.read_source import read_source
from export.golden import Golden, make_golden
from export.graph import Rounding
from export.link import link_module
from export.operator_table import operator_table
from export.optimize import Optimize
from export.passes import lower
from export.planner.amortiser import PART, read_amortiser
from export.planner.choice import ProjectorMode
from export.planner.pipeline import (
    planner_arena_bytes,
    planner_files,
    planner_golden,
    planner_instructions,
    planner_record,
    planner_specs,
    read_planner,
)
from export.render.c import render_c
from export.render.onnx import render_onnx
from export.render.tflite import render_tflite
from export.specs import module_specs, tensor_specs
from jouleloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device_profiles import DeviceProfile
    from device_profiles.energy_model import DecisionEnergy
    from edge_runtime.planner.drawing import ProjectionMode
    from edge_runtime.wire.keys import SigningKey
    from export.cost import Cost
    from export.estimate import Count
    from export.frontend.source import Source
    from export.graph import QGraph
    from export.planner.pipeline import Planner, PlannerGolden
    from export.render.c import Program

    Progress = Callable[[int, int], None]

PRODUCER = f"jouleloop {jouleloop.__version__}"
PLANNER_OPTIONS = ("steps", "projector", "projection")
STAGES = ("read and quantise", "lower", "render", "golden rows", "native module", "cost")
# A self-test that exceeds this much of the estimate's upper end runs on a board that is not what
# the profile says.
CEILING_MARGIN = 2.0
UINT32_MAX = 2**32 - 1


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Args:
        rounding: the requantisation rule.
        native: True demands a native module, False leaves it out, None makes one where there can
            be one.
        budget: what the model may cost.
        dump: folder for every stage of the compiler, or None.
        optimize: what the native module's kernels are chosen for.
        signing_key: who signs the native module; None takes the key of the user's key folder, and
            makes it where there is none.
        steps: of a planner's sampler; None for the checkpoint's.
        projector: of a planner, EXACT or AMORTISED; None for the exact one.
        projection: when a planner projects its plans; None for what the checkpoint says.
        security_counter: of the module's image, 0..2**32 - 1. A device that served a model with a
            higher one refuses it.
    """

    rounding: Rounding = Rounding.SINGLE
    native: bool | None = None
    budget: Budget = field(default_factory=Budget)
    dump: Path | None = None
    optimize: Optimize = Optimize.SPEED
    signing_key: SigningKey | None = None
    steps: int | None = None
    security_counter: int = 0
    projector: ProjectorMode | None = None
    projection: ProjectionMode | None = None


def export_model(
    model: Path,
    profile: DeviceProfile,
    options: ExportOptions,
    *,
    progress: Progress | None = None,
) -> Bundle:
    """Compile a model for a device.

    Args:
        model: folder with `program.pt2`, `card.json`, `calibration.npz`; or an INT8 `.tflite`.
        profile: the device.
        options: how.
        progress: called with (stages done, stages in all).

    Raises:
        CheckpointError: the folder cannot be used.
        KeyFileError: the signing key cannot be used.
        UnsupportedModelError: the compiler has no code for something in the model.
        OverBudgetError: flash, RAM or joules above the budget.
        MissingFigureError: the budget needs a figure that the profile lacks.
        InputError: a native module was demanded for a device that gets none.
        MissingToolError: a package of the export extra is not installed.
    """
    step = _Steps(progress)
    is_native = _is_native(profile, options.native)
    limit = joules_limit(options.budget, profile)
    # Before any work: what cannot be signed need not be compiled.
    signing_key = (options.signing_key or key_folder().current()) if is_native else None
    dump = Dump(options.dump)
    source = read_source(model, options.rounding)
    dump.graph("frontend", source.graph)
    step.done()
    graph = lower(source.graph, profile, dump=dump.graph)
    step.done()
    onnx = render_onnx(graph, producer="jouleloop", version=jouleloop.__version__)
    tflite = render_tflite(graph, producer=PRODUCER)
    step.done()
    golden = make_golden(graph, source.rows)
    planner = _planner(model, source, graph, profile, options, dump)
    step.done()
    files = {ONNX: onnx, TFLITE: tflite, GOLDEN: golden.as_npz()}
    if planner is not None:
        files[PLANNER] = planner_record(planner, profile.core)
        if planner.amortiser is not None:
            files |= planner.amortiser.files(PRODUCER)
    if signing_key is not None:
        native, cost = _native(graph, profile, options, signing_key, tflite, golden, planner, dump)
        files |= native
    else:
        cost = portable_cost(profile, graph)
        files[OPERATORS] = operator_table(graph, None)
    step.done()
    check_memory(cost, options.budget)
    check_joules(cost, limit, profile)
    files[COST] = _cost_file(cost, options.budget, limit)
    step.done()
    return _bundle(source, graph, profile, files)


def _planner(
    model: Path,
    source: Source,
    graph: QGraph,
    profile: DeviceProfile,
    options: ExportOptions,
    dump: Dump,
) -> Planner | None:
    """The sampler around the denoiser, where the model is one."""
    if source.family != PLANNER_FAMILY:
        asked = [name for name in PLANNER_OPTIONS if getattr(options, name) is not None]
        if asked:
            raise InputError(
                f"--{asked[0]} belongs to planners; {graph.name} is of the family "
                f"{source.family or '?'}",
                hint=f"leave --{asked[0]} out",
            )
        return None
    planner = read_planner(source.card, graph, profile.core, options.steps, options.projection)
    if options.projector is not ProjectorMode.AMORTISED:
        return planner
    if not planner.projections:
        raise InputError(
            "plans that are not projected have no projector",
            hint="leave out --projector amortised, or --projection none",
        )
    amortiser = read_amortiser(model, planner.network, profile, options.rounding, dump.graph)
    return replace(planner, amortiser=amortiser)


def _is_native(profile: DeviceProfile, wanted: bool | None) -> bool:
    if wanted and profile.core.kernel_class is None:
        raise InputError(
            f"{profile.id} gets no native module: {profile.no_native_reason}",
            hint="leave --native out; the bundle then holds ONNX and TFLite",
        )
    return profile.core.kernel_class is not None and wanted is not False


def _native(
    graph: QGraph,
    profile: DeviceProfile,
    options: ExportOptions,
    signing_key: SigningKey,
    tflite: bytes,
    golden: Golden,
    planner: Planner | None,
    dump: Dump,
) -> tuple[dict[str, bytes], Cost]:
    """The module as an image and as the linker's ELF, what runs in it, and what it costs."""
    digest = hashlib.sha256(tflite)
    program = _render(graph, profile, options, digest.hexdigest())
    (inputs, outputs), test = module_specs(graph), golden.self_test
    pipeline = None if planner is None else _pipeline(planner, program, profile, options)
    if pipeline is not None:
        (inputs, outputs), test = planner_specs(pipeline.planner), pipeline.rows.self_test
        linked, instructions = pipeline.linked, pipeline.instructions
    else:
        linked, instructions = program, count_instructions(program, profile.core)
    for name, text in linked.files.items():
        dump.text(name, text)
    dump.text("plan.txt", plan_text(program.plan, [node.name for node in graph.nodes]))
    # What a decision sends is its scores.
    energy = estimate_energy(profile, instructions, sum(spec.nbytes for spec in outputs))
    module = link_module(
        linked,
        profile.core,
        inputs=inputs,
        outputs=outputs,
        self_test=test((_ceiling(profile, instructions, energy),)),
        model_sha256=digest.digest(),
        abi_version=ABI_VERSION if pipeline is None else PIPELINE_ABI_VERSION,
        arena_bytes=None if pipeline is None else pipeline.arena_bytes,
    )
    dump.bytes("module.elf", module.elf)
    dump.bytes("module.bin", module.content)
    cost = native_cost(profile, program, module, instructions, energy, options.budget)
    files = {
        native_name(profile.id): _image(module.content, signing_key, options),
        PUBLIC_KEY: signing_key.public.pem,
        native_elf_name(profile.id): module.elf,
        OPERATORS: operator_table(graph, program),
    }
    if pipeline is not None:
        files[PIPELINE_GOLDEN] = pipeline.rows.as_npz()
        cost = _pipeline_cost(cost, pipeline, profile)
    return files, cost


def _image(module: bytes, signing_key: SigningKey, options: ExportOptions) -> bytes:
    return make_image(
        module,
        version=Version(*map(int, jouleloop.__version__.split(".")[:3])),
        signing_key=signing_key,
        security_counter=options.security_counter,
    )


def _render(
    graph: QGraph, profile: DeviceProfile, options: ExportOptions, sha256: str, part: str = ""
) -> Program:
    return render_c(
        graph,
        profile.core,
        producer=PRODUCER,
        model_sha256=sha256,
        optimize=options.optimize,
        part=part,
    )


@dataclass(frozen=True, eq=False)
class _Pipeline:
    """What a planner's module is made of.

    Args:
        planner: its sampler.
        linked: the denoiser, and with it everything else that is compiled.
        guess: the amortiser, where there is one.
        arena_bytes: of the whole.
        instructions: of a whole sample.
        rows: golden ones.
    """

    planner: Planner
    linked: Program
    guess: Program | None
    arena_bytes: int
    instructions: Count
    rows: PlannerGolden


def _pipeline(
    planner: Planner, program: Program, profile: DeviceProfile, options: ExportOptions
) -> _Pipeline:
    guess, taken, arena = None, None, 0
    if planner.amortiser is not None:
        sha256 = hashlib.sha256(render_tflite(planner.amortiser.graph, producer=PRODUCER))
        guess = _render(planner.amortiser.graph, profile, options, sha256.hexdigest(), PART)
        taken, arena = count_instructions(guess, profile.core), guess.plan.arena_bytes
    linked = replace(
        program,
        files=planner_files(planner, program, profile.core, guess),
        layers=program.layers + (() if guess is None else guess.layers),
    )
    denoiser = count_instructions(program, profile.core)
    return _Pipeline(
        planner,
        linked,
        guess,
        planner_arena_bytes(planner, program.plan.arena_bytes, arena),
        planner_instructions(planner, denoiser, profile.core, taken),
        planner_golden(planner, program.graph),
    )


def _pipeline_cost(cost: Cost, pipeline: _Pipeline, profile: DeviceProfile) -> Cost:
    """The cost of a planner's module, from that of its denoiser in it."""
    if cost.ram is not None:
        taken, given = (
            sum(spec.nbytes for spec in specs) for specs in planner_specs(pipeline.planner)
        )
        ram = replace(
            cost.ram,
            arena_bytes=pipeline.arena_bytes,
            arena_lower_bound_bytes=pipeline.arena_bytes,
            input_bytes=taken,
            output_bytes=given,
        )
        cost = replace(cost, ram=ram)
    if pipeline.guess is None or cost.energy is None:
        return cost
    inference = cost.energy.states.get("inference")
    more = layer_costs(pipeline.guess, inference, pipeline.instructions, profile.core)
    named = (replace(layer, name=f"{PART} {layer.name}") for layer in more)
    return replace(cost, layers=(*cost.layers, *named))


def _ceiling(profile: DeviceProfile, instructions: Count, energy: DecisionEnergy) -> Ceiling:
    """What one inference may cost on a board; 0 where the profile cannot say."""
    ticks = nanojoules = 0
    if profile.emulator is not None:
        most = instructions.high * CEILING_MARGIN / profile.emulator.instructions_per_tick
        ticks = math.ceil(most) + 1
    if "inference" in energy.states:
        high_joules = energy.states["inference"].interval[1]
        nanojoules = math.ceil(high_joules * CEILING_MARGIN * 1e9)
    return Ceiling(profile_crc32(profile.id), min(ticks, UINT32_MAX), min(nanojoules, UINT32_MAX))


def _cost_file(cost: Cost, budget: Budget, limit: JoulesLimit | None) -> bytes:
    record = cost.as_record() | {"budget": budget_record(budget, limit)}
    return json.dumps(record, indent=2, sort_keys=True, allow_nan=False).encode()


def _bundle(
    source: Source, graph: QGraph, profile: DeviceProfile, files: dict[str, bytes]
) -> Bundle:
    inputs, outputs = tensor_specs(graph)
    return Bundle(
        graph.name,
        profile.id,
        source.family,
        str(graph.rounding),
        PRODUCER,
        inputs,
        outputs,
        source.card,
        files,
    )


class _Steps:
    """Counts the stages for a progress bar."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress, self._done = progress, 0

    def done(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, len(STAGES))
