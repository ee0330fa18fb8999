import struct
import subprocess
from pathlib import Path

import pytest

from hil_tests.profiler import read_symbols
from hil_tests.profiler.classify import decode
from jouleloop.programs import zig_command

pytestmark = pytest.mark.host_c

# One line of assembly per class and encoding family, with the words that it moves.
INSTRUCTIONS = """
adds r3, #1             | alu
add r8, r9              | alu
movw r0, #1234          | alu
ssat r0, #8, r1         | alu
sxtb16 r0, r1, ror #8   | alu
ubfx r0, r1, #3, #4     | alu
csel r0, r1, r2, eq     | alu
dls lr, r2              | alu
muls r0, r1, r0         | multiply
smull r0, r1, r2, r3    | multiply
smmulr r0, r1, r2       | multiply
smlad r0, r1, r2, r3    | multiply-accumulate
smmlar r0, r1, r2, r3   | multiply-accumulate
smlal r0, r1, r2, r3    | multiply-accumulate
sdiv r0, r1, r2         | divide
udiv r0, r1, r2         | divide
ldr r0, [r1, #4]        | load 1
ldrb.w r0, [r1, #400]   | load 1
ldr r0, [pc, #4]        | load 1
ldrex r0, [r1]          | load 1
vldr s0, [r0]           | load 1
str r0, [r1, r2]        | store 1
strb.w r0, [r1, #400]   | store 1
ldm r0!, {r1-r4}        | load-multiple 4
ldm r0!, {r4-r9}        | load-multiple 6
ldrd r0, r1, [r2]       | load-multiple 2
pop {r4, r5}            | load-multiple 2
pop {r4, pc}            | load-multiple 2 branch
ldr.w pc, [r0]          | load 1 branch
push {r4-r11, lr}       | store-multiple 9
strd r0, r1, [r2]       | store-multiple 2
vpush {d8-d15}          | store-multiple 16
bx lr                   | branch branch
mov pc, r3              | branch branch
bl there                | branch branch
beq.w there             | branch branch
le lr, back             | branch branch
wls lr, r2, there       | branch branch
tbb [pc, r0]            | branch 1 branch
vmov s0, r1             | transfer
vmov q0[2], q0[0], r0, r4 | transfer
vdup.32 q7, r3          | transfer
vmrs r6, p0             | transfer
vldrw.u32 q0, [r0], #16 | vector-load 4
vldrb.u8 q0, [r0, q1]   | vector-load 4
vldrb.u16 q0, [r0]      | vector-load 4
vldrw.u32 q0, [q1, #4]  | vector-load 4
vld40.32 {q0, q1, q2, q3}, [r0] | vector-load 4
vstrb.16 q0, [r3, q7]   | vector-store 4
vstrw.32 q0, [q1]       | vector-store 4
vst20.8 {q0, q1}, [r0]  | vector-store 4
vmladava.s8 r0, q7, q6  | vector-multiply-accumulate
vmladava.u8 lr, q1, q2  | vector-multiply-accumulate
vmladav.s32 r2, q1, q2  | vector-multiply-accumulate
vmlaldava.s16 r0, r1, q1, q2 | vector-multiply-accumulate
vrmlaldavha.s32 r0, r1, q1, q2 | vector-multiply-accumulate
vmlsdava.s16 r0, q1, q2 | vector-multiply-accumulate
vmla.s8 q0, q1, r2      | vector-multiply
vmul.i32 q0, q1, q2     | vector-multiply
vmulh.s32 q0, q1, q2    | vector-multiply
vmullb.s8 q0, q1, q2    | vector-multiply
vqdmullb.s16 q0, q1, q2 | vector-multiply
vqrdmulh.s32 q0, q1, q2 | vector-multiply
vqdmulh.s32 q0, q1, r2  | vector-multiply
vqrdmlash.s32 q0, q1, r2 | vector-multiply
vadd.i32 q0, q1, q2     | vector-alu
vaddva.s8 r0, q1        | vector-alu
vabav.s8 r0, q1, q2     | vector-alu
vmaxv.s8 r0, q1         | vector-alu
vqmovnb.s16 q0, q1      | vector-alu
vqrshrnb.s32 q0, q0, #7 | vector-alu
vrshl.s32 q0, r7        | vector-alu
vbrsr.8 q0, q1, r2      | vector-alu
vshlc q0, r1, #3        | vector-alu
vpsel q0, q1, q2        | vector-alu
vpnot                   | vector-alu
cbz r0, there           | branch branch
nop                     | system
dsb                     | system
mrs r0, primask         | system
"""


def assembled(folder: Path, lines: list[str]) -> list[bytes]:
    """Each line's bytes: a label before it gives its place in the object's text section."""
    body = "".join(f".global at{k}\nat{k}: {line}\n" for k, line in enumerate(lines))
    text = f".syntax unified\n.thumb\n.text\nback: nop\n{body}.global end\nend: nop\nthere: nop\n"
    (folder / "all.S").write_text(text)
    run = subprocess.run(
        zig_command(
            *("cc", "-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55+mve", "-c"),
            *("all.S", "-o", "all.o"),
        ),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    content = (folder / "all.o").read_bytes()
    places = {symbol.name: symbol.address for symbol in read_symbols(folder / "all.o")}
    (table,) = struct.unpack_from("<I", content, 32)
    (count,) = struct.unpack_from("<H", content, 48)
    sections = [struct.unpack_from("<10I", content, table + 40 * k) for k in range(count)]
    start = next(s[4] for s in sections if s[1] == 1 and s[2] & 4)
    ends = [places[f"at{k}"] for k in range(1, len(lines))] + [places["end"]]
    return [content[start + places[f"at{k}"] : start + end] for k, end in enumerate(ends)]


def test_every_encoding_family_is_classified(tmp_path: Path) -> None:
    rows = [line.split("|") for line in INSTRUCTIONS.strip().splitlines()]
    lines = [line.strip() for line, _ in rows]

    got = {}
    for line, code in zip(lines, assembled(tmp_path, lines), strict=True):
        decoded = decode(code)
        words = f" {decoded.words}" if decoded.words else ""
        got[line] = f"{decoded.kind}{words}{' branch' if decoded.is_branch else ''}"

    assert got == {line.strip(): expected.strip() for line, expected in rows}
