"""The legal graph, as a list of rules; checked after the frontend and after every pass."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from export.ops import OPERATORS, Call
from jouleloop.errors import UnsupportedModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from export.graph import QGraph, Quant, Tensor
    from export.ops import Operand

DTYPES = {"int8": np.int8, "int32": np.int32, "float32": np.float32}
MAX_ELEMENTS = 2**28


class IllegalGraphError(Exception):
    """A pass left a graph that breaks a rule: a bug of the pass that it names."""


def verify(graph: QGraph, *, after: str) -> None:
    """Check every rule.

    Args:
        graph: the graph.
        after: the pass that made it.

    Raises:
        IllegalGraphError: names the pass, the rule and what breaks it.
    """
    for rule in RULES:
        for violation in rule(graph):
            raise IllegalGraphError(f"after {after}: {rule.__doc__} {violation}")


def verify_model(graph: QGraph) -> None:
    """Check a graph that a frontend read: what breaks a rule is the model's fault.

    Raises:
        UnsupportedModelError: names the operator or tensor, and what is supported.
    """
    for rule in RULES:
        for violation in rule(graph):
            raise UnsupportedModelError(f"{graph.source}: {rule.__doc__} {violation}")


def calls(graph: QGraph) -> Iterator[Call]:
    """The operators of a graph in order, each with its tensors."""
    for node in graph.nodes:
        yield Call(
            node,
            tuple(graph.tensors[name] if name else None for name in node.inputs),
            tuple(graph.tensors[name] for name in node.outputs),
            graph.rounding,
        )


def _operators_are_known(graph: QGraph) -> Iterator[str]:
    """Every operator has code."""
    for node in graph.nodes:
        if node.op not in OPERATORS:
            yield f"{node.op} ({node.name}) has none; supported: {', '.join(OPERATORS)}."


def _tensors_exist(graph: QGraph) -> Iterator[str]:
    """Every tensor that is named is in the table, under its name."""
    for name, tensor in graph.tensors.items():
        if tensor.name != name:
            yield f"{tensor.name} stands under {name}."
    named = [*graph.inputs, *graph.outputs]
    named += [name for node in graph.nodes for name in (*node.inputs, *node.outputs) if name]
    for name in named:
        if name not in graph.tensors:
            yield f"{name} is not."


def _names_are_unique(graph: QGraph) -> Iterator[str]:
    """Inputs, outputs and nodes are listed once."""
    for names in (graph.inputs, graph.outputs, [node.name for node in graph.nodes]):
        yield from (f"{name} is listed {n} times." for name, n in Counter(names).items() if n > 1)


def _values_are_made_once_before_use(graph: QGraph) -> Iterator[str]:
    """A tensor is a constant, an input, or made by one node before it is read."""
    made = set(graph.inputs) | {name for name, t in graph.tensors.items() if t.data is not None}
    for node in graph.nodes:
        yield from (
            f"{name} is read by {node.name} before."
            for name in node.inputs
            if name not in {"", *made}
        )
        yield from (
            f"{name} is made again by {node.name}." for name in node.outputs if name in made
        )
        made.update(node.outputs)
    computed = made - set(graph.inputs)
    for name in graph.outputs:
        if name not in computed or graph.tensors[name].data is not None:
            yield f"The output {name} is made by no node."


def _tensors_are_whole(graph: QGraph) -> Iterator[str]:
    """A tensor has positive dimensions, a known type, and data and scales that fit."""
    for tensor in graph.tensors.values():
        if tensor.dtype not in DTYPES:
            yield f"{tensor.name} is {tensor.dtype}; supported: {', '.join(DTYPES)}."
            continue
        if any(dimension < 1 for dimension in tensor.shape) or tensor.size > MAX_ELEMENTS:
            yield f"{tensor.name} has the shape {tensor.shape}."
        data = tensor.data
        if data is not None and (data.shape != tensor.shape or data.dtype != DTYPES[tensor.dtype]):
            yield f"{tensor.name} {tensor.shape} holds {data.dtype} {data.shape}."
        if (tensor.quant is None) != (tensor.dtype == "float32"):
            article = "without" if tensor.quant is None else "with"
            yield f"{tensor.name} is {tensor.dtype} {article} a scale."
        if tensor.quant is not None:
            yield from _quant_violations(tensor, tensor.quant)


def _quant_violations(tensor: Tensor, quant: Quant) -> Iterator[str]:
    if not np.all(np.isfinite(quant.scale) & (quant.scale > 0)):
        yield f"{tensor.name} has a scale that is not positive and finite."
    if tensor.dtype == "int8" and np.any(np.abs(quant.zero_point + 0.5) > 127.5):
        yield f"{tensor.name} has a zero point outside [-128, 127]."
    channels = 1 if quant.axis is None else tensor.shape[quant.axis]
    if quant.scale.shape != (channels,) or quant.zero_point.shape != (channels,):
        yield f"{tensor.name} has {quant.scale.shape} scales for {channels} channels."


def _operands_fit_signatures(graph: QGraph) -> Iterator[str]:
    """Operands and attributes are of the kinds that the operator has code for."""
    for call in calls(graph):
        signature = OPERATORS[call.node.op].SIGNATURE
        place = f"{call.node.op} {call.node.name}"
        least = sum(not operand.is_optional for operand in signature.inputs)
        most = len(signature.inputs)
        if not least <= len(call.inputs) <= most:
            yield f"{place} has {len(call.inputs)} inputs; it takes {least} to {most}."
        if len(call.outputs) != len(signature.outputs):
            yield f"{place} has {len(call.outputs)} outputs; it makes {len(signature.outputs)}."
        pairs = [
            *zip(signature.inputs, call.inputs, strict=False),
            *zip(signature.outputs, call.outputs, strict=False),
        ]
        for operand, tensor in pairs:
            yield from (f"{place}: {text}" for text in _operand_violations(operand, tensor))
        for name, value in call.node.attributes.items():
            if value not in signature.attributes.get(name, ()):
                yield f"{place}: {name} = {value!r} has no code."


def _operand_violations(operand: Operand, tensor: Tensor | None) -> Iterator[str]:
    if tensor is None:
        if not operand.is_optional:
            yield f"its {operand.name} is absent."
        return
    if tensor.dtype not in operand.dtypes:
        dtypes = " or ".join(operand.dtypes)
        yield f"its {operand.name} {tensor.name} is {tensor.dtype}; it must be {dtypes}."
    if operand.is_constant is not None and operand.is_constant != (tensor.data is not None):
        kind = "constant" if operand.is_constant else "computed"
        yield f"its {operand.name} {tensor.name} must be {kind}."
    if tensor.quant is not None and tensor.quant.axis not in {None, operand.channel_axis}:
        axis = tensor.quant.axis
        yield f"its {operand.name} {tensor.name} has one scale per slice of axis {axis}."


def _shapes_follow(graph: QGraph) -> Iterator[str]:
    """The shape of an output is the one that its operator infers."""
    for call in calls(graph):
        inferred = OPERATORS[call.node.op].infer(call)
        for shape, tensor in zip(inferred, call.outputs, strict=True):
            if shape != tensor.shape:
                yield f"{call.node.name} makes {shape}; {tensor.name} is {tensor.shape}."


RULES: tuple[Callable[[QGraph], Iterator[str]], ...] = (
    _operators_are_known,
    _tensors_exist,
    _names_are_unique,
    _tensors_are_whole,
    _values_are_made_once_before_use,
    _operands_fit_signatures,
    _shapes_follow,
)
