"""How deep the stack of a linked program can get: the deepest chain of calls, and interrupts on it.

A C function's frame is the compiler's figure (`.stack_sizes`), or what its code pushes where that
is more; of the Zig shims and the compiler's helpers the code alone says it. Calls are read from the
code as well. What a pointer may lead to is written down below. Recursion is refused.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from edge_runtime.firmware.thumb import WORD_BYTES, Flow, is_push, walk
from jouleloop.elf import Elf
from jouleloop.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


# What an exception saves, and a word that aligns it (Armv8-M ARM, B3.19; the older cores alike):
# eight core registers; where there is an FPU also S0 to S15, FPSCR and a word that Helium uses.
CORE_EXCEPTION_BYTES = 8 * WORD_BYTES + WORD_BYTES
FLOAT_EXCEPTION_BYTES = CORE_EXCEPTION_BYTES + 18 * WORD_BYTES
# An interrupt (all have the same priority), a fault and NMI can interrupt one another.
NESTED_EXCEPTIONS = 3
SYSTEM_VECTORS = 16
STACK_TOP = "link_stack_top"

# What pointers lead to. The portable C calls through the board's struct alone, which lies in an
# object of this name, so that a call through a pointer may reach every function named there; a test
# holds that no other struct of the firmware has pointers to functions.
PORT_SUFFIX = "_board"
# Except: after this function comes the model's code, which has its own share of the stack.
BEFORE_MODEL = "jl_infer_begin"
MODEL = "the model's code"
# Functions of a port, whose names begin with its family's. One is the firmware's way to the boot
# loader's service, on the firmware's stack. The other leaves the boot loader, for another stack.
TO_SERVICE = "_verify_signature"
TO_FIRMWARE = "_start_firmware"
SERVICE = "jl_ed25519_verify"


@dataclass(frozen=True)
class StackBound:
    """The most that a program can have on its stack at once.

    Args:
        calls_bytes: the deepest chain of calls, the model's code included.
        exceptions_bytes: what interrupts and faults can add.
        reserved_bytes: what the linker script keeps for the stack.
        chain: that chain: (function, its frame's bytes), the first caller first.
    """

    calls_bytes: int
    exceptions_bytes: int
    reserved_bytes: int
    chain: tuple[tuple[str, int], ...]

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.calls_bytes + self.exceptions_bytes

    def check(self, program: str) -> None:
        """Hold it against what is reserved.

        Args:
            program: its name, for the error.

        Raises:
            MachineError: the stack could overflow.
        """
        if self.total_bytes > self.reserved_bytes:
            chain = " -> ".join(f"{name} {size}" for name, size in self.chain)
            raise MachineError(
                f"the stack of {program} can take {self.total_bytes} bytes, of which interrupts "
                f"{self.exceptions_bytes}; its linker script reserves {self.reserved_bytes}",
                hint=f"reserve more, or leave less to models; the deepest chain: {chain}",
            )


@dataclass(frozen=True)
class Function:
    """A function as far as the stack is concerned.

    Args:
        name: of its symbol.
        pushed_bytes: what its code pushes.
        compiler_bytes: the compiler's figure for its frame; None where there is none.
        calls: addresses of what it may call without the help of a struct.
        calls_pointers: it calls what a register says.
    """

    name: str
    pushed_bytes: int
    compiler_bytes: int | None
    calls: frozenset[int]
    calls_pointers: bool

    @property
    def frame_bytes(self) -> int:
        """Its share of the stack."""
        return max(self.pushed_bytes, self.compiler_bytes or 0)


class CallGraph:
    """Functions of a linked program, and who calls whom.

    Args:
        elf: linked from C compiled with `-fstack-size-section`.
        model_bytes: stack of a model's code.
        service_bytes: stack of the boot loader's service.
    """

    def __init__(self, elf: Elf, *, model_bytes: int = 0, service_bytes: int = 0) -> None:
        self._elf = elf
        self._model, self._service = (MODEL, model_bytes), (SERVICE, service_bytes)
        self._names = {s.address & ~1: s.name for s in elf.symbols if s.is_function and s.bytes}
        self._ends = {s.address & ~1: (s.address & ~1) + s.bytes for s in elf.symbols}
        self._compiler_bytes = {at & ~1: size for at, size in elf.stack_sizes()}
        self._deepest: dict[int, tuple[int, tuple[tuple[str, int], ...]]] = {}

    @cached_property
    def functions(self) -> dict[int, Function]:
        """By address, without the Thumb bit.

        Zig drops the names of its private functions: what is called between two functions is one.

        Raises:
            MachineError: a function's frame depends on the run, or it calls what nobody knows.
        """
        found: dict[int, Function] = {}
        starts = set(self._names)
        while starts != set(found):
            # Constants follow the last one that has a name.
            ordered = sorted(starts | set(self._ends) | {self._code_end})
            found = {at: self._read(at, end) for at, end in pairwise(ordered) if at in starts}
            starts |= {callee for function in found.values() for callee in function.calls}
        return found

    @cached_property
    def port(self) -> frozenset[int]:
        """What the board's struct points to."""
        boards = (symbol for symbol in self._elf.symbols if symbol.name.endswith(PORT_SUFFIX))
        words = (
            word
            for board in boards
            for (word,) in struct.iter_unpack("<I", self._elf.read(board.address, board.bytes))
        )
        return self._known(words)

    @property
    def reserved_bytes(self) -> int:
        """What the linker script keeps for the stack."""
        return self._elf.labels[STACK_TOP] - self._elf.section(".stack").address

    def vectors(self, count: int | None) -> tuple[int, ...]:
        """What the vector table points to, but for the stack's entry.

        Args:
            count: entries to look at; None: all.
        """
        start = self._elf.section(".text").address
        (table,) = (symbol for symbol in self._elf.symbols if symbol.address == start)
        size = table.bytes if count is None else count * WORD_BYTES
        words = [word for (word,) in struct.iter_unpack("<I", self._elf.read(start, size))]
        return tuple(word & ~1 for word in words[1:] if self._known([word]))

    def find(self, name: str) -> int:
        """The address of a function.

        Raises:
            ValueError: there is none of this name.
        """
        return self._elf.symbol(name).address & ~1

    def deepest(self, at: int) -> tuple[int, tuple[tuple[str, int], ...]]:
        """Stack of the deepest chain of calls from a function on, and that chain.

        Args:
            at: the function's address.

        Raises:
            MachineError: as `functions`, or a function can call itself.
        """
        return self._descend(at, ())

    def _descend(self, at: int, above: tuple[int, ...]) -> tuple[int, tuple[tuple[str, int], ...]]:
        if at in self._deepest:
            return self._deepest[at]
        function = self.functions[at]
        if at in above:
            around = " -> ".join(self.functions[k].name for k in (*above[above.index(at) :], at))
            raise MachineError(
                f"recursion has no bound: {around}", hint="write a loop, or name the pointer's end"
            )
        ends = [self._descend(callee, (*above, at)) for callee in sorted(self._callees(at))]
        if BEFORE_MODEL in {self.functions[callee].name for callee in function.calls}:
            ends.append((self._model[1], (self._model,)))
        if function.name.endswith(TO_SERVICE) and function.calls_pointers:
            ends.append((self._service[1], (self._service,)))
        below, chain = max(ends, default=(0, ()))
        frame = function.frame_bytes
        self._deepest[at] = frame + below, ((function.name, frame), *chain)
        return self._deepest[at]

    def _callees(self, at: int) -> frozenset[int]:
        function = self.functions[at]
        if not function.calls_pointers or function.name.endswith((TO_SERVICE, TO_FIRMWARE)):
            return function.calls
        is_portable = function.compiler_bytes is not None and at not in self.port
        if not is_portable and not function.calls:
            raise MachineError(
                f"{function.name} calls through a pointer, and nothing says what",
                hint=f"say it in {__name__}",
            )
        return function.calls | self.port if is_portable else function.calls

    @cached_property
    def _code_end(self) -> int:
        return max(self._ends[at] for at in self._names)

    def _begins_code(self, at: int) -> bool:
        """Whether a function may begin there: at its symbol, or between two symbols."""
        if at in self._names:
            return True
        before = bisect_right(self._starts, at) - 1
        return before >= 0 and self._ends[self._starts[before]] <= at < self._code_end

    @cached_property
    def _starts(self) -> list[int]:
        return sorted(self._ends)

    def _known(self, words: Iterable[int]) -> frozenset[int]:
        """The functions among some words.

        A number may look like an address between two symbols: there a function has to begin with
        PUSH. One that does not is a leaf, whose frame is empty.
        """
        addresses = {word & ~1 for word in words if word & 1 and self._begins_code(word & ~1)}
        return frozenset(at for at in addresses if at in self._names or self._pushes_first(at))

    def _pushes_first(self, at: int) -> bool:
        (first,) = struct.unpack("<H", self._elf.read(at, 2))
        return is_push(first)

    def _read(self, start: int, limit: int) -> Function:
        """A function that reaches to its symbol's end, or without one to where the next begins."""
        end = min(self._ends.get(start, limit), limit)
        name = self._names.get(start, f"unnamed function at {start:#x}")
        try:
            pushed, made, jumps, calls, has_pointer = self._walk(start, end)
        except ValueError as error:
            raise MachineError(
                f"{name} {error}: its stack has no bound", hint="fix the sizes of its arrays"
            ) from error
        # A jump inside a function is a loop; out of it, a call in its last place.
        away = {at for at in jumps if not start <= at < end} | calls
        if lost := {at for at in away if not self._begins_code(at)}:
            raise MachineError(
                f"{name} calls {min(lost):#x}, in the middle of another function",
                hint="no C does that; what made this code?",
            )
        made_known = self._known(made) - {start} if has_pointer else frozenset()
        figure = self._compiler_bytes.get(start)
        return Function(name, pushed, figure, frozenset(away) | made_known, has_pointer)

    def _walk(self, start: int, end: int) -> tuple[int, set[int], set[int], set[int], bool]:
        """(bytes pushed, words made or kept, jumps, calls, whether it calls pointers)."""
        pushed, has_pointer = 0, False
        made: set[int] = set()
        places: dict[Flow, set[int]] = {Flow.JUMP: set(), Flow.CALL: set()}
        for address, is_code, content in self._pieces(start, end):
            if not is_code:
                whole = len(content) // WORD_BYTES * WORD_BYTES
                made.update(word for (word,) in struct.iter_unpack("<I", content[:whole]))
                continue
            for at, instruction, registers in walk(content):
                pushed += instruction.pushes
                made.update(registers.values.values())
                has_pointer = has_pointer or instruction.flow is Flow.POINTER
                if instruction.flow in places:
                    places[instruction.flow].add(address + at + instruction.offset)
        return pushed, made, places[Flow.JUMP], places[Flow.CALL], has_pointer

    def _pieces(self, start: int, end: int) -> Iterator[tuple[int, bool, bytes]]:
        """A function's code, and its data between it: (address, whether code, content)."""
        marks = self._elf.marks
        index = bisect_right(marks, (start, True)) - 1
        at = start
        while at < end:
            following = marks[index + 1][0] if index + 1 < len(marks) else end
            until = min(following, end)
            if until > at:
                yield at, marks[index][1], self._elf.read(at, until - at)
            at, index = max(until, at), index + 1


def bound_of(graph: CallGraph, *, has_fpu: bool, vectors: int | None = None) -> StackBound:
    """How deep a program's stack can get.

    Args:
        graph: of the program.
        has_fpu: the core saves its registers too.
        vectors: entries of the program's vector table; None: all that lies there.

    Raises:
        MachineError: it has no bound.
    """
    reset, *handlers = graph.vectors(vectors)
    calls, chain = graph.deepest(reset)
    saved = FLOAT_EXCEPTION_BYTES if has_fpu else CORE_EXCEPTION_BYTES
    deepest_handler = max(graph.deepest(at)[0] for at in handlers)
    exceptions = NESTED_EXCEPTIONS * (saved + deepest_handler)
    return StackBound(calls, exceptions, graph.reserved_bytes, chain)


def bounds(
    boot: bytes | None, firmware: bytes, *, has_fpu: bool, model_bytes: int
) -> dict[str, StackBound]:
    """Bounds of `boot`, where there is one, and `firmware`.

    Args:
        boot: the boot loader, an ELF file. It allows no interrupts of the board, and keeps its
            services where their vectors would lie. None: the firmware brings them itself.
        firmware: linked for a slot, or alone, an ELF file.
        has_fpu: the core saves its registers too.
        model_bytes: stack that the board leaves to a model's code.

    Raises:
        MachineError: a program has no bound.
    """
    if boot is None:
        alone = CallGraph(Elf(firmware), model_bytes=model_bytes)
        return {"firmware": bound_of(alone, has_fpu=has_fpu)}
    loader = CallGraph(Elf(boot))
    service = loader.deepest(loader.find(SERVICE))[0]
    graph = CallGraph(Elf(firmware), model_bytes=model_bytes, service_bytes=service)
    return {
        "boot": bound_of(loader, has_fpu=has_fpu, vectors=SYSTEM_VECTORS),
        "firmware": bound_of(graph, has_fpu=has_fpu),
    }
