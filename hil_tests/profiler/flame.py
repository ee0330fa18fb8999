"""A flame graph as one SVG file that needs nothing else: function, layer, instruction class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hil_tests.profiler.profile import Profile

WIDTH, ROW, MARGIN = 1200, 20, 10
CHARACTER = 6.6  # width of one in the 11 px monospace font
LEVELS = ("function", "layer", "kind")

# Memory blue, multiplications green, control red, the rest sand: by the first word that fits.
_COLOURS = (
    ("multiply", "#7fbf7b"),
    ("load", "#7fa8d9"),
    ("store", "#5b87c5"),
    ("branch", "#d9786b"),
    ("", "#dcc48e"),
)


@dataclass(frozen=True)
class _Bar:
    label: str
    level: int
    start: int
    executed: int


def flame_svg(profile: Profile, title: str) -> str:
    """Draw where the instructions went.

    Args:
        profile: at least one instruction.
        title: the picture's heading.

    Returns:
        SVG text: the widest row is the whole run, above it functions, layers and classes, each as
        wide as its share; a pointer on a bar shows its count.
    """
    total = max(profile.executed, 1)
    scale = (WIDTH - 2 * MARGIN) / total
    height = (len(LEVELS) + 2) * ROW + 3 * MARGIN
    heading = (
        f"{title}: {profile.instructions:,.0f} instructions per inference, "
        f"estimated {profile.cycles.value:,.0f} cycles "
        f"({profile.cycles.low:,.0f}-{profile.cycles.high:,.0f})"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="monospace" font-size="11">',
        f"<title>{escape(heading)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 10}" font-size="13">{escape(heading)}</text>',
    ]
    for bar in _bars(profile):
        x, width = MARGIN + bar.start * scale, bar.executed * scale
        y = height - MARGIN - (bar.level + 1) * ROW
        lines.append(_draw(bar, x, y, width, bar.executed / total))
    lines.append("</svg>\n")
    return "\n".join(lines)


def _draw(bar: _Bar, x: float, y: float, width: float, share: float) -> str:
    hint = f"{bar.label}: {bar.executed:,} instructions, {share:.1%}"
    room = int((width - 4) / CHARACTER)
    text = bar.label if len(bar.label) <= room else bar.label[: max(room - 1, 0)] + "…"
    shown = f'<text x="{x + 3:.2f}" y="{y + ROW - 6}">{escape(text)}</text>' if room >= 3 else ""
    return (
        f"<g><title>{escape(hint)}</title>"
        f'<rect x="{x:.2f}" y="{y}" width="{max(width - 0.5, 0.1):.2f}" height="{ROW - 1}" '
        f"fill={quoteattr(_colour(bar))}/>{shown}</g>"
    )


def _colour(bar: _Bar) -> str:
    if bar.level < len(LEVELS):
        return ("#bbbbbb", "#f0b27a", "#f5cba7")[bar.level]
    return next(colour for word, colour in _COLOURS if word in bar.label)


def _bars(profile: Profile) -> Iterator[_Bar]:
    """Every bar of every level; siblings side by side, the largest function first."""
    sizes = profile.by("function")
    rows = sorted(
        profile.by(*LEVELS).items(),
        key=lambda row: (-sizes[row[0][:1]], row[0][0]),
    )
    yield _Bar("all", 0, 0, profile.executed)
    for level in range(1, len(LEVELS) + 1):
        start, at, size = 0, 0, 0
        path: tuple[str, ...] | None = None
        for keys, executed in rows:
            if keys[:level] != path:
                if path is not None:
                    yield _Bar(path[-1], level, start, size)
                path, start, size = keys[:level], at, 0
            size += executed
            at += executed
        if path is not None:
            yield _Bar(path[-1], level, start, size)
