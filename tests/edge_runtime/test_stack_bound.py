"""The bound on the firmware's stacks: what it counts, what it refuses, and that boards keep it."""

from __future__ import annotations

import re
import shutil
import socket
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

import device_profiles
from edge_runtime.firmware import build
from edge_runtime.firmware.build import FOLDER, build_firmware, stack_bounds
from edge_runtime.firmware.stack_bound import CallGraph, StackBound, bounds
from edge_runtime.wire.image import Version
from jouleloop.elf import Elf
from jouleloop.errors import DeviceRefusedError, MachineError
from jouleloop.programs import spawn, stop, zig_command
from tests.edge_runtime.tiny_module import TinyModule

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.node.serial_device import SerialDevice
    from hil_tests.emulator import Emulator

pytestmark = pytest.mark.qemu

BOARDS = ("mps2-an385", "mps2-an386", "mps2-an505", "corstone-300", "stm32f405")
BOARD = device_profiles.load("mps2-an386")
START = """
#include <stdint.h>
#define NOINLINE __attribute__((noinline))
#define USE(bytes) char used[bytes]; __asm__ volatile("" : : "r"(used) : "memory")
NOINLINE static void leaf(void) { USE(100); }
"""
PAINT = 0x57AC4B1D  # jl_stack.h
ALIGNMENT_BYTES = 12  # what a frame on 16 bytes can lose above one on 4


def graph(folder: Path, code: str, **stacks: int) -> CallGraph:
    """The calls of a small program."""
    (folder / "main.c").write_text(START + code)
    command = zig_command(
        "cc",
        *BOARD.core.zig_cc_target,
        *("-Os", "-g", "-ffreestanding", "-nostdlib", build.STACK_FLAG, "-Wl,--entry=run"),
        *("main.c", "-o", "main.elf"),
    )
    subprocess.run(command, cwd=folder, check=True)
    return CallGraph(Elf((folder / "main.elf").read_bytes()), **stacks)


def deepest(calls: CallGraph) -> tuple[int, list[str]]:
    size, chain = calls.deepest(calls.find("run"))
    return size, [name for name, _ in chain]


def test_the_deepest_of_several_chains_counts(tmp_path: Path) -> None:
    code = """
    NOINLINE static void deep(void) { USE(200); leaf(); __asm__ volatile("" : : "r"(used)); }
    NOINLINE static void flat(void) { USE(250); }
    void run(void) { flat(); deep(); flat(); }
    """
    size, chain = deepest(graph(tmp_path, code))
    assert chain == ["run", "deep", "leaf"]
    # Two arrays, and a few saved registers in each of three functions.
    assert 300 < size <= 300 + 3 * 24


def test_a_call_through_a_register_and_one_in_the_last_place_count(tmp_path: Path) -> None:
    code = """
    NOINLINE static void last(void) { USE(300); }
    void run(int n) {
        void (*volatile held)(void) = leaf;
        held();
        if (n) { leaf(); leaf(); leaf(); leaf(); }
        last();
    }
    """
    _, chain = deepest(graph(tmp_path, code))
    assert chain == ["run", "last"]


def test_a_call_through_the_board_may_be_any_of_its_functions(tmp_path: Path) -> None:
    code = """
    NOINLINE static void shallow(void) { __asm__ volatile(""); }
    struct board { uint32_t size; void (*one)(void); void (*other)(void); };
    const struct board my_board = {7, shallow, leaf};
    const struct board *volatile known = &my_board;
    void run(void) { known->one(); __asm__ volatile(""); }
    """
    assert deepest(graph(tmp_path, code))[1] == ["run", "leaf"]


def test_the_model_and_the_boot_loader_s_service_have_their_share(tmp_path: Path) -> None:
    code = """
    NOINLINE void jl_infer_begin(void) { __asm__ volatile(""); }
    NOINLINE void model(void (*code)(void)) { jl_infer_begin(); code(); __asm__ volatile(""); }
    NOINLINE void mps2_verify_signature(void (*service)(void)) { service(); }
    void run(void (*code)(void)) { model(code); mps2_verify_signature(code); }
    """
    size, chain = deepest(graph(tmp_path, code, model_bytes=5000, service_bytes=4000))
    assert chain == ["run", "model", "the model's code"]
    assert 5000 < size < 5100
    size, chain = deepest(graph(tmp_path, code, model_bytes=3000, service_bytes=4000))
    assert chain == ["run", "mps2_verify_signature", "jl_ed25519_verify"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (
            "int run(int n) { return n > 1 ? run(n - 1) * run(n - 2) : 1; }",
            "recursion has no bound: run -> run",
        ),
        (
            "int odd(int n); NOINLINE int even(int n) { return n ? 3 * odd(n - 1) : 1; }"
            "NOINLINE int odd(int n) { return n ? 5 * even(n - 1) : 0; }"
            "int run(int n) { return even(n) + 1; }",
            "recursion has no bound: even -> odd -> even",
        ),
        (
            "void run(unsigned n) { USE(n); leaf(); }",
            "run .*: its stack has no bound",
        ),
    ],
)
def test_a_stack_without_a_bound_is_refused(code: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=reason):
        deepest(graph(tmp_path, code))


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_reserves_what_its_programs_can_take(board: str) -> None:
    profile = device_profiles.load(board)
    built = build_firmware(profile)
    bounds = stack_bounds(profile, built)
    for bound in bounds.values():
        assert 0 < bound.exceptions_bytes < bound.calls_bytes < bound.total_bytes
        assert bound.total_bytes <= bound.reserved_bytes
    assert bounds["firmware"].chain[-1] == ("the model's code", 12 * 1024)
    elfs = [built.start]
    if "boot" in bounds:
        # A signature; what lies below are parts of Zig's standard library.
        assert "jl_ed25519_verify" in dict(bounds["boot"].chain)
        elfs.append(built.elf(0))
    for elf in elfs:
        functions = CallGraph(Elf(elf.read_bytes())).functions.values()
        compiled = [f for f in functions if f.compiler_bytes is not None]
        assert len(compiled) > 20
        for function in compiled:
            # Two ways to the same figure: the compiler's word, and the code that it made.
            extra = function.pushed_bytes - (function.compiler_bytes or 0)
            assert extra in (0, ALIGNMENT_BYTES), function


