"""The self-contained HTML page of one benchmark, or of the same one on several targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hil_tests.plots import draw_decisions, draw_energy, draw_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from edge_runtime.wire.bundle import Bundle
    from hil_tests.result import Measure, Record, Result


def write_report(
    path: Path,
    bundle: Bundle,
    results: Sequence[Result],
    telemetry: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Write the report; a reader finds the old page or the new one.

    Args:
        path: the HTML file; its folder must exist.
        bundle: the model that ran.
        results: the run, then the same scenarios on other targets; at least one.
        telemetry: what the monitor received: `name`, `value`, `kind`, `source` of each metric.
    """
    main = results[0]
    render_page(
        path,
        title=f"{main.bundle} on {main.device}",
        producer=main.producer,
        seed=main.seed,
        scenario_count=len(main.scenarios),
        scenarios_asked=main.scenarios_asked,
        decision_count=len(main.decisions),
        complete=all(result.complete for result in results),
        tiles=tiles_of(main, _TILES),
        agreement=_agreement(results),
        plots=[*_decision_plot(main), *device_plots(main)],
        tables=[
            *(figures_table(result) for result in results),
            layers_table(bundle),
            *_telemetry_table(telemetry),
        ],
    )


def render_page(path: Path, **content: Any) -> None:
    """Write a page; a reader finds the old page or the new one.

    Args:
        path: the HTML file; its folder must exist.
        content: what `templates/report.html` names.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader("hil_tests"), autoescape=True, undefined=StrictUndefined
    )
    page = templates.get_template("report.html").render(content)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(page, encoding="utf-8")
    partial.replace(path)


def format_quantity(value: float, unit: str) -> str:
    """A value with its unit, small joules and seconds in a prefix that people read.

    >>> format_quantity(2.54e-05, "J"), format_quantity(11264.0, "B"), format_quantity(0.9731, "")
    ('25.4 µJ', '11,264 B', '0.9731')
    """
    if unit in ("J", "s", "W") and value:
        for factor, prefix in ((1, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")):
            if abs(value) >= factor:
                return f"{value / factor:.3g} {prefix}{unit}"
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f} {unit}".strip()
    return f"{value:.4g} {unit}".strip()


def format_interval(measure: Measure) -> str:
    """A figure's interval with its unit; empty where it has none, or none wider than the value."""
    if measure.low is None or measure.high is None or measure.low == measure.high:
        return ""
    ends = (format_quantity(end, measure.unit) for end in (measure.low, measure.high))
    return " to ".join(ends)


DEVICE_TILES = (
    ("instructions_per_inference", "instructions per inference"),
    ("decision_joules", "per decision, modelled"),
    ("module_flash_bytes", "flash of the model"),
    ("arena_bytes", "RAM of the model"),
)
_TILES = (
    ("decision_quality", "decision quality (1 = exact optimum)"),
    ("circularity", "share of mass kept in use or recovered"),
    *DEVICE_TILES,
)


def tiles_of(result: Record, wanted: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Figures to stand at the top: (name, label) of those that are known."""
    tiles = []
    for name, label in wanted:
        measure = result.measure(name)
        if measure is not None:
            tiles.append({"value": format_quantity(measure.value, measure.unit), "label": label})
    return tiles


def _agreement(results: Sequence[Result]) -> str:
    if len(results) < 2:
        return ""
    first, *others = results
    equal = all(other.decisions == first.decisions for other in others)
    places = " and ".join(result.target_description for result in results)
    count = len(first.decisions)
    if equal:
        return f"All {count} decisions are equal on {places}."
    pairs = zip(first.decisions, others[0].decisions, strict=False)
    different = sum(a != b for a, b in pairs)
    return f"{different} of {count} decisions differ between {places}."


def _decision_plot(result: Result) -> list[dict[str, str]]:
    return [
        {
            "title": "Decisions against the optimum",
            "svg": draw_decisions(result),
            "note": "Left: how many returns; rows sum to what the optimum wants. "
            "Right: summed objective of each controller on the same returns.",
        }
    ]


def device_plots(result: Record) -> list[dict[str, str]]:
    """Energy by state and size against budget, as far as they are known."""
    energy, sizes = draw_energy(result), draw_sizes(result)
    total = result.measure("decision_joules") or result.measure("inference_joules")
    plots = []
    if energy is not None and total is not None:
        absent = "; ".join(f"{name}: {why}" for name, why in result.missing.items())
        note = f"Kind: {total.kind}. Source: {total.source}. The bars are intervals."
        plots.append(
            {
                "title": "Energy per decision by state",
                "svg": energy,
                "note": note + (f" Absent: {absent}." if absent else ""),
            }
        )
    if sizes is not None:
        plots.append(
            {
                "title": "Size against budget",
                "svg": sizes,
                "note": "Sizes of the linked module; the limits are the device's or the budget's.",
            }
        )
    return plots


def figures_table(result: Record) -> dict[str, Any]:
    """All figures of a run, with kind and source."""
    return {
        "title": f"Figures on {result.target_description}",
        "heads": ("figure", "value", "interval", "limit", "kind", "source"),
        "numbers": (1, 2, 3),
        "rows": [_figure_row(measure) for measure in result.measures],
        "note": "; ".join(f"{name} is absent: {why}" for name, why in result.missing.items()),
    }


def _figure_row(measure: Measure) -> tuple[str, ...]:
    limit = "" if measure.limit is None else format_quantity(measure.limit, measure.unit)
    value = format_quantity(measure.value, measure.unit)
    return measure.name, value, format_interval(measure), limit, measure.kind, measure.source


def layers_table(bundle: Bundle) -> dict[str, Any]:
    """The exporter's estimate, layer by layer."""
    rows = []
    for layer in bundle.cost["layers"]:
        joules = "" if layer["joules"] is None else format_quantity(layer["joules"], "J")
        sizes = (layer["macs"], layer["instructions"], layer["weights_bytes"])
        counts = ("" if size is None else f"{size:,}" for size in sizes)
        rows.append((layer["name"], layer["op"], *counts, joules))
    return {
        "title": "The model by layer (the exporter's estimate)",
        "heads": ("layer", "operator", "MACs", "instructions", "weights, B", "modelled"),
        "numbers": (2, 3, 4, 5),
        "rows": rows,
        "note": "",
    }


def _telemetry_table(telemetry: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    rows = [
        (metric["name"], f"{metric['value']:.6g}", metric["kind"] or "", metric["source"] or "")
        for metric in telemetry
        if isinstance(metric["value"], int | float)
    ]
    if not rows:
        return []
    return [
        {
            "title": "What the monitor received over MQTT",
            "heads": ("metric", "value", "kind", "source"),
            "numbers": (1,),
            "rows": rows,
            "note": "Sparkplug B through a Mosquitto broker; provenance travels as properties.",
        }
    ]
