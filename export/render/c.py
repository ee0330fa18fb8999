"""Render a lowered graph as C11 that a person would sign: constants, layers, a list of calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.c_text import block_comment, constant_table, constants_block, helpers_used, macros
from export.kernels.select import select_kernels
from export.ops import KERNEL_OPERATORS, OPERATORS, PLAIN_OPERATORS
from export.optimize import Choice, Optimize, choose_kernels
from export.plan import scratch_name
from export.verify import calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from device_profiles.core import Core
    from export.graph import QGraph, Tensor
    from export.kernels.layer import KernelCode
    from export.ops import Call
    from export.plan import Plan

ENTRY = "jl_infer"


@dataclass(frozen=True, eq=False)
class Layer:
    """An operator and the code that runs it.

    Args:
        call: what it computes.
        code: how.
        is_kernel: the code is a file of its own, with routines that layers share.
    """

    call: Call
    code: KernelCode
    is_kernel: bool


@dataclass(frozen=True, eq=False)
class Program:
    """A lowered graph as code.

    Args:
        graph: what it computes.
        layers: in order of execution.
        choices: what each mode would run, and what it takes.
        optimize: the mode that was taken.
        files: file name -> text; `model.c`, or that of its part, holds the entry.
    """

    graph: QGraph
    layers: tuple[Layer, ...]
    choices: Mapping[Optimize, Choice]
    optimize: Optimize
    files: dict[str, str]

    @property
    def plan(self) -> Plan:
        """The arena."""
        return self.choices[self.optimize].plan


def render_c(
    graph: QGraph,
    core: Core,
    *,
    producer: str,
    model_sha256: str,
    optimize: Optimize = Optimize.SPEED,
    part: str = "",
) -> Program:
    """The graph as C; the same graph, core and producer give the same text.

    Args:
        graph: lowered and verified.
        core: what the layers are written for.
        producer: generator and version, for the header comment.
        model_sha256: names the model, for the header comment.
        optimize: what kernels are chosen for.
        part: where a module holds several graphs, what the names of this one's file, entry
            (`jl_PART`) and layers begin with.

    Raises:
        UnsupportedModelError: an operator has no code in integers.
    """
    every = tuple(calls(graph))
    choices = choose_kernels(graph, _kernels(every, core, part), core)
    choice = choices[optimize]
    layers = tuple(
        Layer(call, code, call.node.op in KERNEL_OPERATORS)
        for call, code in zip(every, choice.codes, strict=True)
    )
    entry = f"jl_{part}" if part else ENTRY
    text = _model_c(graph, layers, choice.plan, producer, model_sha256, entry)
    files = {f"{part or 'model'}.c": text}
    for layer in layers:
        if layer.is_kernel:
            files[f"{layer.code.symbol}{layer.code.suffix}"] = layer.code.source
            files |= {f"{r.symbol}{r.suffix}": r.source for r in layer.code.routines}
    return Program(graph, layers, choices, optimize, files)


def _kernels(every: tuple[Call, ...], core: Core, part: str) -> tuple[tuple[KernelCode, ...], ...]:
    """The kernels of each layer, the one with least scratch last; other operators have one C."""
    if core.kernel_class is None:
        raise ValueError(f"{core.name} has no native kernels")
    resolved = {
        index: KERNEL_OPERATORS[call.node.op].layer(call, _symbol(index, part))
        for index, call in enumerate(every)
        if call.node.op in KERNEL_OPERATORS
    }
    layers = tuple(resolved.values())
    fast = select_kernels(layers, core.kernel_class)
    small = select_kernels(layers, core.kernel_class, saves_scratch=True)
    kernels = {
        index: (one,) if other.scratch_bytes == one.scratch_bytes else (one, other)
        for index, one, other in zip(resolved, fast, small, strict=True)
    }
    return tuple(
        kernels[index]
        if index in kernels
        else (PLAIN_OPERATORS[call.node.op].emit_c(call, _symbol(index, part), core),)
        for index, call in enumerate(every)
    )


def _symbol(index: int, part: str) -> str:
    return f"{part}_layer{index}" if part else f"layer{index}"


def _model_c(
    graph: QGraph,
    layers: tuple[Layer, ...],
    plan: Plan,
    producer: str,
    model_sha256: str,
    entry: str,
) -> str:
    operands = _Operands(graph, plan)
    body = "".join(_call(index, layer, operands) for index, layer in enumerate(layers))
    sources = [
        block_comment(f"{layer.code.symbol}: {_describe(layer.call)}") + layer.code.source
        for layer in layers
        if not layer.is_kernel and f" {layer.code.symbol}(" in body
    ]
    sizes = {
        "ARENA_BYTES": plan.arena_bytes,
        "INPUT_BYTES": sum(graph.tensors[name].size for name in graph.inputs),
        "OUTPUT_BYTES": sum(graph.tensors[name].size for name in graph.outputs),
    }
    parts = (
        _header(graph, producer, model_sha256),
        "#include <stdint.h>\n",
        macros("JL", sizes),
        helpers_used("\n".join(sources)),
        *operands.constants(),
        *sources,
        "".join(_declaration(layer) for layer in layers if layer.is_kernel),
        _entry(entry, body, uses_arena="arena_bytes" in body),
    )
    return "\n".join(part for part in parts if part)


def _header(graph: QGraph, producer: str, model_sha256: str) -> str:
    what = (
        f"{graph.name}: {len(graph.nodes)} operators, INT8, requantisation rule {graph.rounding}."
    )
    return (
        block_comment(what)
        + block_comment(f"Generated by {producer}; to change it, export the model again.")
        + block_comment(f"SHA-256 of model.tflite: {model_sha256}")
    )


def _entry(name: str, body: str, *, uses_arena: bool) -> str:
    arena = "int8_t *const arena_bytes = arena;" if uses_arena else "(void)arena;"
    return f"""\
