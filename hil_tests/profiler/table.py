"""The profile as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hil_tests.profiler.profile import Profile


def layer_table(profile: Profile, macs: Mapping[str, int] | None = None) -> Table:
    """Layers in order of execution.

    Args:
        profile: the run.
        macs: layer -> multiply-accumulates of one inference, for the column instr/MAC.
    """
    macs = macs or {}
    table = Table("layer", title="instructions per inference")
    for heading in ("instructions", "share", "instr/MAC", "estimated cycles"):
        table.add_column(heading, justify="right")
    each = max(profile.inferences, 1)
    for (layer,), executed in profile.by("layer").items():
        spans = [cell.cycles for cell in profile.cells if cell.layer == layer and cell.cycles]
        spent = f"{sum(span.value for span in spans) / each:,.0f}" if spans else ""
        ratio = f"{executed / each / macs[layer]:.3f}" if macs.get(layer) else ""
        share = executed / max(profile.executed, 1)
        table.add_row(escape(layer), f"{executed / each:,.0f}", f"{share:.1%}", ratio, spent)
    table.add_section()
    cycles = profile.cycles
    table.add_row(
        "all",
        f"{profile.instructions:,.0f}",
        "100.0%",
        f"{profile.instructions / sum(macs.values()):.3f}" if sum(macs.values()) else "",
        f"{cycles.value:,.0f} ({cycles.low:,.0f}-{cycles.high:,.0f})",
    )
    table.caption = escape(cycles.source)
    return table


def class_table(profile: Profile) -> Table:
    """Instruction classes, the most frequent first."""
    table = Table("class", title="instruction classes")
    table.add_column("instructions", justify="right")
    table.add_column("share", justify="right")
    each = max(profile.inferences, 1)
    rows = sorted(profile.by("kind").items(), key=lambda row: -row[1])
    for (kind,), executed in rows:
        share = executed / max(profile.executed, 1)
        table.add_row(kind, f"{executed / each:,.0f}", f"{share:.1%}")
    return table
