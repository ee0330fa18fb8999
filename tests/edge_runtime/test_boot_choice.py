"""What the boot loader starts in every state of slots and record, under sanitizers."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from device_profiles.core import KernelClass
from edge_runtime.firmware.build import FOLDER, WARNINGS
from edge_runtime.firmware.trusted_keys import render_trusted_keys
from edge_runtime.wire.image import Target, Version, make_image
from edge_runtime.wire.keys import SigningKey
from edge_runtime.wire.smp import Group, ImageError, NodeError, ProtocolError
from jouleloop.programs import require_program
from tests.edge_runtime.host_board import SANITIZERS, build_shims
from tests.keys import KEY, STRANGER

pytestmark = pytest.mark.host_c

SOURCE = Path(__file__).with_name("boot_choice.c")
FLASH_BYTES, SLOT_BYTES, HOME = 1 << 18, 0x10000, 0x40000000
NO_SLOT = 2
HOST = Target.firmware(int(KernelClass.SCALAR), "host")


@dataclass(frozen=True)
class Said:
    slot: int
    status: int
    reason: int
    counter: int
    is_on_trial: bool


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boot")
    objects = build_shims(folder)
    (folder / "trusted_keys.c").write_text(render_trusted_keys([KEY.public]))
    names = ("src/firmware", "src/records", "src/image", "src/crc", "boot/choose")
    sources = [f"{FOLDER}/{name}.c" for name in names]
    flags = ["-std=c11", "-O1", "-g", *SANITIZERS, *WARNINGS]
    flags += [f"-I{FOLDER}/include", f"-I{FOLDER}/port"]
    gcc = [require_program("gcc"), *flags, str(SOURCE), *sources, "trusted_keys.c", *objects]
    subprocess.run([*gcc, "-o", "boot_choice"], cwd=folder, check=True)
    return folder / "boot_choice"


class Flash:
    def __init__(self, program: Path, path: Path) -> None:
        self._program, self._path = program, path
        path.write_bytes(b"\xff" * FLASH_BYTES)

    def put(
        self,
        slot: int,
        *,
        counter: int = 0,
        key: SigningKey | None = KEY,
        target: Target = HOST,
        home: int | None = None,
    ) -> None:
        image = make_image(
            bytes(range(200)),
            version=Version(1, slot),
            signing_key=key,
            security_counter=counter,
            target=target,
            header_bytes=512,
            load_address=HOME + (slot if home is None else home) * SLOT_BYTES + SLOT_BYTES,
        )
        self.write(slot, 0, image)

    def write(self, slot: int, at: int, content: bytes) -> None:
        with self._path.open("r+b") as file:
            file.seek((slot + 1) * SLOT_BYTES + at)
            file.write(content)

    def do(self, what: str) -> Said:
        done = subprocess.run(
            [self._program, self._path, what], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        slot, status, reason, counter, trial = map(int, done.stdout.split())
        return Said(slot, status, reason, counter, bool(trial))


@pytest.fixture
def flash(program: Path, tmp_path: Path) -> Flash:
    return Flash(program, tmp_path / "flash.bin")


def _node(code: NodeError) -> int:
    return int(Group.NODE) << 16 | int(code)


def _image(code: ImageError) -> int:
    return int(Group.IMAGE) << 16 | int(code)


def test_a_factory_board_starts_its_first_slot(flash: Flash) -> None:
    flash.put(0)
    assert flash.do("choose") == Said(0, 0, 0, 0, False)


def test_an_empty_board_starts_nothing(flash: Flash) -> None:
    assert flash.do("choose").slot == NO_SLOT


def test_a_trial_that_is_confirmed_stays_and_raises_the_counter(flash: Flash) -> None:
    flash.put(0, counter=3)
    flash.put(1, counter=5)
    assert flash.do("test").status == 0
    assert flash.do("choose") == Said(1, 0, 0, 0, True)
    assert flash.do("confirm").counter == 5
    assert flash.do("choose") == Said(1, 0, 0, 5, False)


def test_a_trial_starts_once(flash: Flash) -> None:
    flash.put(0)
    flash.put(1, counter=9)
    flash.do("test")
    assert flash.do("choose").slot == 1
    gone = Said(0, 0, _node(NodeError.NOT_CONFIRMED), 0, False)
    assert flash.do("choose") == gone
    assert flash.do("choose") == gone


@pytest.mark.parametrize(
    ("start", "reason"),
    [("choose-crashed", NodeError.TRIAL_CRASHED), ("choose-hung", NodeError.TRIAL_HUNG)],
)
def test_what_stopped_a_trial_is_its_reason(flash: Flash, start: str, reason: NodeError) -> None:
    flash.put(0)
    flash.put(1, counter=9)
    flash.do("test")
    # What ended the run before the trial has nothing to do with it.
    assert flash.do(start) == Said(1, 0, 0, 0, True)
    gone = Said(0, 0, _node(reason), 0, False)
    assert flash.do(start) == gone
    assert flash.do("choose") == gone


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda f: f.put(1, key=None), _node(NodeError.UNSIGNED)),
        (lambda f: f.put(1, key=STRANGER), _node(NodeError.KEY_UNTRUSTED)),
        (lambda f: f.write(1, 600, b"\0"), _node(NodeError.HASH_MISMATCH)),
        (lambda f: f.write(1, 0, b"\0"), _image(ImageError.INVALID_MAGIC)),
        (lambda f: f.put(1, home=0), _node(NodeError.WRONG_SLOT)),
        (lambda f: f.put(1, target=Target.firmware(1, "other")), _node(NodeError.WRONG_BOARD)),
        (lambda f: f.put(1, target=Target.firmware(2, "host")), _node(NodeError.WRONG_CORE)),
    ],
)
def test_a_trial_that_may_not_begin_leaves_the_old(flash: Flash, spoil, reason: int) -> None:  # type: ignore[no-untyped-def]  # one lambda per case
    flash.put(0)
    flash.put(1)
    flash.do("test")
    spoil(flash)
    assert flash.do("choose") == Said(0, 0, reason, 0, False)


def test_an_older_counter_is_refused_once_a_newer_was_confirmed(flash: Flash) -> None:
    flash.put(0, counter=4)
    flash.put(1, counter=5)
    for step in ("test", "choose", "confirm"):
        flash.do(step)
    flash.do("test")
    assert flash.do("choose") == Said(1, 0, _node(NodeError.COUNTER_OLDER), 5, False)


def test_a_broken_slot_falls_back_to_the_other(flash: Flash) -> None:
    flash.put(0)
    flash.put(1)
    flash.write(0, 700, b"\0\0")
    fallen = Said(1, 0, _node(NodeError.HASH_MISMATCH), 0, False)
    assert flash.do("choose") == fallen
    assert flash.do("choose") == fallen
    flash.write(1, 700, b"\0\0")
    assert flash.do("choose").slot == NO_SLOT


def test_the_way_back_is_kept_while_a_trial_runs(flash: Flash) -> None:
    flash.put(0)
    flash.put(1)
    flash.do("test")
    flash.do("choose")
    assert flash.do("erase").status == ProtocolError.BAD_STATE
    assert flash.do("test").status == ProtocolError.BAD_STATE
    assert flash.do("choose").slot == 0


def test_an_erased_slot_is_not_on_trial(flash: Flash) -> None:
    flash.put(0)
    flash.put(1)
    flash.do("test")
    assert flash.do("erase").status == 0
    assert flash.do("choose") == Said(0, 0, 0, 0, False)


def test_records_outlive_many_trials(flash: Flash) -> None:
    """More records than an erase block holds."""
    flash.put(0)
    flash.put(1)
    for _ in range(90):
        flash.do("test")
        assert flash.do("choose").slot == 1
        assert flash.do("choose").slot == 0