/* One inference.
 *
 * arena: JL_ARENA_BYTES, 16-byte aligned, contents undefined before and after.
 * in: JL_INPUT_BYTES, the inputs one behind the other.
 * out: JL_OUTPUT_BYTES, the outputs one behind the other.
 * Returns 0.
 */
int32_t {name}(void *arena, const int8_t *in, int8_t *out);

int32_t {name}(void *arena, const int8_t *in, int8_t *out) {{
    {arena}

{body}
    return 0;
}}
"""


class _Operands:
    """How a call names its tensors in C."""

    def __init__(self, graph: QGraph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        self._tables: dict[str, str] = {}
        self._places: dict[str, str] = {}
        for base, names in (("in", graph.inputs), ("out", graph.outputs)):
            offset = 0
            for name in names:
                self._places[name] = f"{base} + {offset}" if offset else base
                offset += graph.tensors[name].size

    def name(self, tensor: Tensor) -> str:
        """A pointer to a tensor."""
        if tensor.name in self._places:
            return self._places[tensor.name]
        if tensor.data is not None:
            table = f"constant{len(self._tables)}"
            self._tables[table] = constant_table(table, tensor.data, tensor.name)
            self._places[tensor.name] = table
            return table
        return self.arena(tensor.name)

    def arena(self, name: str) -> str:
        """A pointer into the arena."""
        return f"arena_bytes + {self._plan.offsets[name]}"

    def constants(self) -> Iterator[str]:
        """Tables of the constants that calls read through a pointer."""
        if self._tables:
            yield constants_block(self._tables.values())


def _call(index: int, layer: Layer, operands: _Operands) -> str:
    call, code = layer.call, layer.code
    # Weights are part of the layer's own constants; other operands come through pointers.
    arguments = [operands.name(tensor) for tensor in _pointers(call)]
    arguments += [operands.name(tensor) for tensor in call.outputs]
    if code.scratch_bytes:
        arguments.append(operands.arena(scratch_name(index)))
    elif layer.is_kernel:
        arguments.append("0")
    comment = block_comment(f"{_describe(call)}; {code.note}", "    ")
    if call.node.op == "RESHAPE" and arguments[0] == arguments[1]:  # see `choose_kernels`
        return comment
    return f"{comment}    {code.symbol}({', '.join(arguments)});\n"


def _describe(call: Call) -> str:
    """node_linear FULLY_CONNECTED int8 [1, 12] -> [1, 64]; out scale 0.0061 zero point -128."""
    first, out = call.input(0), call.output
    activation = call.node.attributes.get("activation", "NONE")
    return (
        f"{call.node.name} {call.node.op}{'' if activation == 'NONE' else f' + {activation}'} "
        f"{first.dtype} {list(first.shape)} -> {list(out.shape)}; "
        f"out scale {out.scale:.6g} zero point {out.zero_point}"
    )


def _pointers(call: Call) -> Iterator[Tensor]:
    signature = OPERATORS[call.node.op].SIGNATURE
    for operand, tensor in zip(signature.inputs, call.inputs, strict=False):
        if tensor is not None and not operand.is_constant:
            yield tensor


def _declaration(layer: Layer) -> str:
    return f"void {layer.code.symbol}(const int8_t *in, int8_t *out, void *scratch);\n"
