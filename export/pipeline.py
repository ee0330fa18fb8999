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
    program = render_c(
        graph,
        profile.core,
        producer=PRODUCER,
        model_sha256=digest.hexdigest(),
        optimize=options.optimize,
    )
    instructions = count_instructions(program, profile.core)
    (inputs, outputs), test, arena_bytes = module_specs(graph), golden.self_test, None
    rows: PlannerGolden | None = None
    guess: Program | None = None
    linked = program
    if planner is not None:
        guess = _guess(planner, profile, options, digest.hexdigest())
        instructions = planner_instructions(
            planner,
            instructions,
            profile.core,
            None if guess is None else count_instructions(guess, profile.core),
        )
        guesser_bytes = 0 if guess is None else guess.plan.arena_bytes
        arena_bytes = planner_arena_bytes(planner, program.plan.arena_bytes, guesser_bytes)
        linked = replace(
            program,
            files=planner_files(planner, program, profile.core, guess),
            layers=program.layers + (() if guess is None else guess.layers),
        )
        rows = planner_golden(planner, graph)
        (inputs, outputs), test = planner_specs(planner), rows.self_test
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
        abi_version=ABI_VERSION if planner is None else PIPELINE_ABI_VERSION,
        arena_bytes=arena_bytes,
    )
    dump.bytes("module.elf", module.elf)
    dump.bytes("module.bin", module.content)
    cost = native_cost(profile, program, module, instructions, energy, options.budget)
    if cost.ram is not None and arena_bytes is not None:
        sizes = (sum(spec.nbytes for spec in specs) for specs in (inputs, outputs))
        ram = replace(cost.ram, arena_bytes=arena_bytes, arena_lower_bound_bytes=arena_bytes)
        taken, given = sizes
        cost = replace(cost, ram=replace(ram, input_bytes=taken, output_bytes=given))
    if guess is not None:
        inference = energy.states.get("inference")
        more = layer_costs(guess, inference, instructions, profile.core)
        named = (replace(layer, name=f"{PART} {layer.name}") for layer in more)
        cost = replace(cost, layers=(*cost.layers, *named))
    version = Version(*map(int, jouleloop.__version__.split(".")[:3]))
    image = make_image(
        module.content,
        version=version,
        signing_key=signing_key,
        security_counter=options.security_counter,
    )
    files = {
        native_name(profile.id): image,
        PUBLIC_KEY: signing_key.public.pem,
        native_elf_name(profile.id): module.elf,
        OPERATORS: operator_table(graph, program),
    }
    if rows is not None:
        files[PIPELINE_GOLDEN] = rows.as_npz()
    return files, cost


def _guess(
    planner: Planner, profile: DeviceProfile, options: ExportOptions, model_sha256: str
) -> Program | None:
    """The amortiser as code, where the planner has one."""
    if planner.amortiser is None:
        return None
    return render_c(
        planner.amortiser.graph,
        profile.core,
        producer=PRODUCER,
        model_sha256=model_sha256,
        optimize=options.optimize,
        part=PART,
    )


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
