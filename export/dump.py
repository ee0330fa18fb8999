"""Stages of the compiler as text, for people who look for the pass that went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from export.graph import QGraph, Tensor
    from export.plan import Plan


def graph_text(graph: QGraph) -> str:
    """One line per operator and one per tensor."""
    lines = [f"{graph.name} from {graph.source}, rounding {graph.rounding}"]
    lines += [f"input {name}" for name in graph.inputs]
    lines += [f"output {name}" for name in graph.outputs]
    for node in graph.nodes:
        attributes = ", ".join(f"{key}={value}" for key, value in sorted(node.attributes.items()))
        operands = f"{', '.join(node.inputs)} -> {', '.join(node.outputs)}"
        lines.append(f"{node.op} {node.name}: {operands} [{attributes}]")
    lines += [_tensor_text(graph.tensors[name]) for name in sorted(graph.tensors)]
    return "\n".join(lines) + "\n"


def _tensor_text(tensor: Tensor) -> str:
    kind = "constant" if tensor.data is not None else "tensor"
    text = f"{kind} {tensor.name} {tensor.dtype} {list(tensor.shape)}"
    if tensor.quant is None:
        return text
    quant = tensor.quant
    per = "" if quant.axis is None else f" per slice of axis {quant.axis}"
    return f"{text} scale {tensor.scale:.9g} zero point {tensor.zero_point}{per}"


def plan_text(plan: Plan, layers: Sequence[str]) -> str:
    """Offsets, and the arena's use by layer as a chart.

    Args:
        plan: the arena.
        layers: their names, in order of execution.
    """
    gap = plan.arena_bytes - plan.lower_bound_bytes
    proof = ", no plan is smaller" if plan.is_smallest else ""
    lines = [f"arena {plan.arena_bytes} bytes, {gap} above the fullest layer{proof}"]
    for name, offset in sorted(plan.offsets.items(), key=lambda item: (item[1], item[0])):
        lines.append(f"{offset:>8} {name.replace(chr(0), '')}")
    width = max(map(len, layers), default=0)
    for name, used in zip(layers, plan.layer_bytes, strict=True):
        lines.append(f"{name:<{width}} {used:>8} {bar(used, plan.arena_bytes, 50)}".rstrip())
    return "\n".join(lines) + "\n"


def bar(part: int, whole: int, width: int) -> str:
    """A bar of a chart, `width` characters for the whole.

    >>> bar(3, 4, 8)
    '######'
    """
    return "#" * round(width * part / (whole or 1))


@dataclass
class Dump:
    """Writes numbered files into a folder, or nothing without one."""

    folder: Path | None
    _count: int = field(default=0, init=False)

    def graph(self, stage: str, graph: QGraph) -> None:
        """Write a graph after a stage."""
        self.text(f"{stage}.txt", graph_text(graph))

    def text(self, name: str, content: str) -> None:
        """Write one file, numbered in the order of the stages."""
        self.bytes(name, content.encode())

    def bytes(self, name: str, content: bytes) -> None:
        """Write one file, numbered in the order of the stages."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{self._count:02}-{name}").write_bytes(content)
            self._count += 1
