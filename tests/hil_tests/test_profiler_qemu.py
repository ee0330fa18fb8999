from pathlib import Path
from types import SimpleNamespace

import pytest

import device_profiles
from hil_tests.profiler import CodeMap, attribute, flame_svg
from hil_tests.profiler.classify import InstructionClass as C
from hil_tests.profiler.plugin import plugin_arguments
from tests.bare_metal import CORTEX_M4, CORTEX_M55, Board, build, run

pytestmark = pytest.mark.qemu

# 3 + 5 x (2 + 4 x 3) + 1: the inner loop leaves (is taken) 3 times of 4, the outer 4 of 5.
LOOP = """
  .syntax unified
  .thumb
  .text
  .global work
  .thumb_func
  .type work, %function
work:
  movs r0, #5
  movs r3, #0
  nop
1: movs r1, #4
2: adds r3, #1
  subs r1, #1
  bne 2b
  subs r0, #1
  bne 1b
  bx lr
  .size work, .-work
"""

# movs, push, then 7 times a vector load, a multiply-accumulate and LE, then pop.
HELIUM = """
  .syntax unified
  .thumb
  .text
  .global work
  .thumb_func
  .type work, %function
work:
  push {r4, lr}
  movs r4, #7
  movs r2, #0
  dls lr, r4
1: vldrb.u8 q0, [r0], #16
  vmladava.s8 r2, q0, q0
  le lr, 1b
  pop {r4, pc}
  .size work, .-work
"""

MAIN = """
#include <stdint.h>
void jl_infer_begin(void);
void jl_infer_end(void);
void work(const void *);
static uint8_t data[128];
int main(void)
{
    work(data);
    for (int i = 0; i < 3; i++) {
        jl_infer_begin();
        work(data);
        jl_infer_end();
    }
    work(data);
    return 0;
}
"""


def counted(tmp_path: Path, board: Board, assembly: str) -> SimpleNamespace:
    done = run(build(tmp_path, board, {"main.c": MAIN, "work.S": assembly}), board, parts=["work"])
    machine = next(
        profile
        for profile in device_profiles.load_all().values()
        if profile.emulator and profile.emulator.machine == board.machine
    )
    code = CodeMap([done.places], {"main": "glue"}, ["the layer"])
    return SimpleNamespace(profile=attribute(done.counts, code, machine), counts=done.counts)


def test_a_loop_of_known_length_is_counted_exactly(tmp_path: Path) -> None:
    result = counted(tmp_path, CORTEX_M4, LOOP)

    inside = 3 + 5 * (1 + 4 * 3 + 2) + 1
    assert result.profile.by("function")[("work",)] == 3 * inside
    assert result.profile.by("layer")[("the layer",)] == 3 * inside
    # Around it main sets its argument, calls it, and calls the end marker.
    assert result.counts.windows == (inside + 3,) * 3
    assert result.profile.by("layer")[("glue",)] == 3 * 3
    assert result.profile.smallest == result.profile.largest == result.counts.windows[0]


def test_taken_branches_are_counted_exactly(tmp_path: Path) -> None:
    counts = counted(tmp_path, CORTEX_M4, LOOP).counts

    in_work = [(c.executed, c.left) for c in counts.instructions if c.left and c.part == 1]
    assert (3 * 20, 3 * 15) in in_work
    assert (3 * 5, 3 * 4) in in_work


def test_cycles_of_a_loop_of_known_length(tmp_path: Path) -> None:
    profile = counted(tmp_path, CORTEX_M4, LOOP).profile

    work = [cell.cycles for cell in profile.cells if cell.function == "work"]
    taken = 3 * (15 + 4 + 1)  # and the return
    assert sum(span.low for span in work) == pytest.approx(3 * 79 + taken)
    assert sum(span.high for span in work) == pytest.approx(3 * (79 + 3) + 3 * taken)
    assert profile.cycles.low < profile.cycles.value < profile.cycles.high


def test_helium_is_counted_and_classified(tmp_path: Path) -> None:
    profile = counted(tmp_path, CORTEX_M55, HELIUM).profile

    kinds = {
        kind: executed
        for (function, kind), executed in profile.by("function", "kind").items()
        if function == "work"
    }
    assert kinds == {
        C.VECTOR_LOAD: 21,
        C.VECTOR_MULTIPLY_ACCUMULATE: 21,
        C.BRANCH: 21,
        C.ALU: 9,
        C.LOAD_MULTIPLE: 3,
        C.STORE_MULTIPLE: 3,
    }


def test_the_flame_graph_shows_every_function(tmp_path: Path) -> None:
    svg = flame_svg(counted(tmp_path, CORTEX_M4, LOOP).profile, "a <loop>")

    assert "a &lt;loop&gt;" in svg
    assert f"work: {3 * 79} instructions" in svg


def test_a_path_with_a_comma_reaches_the_plugin(tmp_path: Path) -> None:
    folder = tmp_path / "a,b"
    folder.mkdir()

    elf = build(folder, CORTEX_M4, {"main.c": MAIN, "work.S": LOOP})

    assert len(run(elf, CORTEX_M4).counts.windows) == 3
    assert "a,,b" in plugin_arguments(folder / "counts.csv")[1]
