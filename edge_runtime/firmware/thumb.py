"""As much of the Thumb instruction set as says how deep a function's frame is and what it calls.

Encodings: Armv8-M Architecture Reference Manual (DDI 0553), chapter C2; the older cores' are the
same.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

STACK_POINTER, FRAME_POINTER, LINK_REGISTER = 13, 7, 14
WORD_BYTES = 4
PUSH_32 = 0xE92D


class Flow(Enum):
    """Where an instruction leads besides the next one."""

    NEXT = "next"
    JUMP = "jump"
    CALL = "call"
    POINTER = "pointer"  # a call or a jump to what a register says; a return is none


@dataclass(frozen=True)
class Instruction:
    """What an instruction does to the stack and to the flow of control.

    Args:
        bytes: its length, 2 or 4.
        pushes: bytes by which it lowers the stack pointer.
        flow: where it leads.
        offset: of a jump or a call, from the instruction; bytes.
    """

    bytes: int
    pushes: int = 0
    flow: Flow = Flow.NEXT
    offset: int = 0


@dataclass
class Registers:
    """What a walk through a function knows of its registers.

    Args:
        values: constants that MOVW and MOVT put there.
        aligned: registers that hold the stack pointer with low bits cleared, and what that costs.
        frames: registers that were computed from the frame pointer.
    """

    values: dict[int, int] = field(default_factory=dict)
    aligned: dict[int, int] = field(default_factory=dict)
    frames: set[int] = field(default_factory=set)


def decode(code: bytes, at: int, registers: Registers) -> Instruction:
    """Decode one instruction and follow what it does to the registers.

    Args:
        code: memory that holds it.
        at: where it begins.
        registers: changed in place.

    Raises:
        ValueError: it moves the stack pointer by what only a run can say.
    """
    (first,) = struct.unpack_from("<H", code, at)
    if first >> 11 < 0b11101:
        return _decode_16(first, registers)
    (second,) = struct.unpack_from("<H", code, at + 2)
    if first >> 11 == 0b11110 and second & 0x8000:
        return _decode_branch_32(first, second)
    _follow_32(first, second, registers)
    return Instruction(4, _pushed_32(first, second))


def is_push(first: int) -> bool:
    """Whether an instruction's first halfword is that of PUSH with the link register."""
    return first & 0xFF00 == 0xB500 or first == PUSH_32


def _decode_16(first: int, registers: Registers) -> Instruction:  # noqa: PLR0911 - one return per row of the manual
    if first & 0xFE00 == 0xB400:  # PUSH
        return Instruction(2, WORD_BYTES * (first & 0x1FF).bit_count())
    if first & 0xFF80 == 0xB080:  # SUB SP
        return Instruction(2, WORD_BYTES * (first & 0x7F))
    if first & 0xFF87 == 0x4685:  # MOV SP
        return Instruction(2, _pushed_by_move(first >> 3 & 15, registers))
    if first & 0xFF87 == 0x4485:  # ADD SP, register
        raise ValueError("adds a register to the stack pointer")
    if first & 0xFF07 == 0x4700:  # BX, BLX
        is_return = first == 0x4770
        return Instruction(2, flow=Flow.NEXT if is_return else Flow.POINTER)
    if first >> 12 == 0b1101 and first >> 9 & 7 != 7:  # B, conditional
        return Instruction(2, flow=Flow.JUMP, offset=_signed(first & 0xFF, 8) * 2 + 4)
    if first >> 11 == 0b11100:  # B
        return Instruction(2, flow=Flow.JUMP, offset=_signed(first & 0x7FF, 11) * 2 + 4)
    return Instruction(2)  # CBZ reaches too short to leave a function


def _pushed_by_move(source: int, registers: Registers) -> int:
    if source in registers.aligned:
        return registers.aligned[source]
    if source == FRAME_POINTER or source in registers.frames:
        return 0  # back to where the frame began
    raise ValueError("moves the stack pointer to a place that it computes")


def _decode_branch_32(first: int, second: int) -> Instruction:
    sign = first >> 10 & 1
    if second & 0xD000 == 0x8000 and first >> 6 & 0b1110 != 0b1110:  # B, conditional
        value = (second >> 11 & 1) << 18 | (second >> 13 & 1) << 17
        value |= (first & 0x3F) << 11 | (second & 0x7FF)
        return Instruction(4, flow=Flow.JUMP, offset=_signed(value | sign << 19, 20) * 2 + 4)
    if second & 0x1000:  # B, BL
        top = (second >> 13 & 1) ^ sign ^ 1, (second >> 11 & 1) ^ sign ^ 1
        value = top[0] << 22 | top[1] << 21 | (first & 0x3FF) << 11 | (second & 0x7FF)
        return Instruction(
            4,
            flow=Flow.CALL if second & 0x4000 else Flow.JUMP,
            offset=_signed(value | sign << 23, 24) * 2 + 4,
        )
    return Instruction(4)  # MSR, hints, low-overhead loops


def _pushed_32(first: int, second: int) -> int:
    if first == PUSH_32:
        return WORD_BYTES * second.bit_count()
    if first in (0xED2D, 0xED6D) and second >> 9 & 7 != 0b101:  # Helium's VSTR
        raise ValueError("stores a vector with the stack pointer moved")
    if first in (0xE96D, 0xED2D, 0xED6D):  # STRD and VPUSH, the same
        return WORD_BYTES * (second & 0xFF)
    if first == 0xF84D and second & 0x0F00 == 0x0D00:  # STR, the same
        return second & 0xFF
    if first & 0xFBEF == 0xF1AD and second >> 8 & 15 == STACK_POINTER:  # SUB SP
        return _expand_immediate((first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF)
    if first & 0xFBFF == 0xF2AD and second >> 8 & 15 == STACK_POINTER:
        return (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    if first & 0xFFEF == 0xEBAD and second >> 8 & 15 == STACK_POINTER:
        raise ValueError("takes a register from the stack pointer")
    return 0


def _follow_32(first: int, second: int, registers: Registers) -> None:
    immediate = (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF
    target = second >> 8 & 15
    if first & 0xFBF0 == 0xF240:  # MOVW
        registers.values[target] = (first & 15) << 12 | immediate
    elif first & 0xFBF0 == 0xF2C0:  # MOVT
        low = registers.values.get(target, 0) & 0xFFFF
        registers.values[target] = ((first & 15) << 12 | immediate) << 16 | low
    elif first == 0xF36F and second & 0x70C0 == 0:  # BFC from bit 0 on
        registers.aligned[target] = (2 << (second & 0x1F)) - WORD_BYTES
        registers.frames.discard(target)
    elif first & 0xFBEF == 0xF1A7:  # SUB from the frame pointer
        registers.frames.add(target)
        registers.aligned.pop(target, None)


def _expand_immediate(value: int) -> int:
    """A modified immediate of 12 bits (ThumbExpandImm)."""
    low = value & 0xFF
    if value >> 10 == 0:
        return (low, low << 16 | low, low << 24 | low << 8, low * 0x01010101)[value >> 8 & 3]
    turned, by = 0x80 | value & 0x7F, value >> 7
    return (turned >> by | turned << (32 - by)) & 0xFFFFFFFF


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def walk(code: bytes) -> Iterator[tuple[int, Instruction, Registers]]:
    """Every instruction of a piece of code that holds no data: (where it begins, it, registers)."""
    registers = Registers()
    at = 0
    while at + 2 <= len(code):
        instruction = decode(code, at, registers)
        yield at, instruction, registers
        at += instruction.bytes
