"""`jouleloop export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from edge_runtime.planner.drawing import ProjectionMode
from export.graph import Rounding
from export.optimize import Optimize
from export.planner.choice import ProjectorMode
from jouleloop.cli.keys import make_first_key
from jouleloop.cli.output import JsonFlag, console, print_json, progress_bar

if TYPE_CHECKING:
    from edge_runtime.wire.bundle import Bundle
    from export.budget import Battery


def export(
    model: Annotated[
        Path, typer.Argument(help="A checkpoint folder of `train`, or an INT8 .tflite.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The bundle to write, NAME.jlb.")],
    device: Annotated[
        str, typer.Option(help="Profile id; see `jouleloop devices`.")
    ] = "mps2-an386",
    rounding: Annotated[
        Rounding, typer.Option(help="Requantisation: as LiteRT (single) or as TFLM (double).")
    ] = Rounding.SINGLE,
    budget_flash: Annotated[
        int | None, typer.Option(min=1, help="Bytes of the native module; default: the device's.")
    ] = None,
    budget_ram: Annotated[
        int | None, typer.Option(min=1, help="Bytes of one inference; default: the device's.")
    ] = None,
    budget_joules: Annotated[
        float | None, typer.Option(help="Joules per decision: wake, inference, share of radio.")
    ] = None,
    battery_joules: Annotated[
        float | None, typer.Option(help="Usable joules of the battery; derives --budget-joules.")
    ] = None,
    days: Annotated[float | None, typer.Option(help="Days that the battery must last.")] = None,
    decisions_per_day: Annotated[
        float | None, typer.Option(help="Decisions per day of these.")
    ] = None,
    native: Annotated[
        bool | None,
        typer.Option(
            "--native/--no-native", help="Demand a native module, or leave it out; default: if any."
        ),
    ] = None,
    optimize: Annotated[
        Optimize, typer.Option(help="Fewest instructions, or the smallest arena.")
    ] = Optimize.SPEED,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Denoising steps of a planner; default: the checkpoint's."),
    ] = None,
    projector: Annotated[
        ProjectorMode | None,
        typer.Option(
            help="Of a planner: the exact projection, or one that a learned guess starts and that "
            "is finished exactly; auto, the default, counts both and takes the winner."
        ),
    ] = None,
    projection: Annotated[
        ProjectionMode | None,
        typer.Option(help="Of a planner: when plans are projected; default: as trained, end."),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Signing key file; default: yours (`jouleloop keys`).")
    ] = None,
    security_counter: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Devices that served a higher one refuse this model."
        ),
    ] = 0,
    dump: Annotated[
        Path | None, typer.Option(help="Folder for every stage of the compiler.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Compile a model to INT8 for a device: ONNX, TFLite and a native module, in one bundle.

    All three hold the same quantised graph with the same scales. A model that exceeds the device's
    flash or RAM, or the joules that you allow per decision, is refused with the numbers. Joules are
    modelled from the profile's sourced figures; without a joule budget they are reported only.
    The native module is signed; the first export makes your key.

    Example: jouleloop export out/policy --device mps2-an386 --out out/policy.jlb
    """
    import device_profiles
    from edge_runtime.key_folder import read_signing_key
    from edge_runtime.wire.bundle import write_bundle
    from export.budget import Budget
    from export.pipeline import ExportOptions, export_model

    chooses = _chooses_projector(model, projector, projection)
    battery = _battery(battery_joules, days, decisions_per_day)
    if battery is not None and budget_joules is not None:
        raise typer.BadParameter("give --budget-joules or --battery-joules, not both")
    budget = Budget(budget_flash, budget_ram, budget_joules, battery)
    profile = device_profiles.load(device)
    signing_key = None if key is None else read_signing_key(key)
    if signing_key is None and native is not False and profile.core.kernel_class is not None:
        make_first_key()
    options = ExportOptions(
        *(rounding, native, budget, dump, optimize, signing_key, steps, security_counter),
        projector=None if chooses else projector,
        projection=projection,
    )
    with progress_bar("export") as progress:
        if chooses:
            from hil_tests.projector_trial import export_with_winner

            bundle = export_with_winner(model, profile, options, progress=progress)
        else:
            bundle = export_model(model, profile, options, progress=progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bundle(bundle, out)
    if json_output:
        print_json(_record(bundle, out))
    else:
        _print(bundle, out)


def _chooses_projector(
    model: Path, projector: ProjectorMode | None, projection: ProjectionMode | None
) -> bool:
    """Whether both projectors of a planner have to be compared."""
    from edge_runtime.planner.sampler import FAMILY
    from export.frontend.read_source import family_of

    family = family_of(model)
    for option, value in (("--projector", projector), ("--projection", projection)):
        if value is not None and family != FAMILY:
            raise typer.BadParameter(
                f"it belongs to planners; {model} is {f'a {family}' if family else 'none'}",
                param_hint=option,
            )
    if projection is ProjectionMode.NONE and projector is not None:
        raise typer.BadParameter(
            "--projection none leaves nothing to project; give one of the two",
            param_hint="--projector",
        )
    is_open = projector in (None, ProjectorMode.AUTO)
    return family == FAMILY and is_open and projection is not ProjectionMode.NONE


def _battery(
    joules: float | None, days: float | None, decisions_per_day: float | None
) -> Battery | None:
    from export.budget import Battery

    if joules is None and days is None and decisions_per_day is None:
        return None
    if joules is None or days is None or decisions_per_day is None:
        raise typer.BadParameter(
            "--battery-joules, --days and --decisions-per-day belong together: give all or none"
        )
    return Battery(joules, days, decisions_per_day)


def _record(bundle: Bundle, out: Path) -> dict[str, Any]:
    return {
        "bundle": str(out),
        "name": bundle.name,
        "device": bundle.device_id,
        "rounding": bundle.rounding,
        "inputs": [spec.as_record() for spec in bundle.inputs],
        "outputs": [spec.as_record() for spec in bundle.outputs],
        "files": {name: len(content) for name, content in sorted(bundle.files.items())},
        "cost": bundle.cost,
    } | _planner_record(bundle)


def _planner_record(bundle: Bundle) -> dict[str, Any]:
    """How a planner's bundle samples and projects; nothing for other models."""
    from edge_runtime.wire.bundle import PLANNER

    if PLANNER not in bundle.files:
        return {}
    return {"planner": json.loads(bundle.file(PLANNER))}


def _print(bundle: Bundle, out: Path) -> None:
    cost = bundle.cost
    console.print(_layers(cost))
    if cost["ram"] is not None:
        console.print(_arena(cost))
        console.print(_modes(cost))
    console.print(_sizes(cost))
    console.print(_energies(cost))
    for record in _planner_record(bundle).values():
        _print_planner(record)
    console.print(f"{escape(str(out))}: {', '.join(sorted(bundle.files))}", soft_wrap=True)


def _print_planner(record: dict[str, Any]) -> None:
    """How plans are drawn, and both projectors side by side where they were compared."""
    from export.budget import format_joules

    projector = f" by the {record['projector']} projector" if record["projector"] else ""
    console.print(f"{record['steps']} steps, projection: {record['projection']}{projector}")
    choice = record.get("choice", {})
    if "exact" in choice:
        table = Table(
            *("projector", "instructions per plan", "modelled", "violation", "from the nearest"),
            caption=escape(f"{choice['source']}; violation and distance of capacity"),
        )
        for mode in ("exact", "amortised"):
            figures = choice[mode]
            energy = figures["energy"]
            table.add_row(
                f"{mode}{' (taken)' if mode == choice['mode'] else ''}",
                f"{figures['instructions']:,.0f}",
                "unknown" if energy is None else format_joules(energy["joules"]),
                f"{figures['violation']:.2g}",
                f"{figures['distance']:.2g}",
            )
        console.print(table)
    if choice:
        console.print(f"{choice['mode']}: {choice['reason']}", markup=False, soft_wrap=True)


def _layers(cost: dict[str, Any]) -> Table:
    from export.budget import format_joules

    table = Table("layer", "MACs", "instructions", "weights B", "output B", "modelled")
    for layer in cost["layers"]:
        keys = ("macs", "instructions", "weights_bytes", "output_bytes")
        cells = ["" if layer[key] is None else f"{layer[key]:,}" for key in keys]
        joules = "" if layer["joules"] is None else format_joules(layer["joules"])
        table.add_row(escape(f"{layer['name']}\n{layer['op']}"), *cells, joules)
    return table


def _arena(cost: dict[str, Any]) -> Table:
    """Bytes of the arena in use while each layer runs, as a chart."""
    from export.dump import bar

    whole = cost["ram"]["arena_bytes"]
    gap = whole - cost["ram"]["arena_lower_bound_bytes"]
    proof = "; no plan is smaller" if cost["ram"]["arena_is_smallest"] else ""
    table = Table("layer", "arena B", f"of {whole:,}; {gap:,} above the fullest layer{proof}")
    for layer in cost["layers"]:
        used = layer["arena_bytes"]
        table.add_row(escape(layer["name"]), f"{used:,}", bar(used, whole, 30))
    return table


def _modes(cost: dict[str, Any]) -> Table:
    """What each mode of `--optimize` takes."""
    table = Table("--optimize", "arena B", "instructions", "")
    for mode, taken in cost["modes"].items():
        table.add_row(
            mode,
            f"{taken['arena_bytes']:,}",
            f"{taken['instructions']:,}",
            "this module" if mode == cost["optimize"] else "",
        )
    return table


def _sizes(cost: dict[str, Any]) -> Table:
    table = Table("what", "bytes", "limit", "from")
    if cost["flash"] is not None:
        flash, ram = cost["flash"], cost["ram"]
        limits = [
            "" if part["limit_bytes"] is None else f"{part['limit_bytes']:,}"
            for part in (flash, ram)
        ]
        table.add_row("module", f"{flash['module_bytes']:,}", limits[0], flash["limit_source"])
        table.add_row("  weights", f"{flash['weights_bytes']:,}")
        packing = f"{flash['packing_bytes']:,} of it between the weights"
        table.add_row("  code", f"{flash['code_bytes']:,}", "", packing)
        table.add_row("RAM", f"{ram['total_bytes']:,}", limits[1], ram["limit_source"])
        table.add_row("  arena", f"{ram['arena_bytes']:,}")
        table.add_row("  stack", f"{ram['stack_bytes']:,}")
        table.add_row("  input and output", f"{ram['input_bytes'] + ram['output_bytes']:,}")
    else:
        table.add_row("native module", "none", "", "LiteRT or ONNX Runtime runs the bundle")
    return table


def _energies(cost: dict[str, Any]) -> Table:
    from export.budget import format_joules

    table = Table("energy", "value", "interval", "kind", "source")
    energy = cost["energy"]
    if energy is None:
        table.add_row("decision", "unknown", "", "", "no native module, so no instruction count")
        return table
    rows = dict(energy["states"])
    if energy["total"] is not None:
        rows["decision"] = energy["total"]
    for state, record in rows.items():
        interval = " to ".join(format_joules(record[f"{end}_joules"]) for end in ("low", "high"))
        source = escape(record["source"]) if state != "decision" else "the sum of these"
        table.add_row(state, format_joules(record["joules"]), interval, record["kind"], source)
    for state, figure in energy["missing"].items():
        table.add_row(state, "unknown", "", "", f"the profile has no {figure}")
    limit = cost["budget"]["joules_per_decision"]
    if limit is not None:
        table.add_row(
            "budget", format_joules(limit), "", "", escape(cost["budget"]["joules_source"])
        )
    return table