def test_no_stack_gets_deeper_than_its_bound(emulator: Emulator, device: SerialDevice) -> None:
    module = TinyModule(size=64, rows=2)
    device.reset()
    device.upload_model(module.image(Version(8, 0, 1)))
    device.infer(bytes(64))
    device.self_test()
    altered = bytearray(module.image(Version(8, 0, 2)))
    altered[-1] ^= 1  # of its signature
    with pytest.raises(DeviceRefusedError):
        device.upload_as_is(bytes(altered))
    stack = device.stack()
    programs = (emulator.firmware.start.read_bytes(), emulator.firmware.elf(0).read_bytes())
    bound = bounds(*programs, has_fpu=True, model_bytes=module.stack_bytes)["firmware"]
    assert stack.reserved_bytes == bound.reserved_bytes
    # Close below it: a signature's verification is the deepest chain, and it happened.
    assert 0.8 * bound.calls_bytes < stack.used_bytes <= bound.total_bytes


def test_the_boot_loader_s_stack_gets_no_deeper_than_its_bound(tmp_path: Path) -> None:
    built = build_firmware(BOARD)
    flash = bytearray(b"\xff" * 2**24)
    for slot, offset in enumerate((0xC00000, 0xE00000)):
        image = bytearray(built.image(slot))
        image[-1] ^= 1  # of its signature: the hash is right, so that the signature is verified
        flash[offset : offset + len(image)] = image
    stack = _stack_after(built.start, flash, b"no slot holds firmware", tmp_path)
    words = [word for (word,) in struct.iter_unpack("<I", stack)]
    painted = next(k for k, word in enumerate(words) if word != PAINT)
    bound = stack_bounds(BOARD, built)["boot"]
    assert len(stack) == bound.reserved_bytes
    assert 0.8 * bound.calls_bytes < len(stack) - 4 * painted <= bound.total_bytes


def _stack_after(boot: Path, flash: bytes | bytearray, said: bytes, folder: Path) -> bytes:
    """The stack of a board that starts on a flash, once it said something on its line."""
    (folder / "flash.bin").write_bytes(flash)
    memory = f"memory-backend-file,id=flash,size=16M,share=on,mem-path={folder}/flash.bin"
    command = [
        *("qemu-system-arm", "-machine", "mps2-an386,memory-backend=flash", "-object", memory),
        *("-kernel", str(boot), "-icount", "shift=0", "-display", "none"),
        *("-serial", "stdio", "-monitor", f"unix:{folder}/monitor,server=on,wait=off"),
    ]
    elf = Elf(boot.read_bytes())
    bottom, top = (elf.labels[f"link_stack_{end}"] for end in ("start", "top"))
    dump = folder / "stack.bin"
    process = spawn(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert said in process.stdout.readline()
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(f"{folder}/monitor")
            monitor.sendall(f'pmemsave {bottom:#x} {top - bottom} "{dump}"\nquit\n'.encode())
            process.wait(20)
    finally:
        stop(process)
    return dump.read_bytes()


def test_an_overflow_is_an_error_that_shows_the_way_there() -> None:
    bound = StackBound(900, 200, 1000, (("run", 300), ("leaf", 600)))
    with pytest.raises(MachineError, match=r"can take 1100 bytes.*reserves 1000") as error:
        bound.check("firmware on a board")
    assert "run 300 -> leaf 600" in error.value.hint


def test_firmware_whose_stack_could_overflow_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "firmware"
    shutil.copytree(FOLDER, copy)
    monkeypatch.setattr(build, "FOLDER", copy)
    script = copy / "port/cortex_m/sections.ld"
    script.write_text(script.read_text().replace("= 16K", "= 12K"))
    with pytest.raises(MachineError, match="stack of firmware on mps2-an386 can take"):
        build_firmware(BOARD)


def test_no_struct_but_the_board_s_points_to_functions() -> None:
    """What `stack_bound.py` takes for granted of calls through pointers."""
    pointer = re.compile(r"\(\*\s*\w+\)\(|\bjl_infer \*|\bjl_verify_signature_function \*")
    found = {
        path.relative_to(FOLDER).as_posix()
        for folder in ("include", "src", "boot")
        for path in sorted((FOLDER / folder).glob("*.[ch]"))
        if pointer.search(path.read_text("utf-8"))
    }
    # The board's struct; the services behind the boot loader's vectors; the model's entry.
    assert found == {"include/jl_port.h", "include/jl_services.h", "include/jl_model.h"}
