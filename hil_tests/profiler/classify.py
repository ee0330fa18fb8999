"""Which class an instruction belongs to, from its bytes: Armv6-M to Armv8.1-M with Helium.

QEMU's disassembler misreads Helium, so the bytes decide. Encodings: Armv8-M Architecture Reference
Manual (DDI 0553), chapter C2, whose names the comments use.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class InstructionClass(StrEnum):
    """What an instruction keeps busy, as far as its cycles depend on it."""

    ALU = "alu"
    MULTIPLY = "multiply"
    MULTIPLY_ACCUMULATE = "multiply-accumulate"
    DIVIDE = "divide"
    LOAD = "load"
    LOAD_MULTIPLE = "load-multiple"
    STORE = "store"
    STORE_MULTIPLE = "store-multiple"
    BRANCH = "branch"
    FLOAT = "float"
    TRANSFER = "transfer"  # between core and floating-point or vector registers
    VECTOR_LOAD = "vector-load"
    VECTOR_STORE = "vector-store"
    VECTOR_MULTIPLY = "vector-multiply"
    VECTOR_MULTIPLY_ACCUMULATE = "vector-multiply-accumulate"
    VECTOR_ALU = "vector-alu"
    SYSTEM = "system"


C = InstructionClass


@dataclass(frozen=True)
class Decoded:
    """An instruction's class.

    Args:
        kind: its class.
        words: how many words it loads or stores, 0 for the other classes.
        is_branch: it writes the program counter (a load or POP may).
    """

    kind: InstructionClass
    words: int = 0
    is_branch: bool = False


def decode(code: bytes) -> Decoded:
    """Class of one instruction.

    Args:
        code: its 2 or 4 bytes, little-endian halfwords as in memory.

    >>> decode(bytes.fromhex("0cc8")).words  # ldm r0!, {r2, r3}
    2
    """
    first = int.from_bytes(code[:2], "little")
    if len(code) == 2:
        return _decode_16(first)
    second = int.from_bytes(code[2:4], "little")
    if first >> 8 & 0xEC == 0xEC:
        return _decode_coprocessor(first, second)
    if first >> 11 == 0b11110:
        return _decode_immediate_or_branch(first, second)
    if first >> 9 == 0b1110100:
        return _decode_multiple_or_dual(first, second)
    if first >> 9 == 0b1110101:
        return Decoded(C.ALU)  # data processing (shifted register)
    return _decode_single_or_multiply(first, second)


def _decode_16(first: int) -> Decoded:  # noqa: PLR0911 - one return per row of the manual
    top = first >> 10
    if top == 0b010000:  # data processing (register); opcode 13 is MULS
        return Decoded(C.MULTIPLY if first >> 6 & 15 == 13 else C.ALU)
    if top == 0b010001:  # special data; BX and BLX, and ADD or MOV into the program counter
        is_branch = first & 0x0300 == 0x0300 or (
            first & 0x0087 == 0x0087 and first & 0x0300 != 0x0100
        )
        return Decoded(C.BRANCH, is_branch=True) if is_branch else Decoded(C.ALU)
    if first >> 11 == 0b01001:  # LDR (literal)
        return Decoded(C.LOAD, 1)
    if first >> 12 == 0b0101:  # load/store (register offset): opcodes 0-2 store
        return Decoded(C.STORE if first >> 9 & 7 < 3 else C.LOAD, 1)
    if 0b0110 <= first >> 12 <= 0b1001:  # load/store (immediate): bit 11 loads
        return Decoded(C.LOAD if first & 0x0800 else C.STORE, 1)
    if first >> 12 == 0b1100:  # LDM, STM
        kind = C.LOAD_MULTIPLE if first & 0x0800 else C.STORE_MULTIPLE
        return Decoded(kind, (first & 0xFF).bit_count())
    if first >> 12 == 0b1101:  # conditional branch, UDF, SVC
        return Decoded(C.SYSTEM) if first >> 9 & 7 == 7 else Decoded(C.BRANCH, is_branch=True)
    if first >> 12 == 0b1110:
        return Decoded(C.BRANCH, is_branch=True)
    if first >> 12 == 0b1011:
        return _decode_miscellaneous_16(first)
    return Decoded(C.ALU)  # shifts, immediates, ADR, ADD (SP)


def _decode_miscellaneous_16(first: int) -> Decoded:
    if first & 0xF500 == 0xB100:  # CBZ, CBNZ
        return Decoded(C.BRANCH, is_branch=True)
    if first & 0xFE00 == 0xB400:  # PUSH
        return Decoded(C.STORE_MULTIPLE, (first & 0x1FF).bit_count())
    if first & 0xFE00 == 0xBC00:  # POP
        words = (first & 0x1FF).bit_count()
        return Decoded(C.LOAD_MULTIPLE, words, is_branch=bool(first & 0x100))
    is_hint = first & 0xFF00 == 0xBF00 and first & 15 == 0
    if is_hint or first & 0xFFE0 == 0xB660 or first & 0xFF00 == 0xBE00:  # hints, CPS, BKPT
        return Decoded(C.SYSTEM)
    return Decoded(C.ALU)  # IT, ADD/SUB (SP), extend, reverse


def _decode_multiple_or_dual(first: int, second: int) -> Decoded:  # noqa: PLR0911 - one return per row of the manual
    loads = bool(first & 0x0010)
    if first & 0x0040 == 0:
        if first == 0xE89F:  # CLRM
            return Decoded(C.ALU)
        words = second.bit_count()
        if loads:  # LDM, POP
            return Decoded(C.LOAD_MULTIPLE, words, is_branch=bool(second & 0x8000))
        return Decoded(C.STORE_MULTIPLE, words)
    if first & 0xFFF0 == 0xE8D0 and second & 0xFFE0 == 0xF000:  # TBB, TBH
        return Decoded(C.BRANCH, 1, is_branch=True)
    if first == 0xE97F or (first & 0xFFF0 == 0xE840 and second & 0xF03F == 0xF000):  # SG, TT
        return Decoded(C.SYSTEM)
    if first & 0x0120:  # LDRD, STRD
        return Decoded(C.LOAD_MULTIPLE if loads else C.STORE_MULTIPLE, 2)
    return Decoded(C.LOAD if loads else C.STORE, 1)  # exclusive, acquire, release


def _decode_immediate_or_branch(first: int, second: int) -> Decoded:
    if second & 0x8000 == 0:
        return Decoded(C.ALU)  # data processing (modified or plain immediate)
    if second & 0xD000 == 0xC000:  # low-overhead loops: DLS and LCTP set up, WLS and LE branch
        sets_up = second & 0x2000
        return Decoded(C.ALU) if sets_up else Decoded(C.BRANCH, is_branch=True)
    if second & 0x5000 == 0 and first & 0x0380 == 0x0380:  # MSR, MRS, hints, barriers
        return Decoded(C.SYSTEM)
    return Decoded(C.BRANCH, is_branch=True)  # B, BL


def _decode_single_or_multiply(first: int, second: int) -> Decoded:  # noqa: PLR0911 - one return per row of the manual
    if first & 0xFE00 == 0xF800:
        if first & 0x0010 == 0:
            return Decoded(C.STORE, 1)
        into_pc = second >> 12 == 15
        if into_pc and first & 0x0060 != 0x0040:  # byte or halfword into PC: a preload hint
            return Decoded(C.SYSTEM)
        return Decoded(C.LOAD, 1, is_branch=into_pc)
    if first & 0xFF80 == 0xFB00:  # multiply, MLA, SMLAD and kin: Ra = 15 means no accumulator
        return Decoded(C.MULTIPLY if second >> 12 == 15 else C.MULTIPLY_ACCUMULATE)
    if first & 0xFF80 == 0xFB80:
        opcode = first >> 4 & 7
        if opcode in (1, 3):
            return Decoded(C.DIVIDE)
        return Decoded(C.MULTIPLY if opcode in (0, 2) else C.MULTIPLY_ACCUMULATE)
    return Decoded(C.ALU)  # data processing (register)


def _decode_coprocessor(first: int, second: int) -> Decoded:
    coprocessor = second >> 8 & 15
    is_memory = first & 0xEE00 == 0xEC00
    if first & 0xFFA0 == 0xEC00 and second & 0x1FE0 == 0x0F00:  # VMOV (two lanes)
        return Decoded(C.TRANSFER)
    if is_memory and coprocessor in (14, 15):  # VLDR, VSTR, VLD2/4, VST2/4, gather, scatter
        return Decoded(C.VECTOR_LOAD if first & 0x0010 else C.VECTOR_STORE, 4)
    if first >> 8 in (0xEC, 0xED, 0xEE) and coprocessor in (9, 10, 11):
        return _decode_float(first, second, is_memory)
    if first >> 8 == 0xFE and coprocessor in (9, 10, 11):  # VSEL, VMAXNM, VRINT
        return Decoded(C.FLOAT)
    return _decode_vector(first, second)


def _decode_float(first: int, second: int, is_memory: bool) -> Decoded:
    if is_memory:
        if first & 0xFFE0 == 0xEC40:  # VMOV (two core registers)
            return Decoded(C.TRANSFER)
        if first & 0xFFC0 == 0xEC00 or first & 0xFFBF == 0xEC9F:  # VLSTM, VLLDM; VSCCLRM
            return Decoded(C.SYSTEM)
        words, loads = second & 0xFF, bool(first & 0x0010)
        if first & 0x0120 == 0x0100:  # VLDR, VSTR; of a double register two words
            words = 2 if second & 0x0100 else 1
        single = C.LOAD if loads else C.STORE
        multiple = C.LOAD_MULTIPLE if loads else C.STORE_MULTIPLE
        return Decoded(single if words == 1 else multiple, words)
    return Decoded(C.TRANSFER if second & 0x0010 else C.FLOAT)


def _decode_vector(first: int, second: int) -> Decoded:
    group = second >> 8 & 15
    if first >> 8 & 0xEF == 0xEF:  # three vectors: VMUL, VQDMULH, VQRDMULH, and of floats
        multiplies = group == 9 or (group == 0xB and second & 0x11 == 0)
        if group == 0xD:
            multiplies = bool(first & 0x1000 and second & 0x10)
        return Decoded(C.VECTOR_MULTIPLY if multiplies or group == 0xC else C.VECTOR_ALU)
    if first & 0x0080 and group & 0xE == 0xE and second & 0x00D0 == 0:
        # Sums over a vector: VMLADAV, VMLALDAV, VMLSDAV, VRMLALDAVH; else VADDV, VABAV, VMAXV.
        is_other = group & 1 and (second & 1 or (first & 1 and first & 2 == 0))
        if not is_other and first & 0x0070 != 0x0060:
            return Decoded(C.VECTOR_MULTIPLY_ACCUMULATE)
        return Decoded(C.VECTOR_ALU)
    if first & 0x0080 == 0:
        size_is_reserved = first & 0x0030 == 0x0030
        # VMLA, VQRDMLASH, VMUL (scalar), VMULH, VMULL, VQDMLADH; but VBRSR reverses bits.
        reverses = first & 0xFF81 == 0xFE01 and second & 0x10F0 == 0x1060
        is_long = first & 0xFFA0 == 0xEE20 and second & 0x0F81 == 0x0F01  # VQDMULL
        if (group == 0xE and not size_is_reserved and not reverses) or (
            is_long and size_is_reserved
        ):
            return Decoded(C.VECTOR_MULTIPLY)
    return Decoded(C.VECTOR_ALU)
