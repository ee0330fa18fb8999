"""The firmware on the emulated Cortex-M4F, driven over its serial port."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
import serial

import device_profiles
from device_profiles.core import Isa, KernelClass
from edge_runtime.node import serial_device
from edge_runtime.node.device_records import Decision
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire import smp
from edge_runtime.wire.image import TLV_SHA256, Target, Version, parse_image
from edge_runtime.wire.module import Ceiling, profile_crc32
from edge_runtime.wire.smp import ImageError, NodeError, ProtocolError
from hil_tests.emulator import Emulator
from jouleloop.errors import DeviceRefusedError, DeviceTimeoutError, InputError
from tests.edge_runtime.tiny_module import FAIL, TRAP, TinyModule, step
from tests.keys import KEY, STRANGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.qemu

# Runs for 10 million rounds times the input.
LOOP = """
for (uint32_t i = 0; i < 10000000u * (uint32_t)in[0]; i++) __asm__ volatile("");
return 0;
"""

DSP = int(KernelClass.DSP)
M4 = int(Isa.THUMB2 | Isa.DSP)


def _rows(count: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.int8]]:
    rows = np.random.default_rng(5).integers(-128, 128, (count, size), np.int8)
    rows[0], rows[1] = 127, -128
    return rows


def test_echo_and_parameters(device: SerialDevice) -> None:
    assert device.echo("") == ""
    assert device.echo("Größe ∞") == "Größe ∞"
    # The longest text that a message of buf_size - 4 bytes can carry comes back whole.
    parameters = device.parameters()
    assert parameters.buffer_bytes >= smp.MIN_BUFFER_BYTES
    assert parameters.buffers >= 1
    longest = "x" * (parameters.buffer_bytes - 4 - smp.HEADER_BYTES - 6)
    assert device.echo(longest) == longest


@pytest.mark.parametrize("size", [1, 4, 33, 3000])
def test_inference_is_exact(device: SerialDevice, size: int) -> None:
    # 3000 bytes do not fit into a message: input and output travel in pieces.
    device.upload_model(TinyModule(size=size).image())
    for row in _rows(4, size):
        inference = device.infer(row.tobytes())
        assert inference.output == step(row).tobytes()
        assert inference.ticks > 0


def test_ticks_are_repeatable(device: SerialDevice) -> None:
    device.upload_model(TinyModule(size=64).image())
    ticks = [device.infer(bytes(64)).ticks for _ in range(5)]
    # The emulator counts instructions, so only the phase of the clock differs.
    assert max(ticks) - min(ticks) <= 1


def test_upload_shows_progress_and_state(device: SerialDevice) -> None:
    image = TinyModule(size=2000, rows=2).image(Version(3, 1, 4, 15))
    steps: list[tuple[int, int]] = []
    device.upload_model(image, progress=lambda done, total: steps.append((done, total)))
    assert steps[0] == (0, len(image))
    assert steps[-1] == (len(image), len(image))
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    active = device.active_model()
    assert active is not None
    assert active.sha256 == parse_image(image).sha256
    assert active.version == "3.1.4.15"


def test_two_slots_take_turns(device: SerialDevice) -> None:
    slots = []
    for version in (1, 2, 3):
        device.upload_model(TinyModule().image(Version(version)))
        active = device.active_model()
        assert active is not None
        slots.append(active.slot)
    assert slots[0] == slots[2] != slots[1]
    models = [state for state in device.image_state() if state.image == smp.IMAGE_MODEL]
    assert {state.version for state in models} == {"2.0.0", "3.0.0"}
    assert [state.is_active for state in models].count(True) == 1


GOOD = TinyModule(size=8)
CRC = profile_crc32("mps2-an386")


# From the end, where the SHA-256 begins: behind it lie key hash and signature.
HASH_AT = -(32 + 4 + 32 + 4 + 64)


def _altered(image: bytes, at: int) -> bytes:
    altered = bytearray(image)
    altered[at] ^= 1
    return bytes(altered)


# What is wrong -> (how the image is made, what the device says). Functions, because compiling
# belongs into the test.
REFUSED: dict[str, tuple[Callable[[], bytes], smp.ErrorCode]] = {
    "no image": (lambda: bytes(64), ImageError.INVALID_MAGIC),
    "no header": (lambda: GOOD.image()[:20], ImageError.INVALID_HEADER),
    "cut in the payload": (lambda: GOOD.image()[:150], ImageError.NO_TLVS),
    "cut in the signature": (lambda: GOOD.image()[:-1], NodeError.SIGNATURE_WRONG),
    "altered payload": (lambda: _altered(GOOD.image(), 60), NodeError.HASH_MISMATCH),
    "altered hash": (lambda: _altered(GOOD.image(), HASH_AT), NodeError.HASH_MISMATCH),
    "altered signature": (lambda: _altered(GOOD.image(), -1), NodeError.SIGNATURE_WRONG),
    "unsigned": (lambda: GOOD.image(signing_key=None), NodeError.UNSIGNED),
    "another key": (lambda: GOOD.image(signing_key=STRANGER), NodeError.KEY_UNTRUSTED),
    "another key under the name of ours": (
        lambda: GOOD.image(signing_key=STRANGER).replace(
            STRANGER.public.key_hash, KEY.public.key_hash
        ),
        NodeError.SIGNATURE_WRONG,
    ),
    "target: core": (
        lambda: GOOD.image(target=Target(int(KernelClass.MVE), M4)),
        NodeError.WRONG_CORE,
    ),
    "target: newer ABI": (
        lambda: GOOD.image(target=Target(DSP, M4, abi_version=3)),
        NodeError.ABI_UNSUPPORTED,
    ),
    "target: class": (
        lambda: GOOD.image(target=Target(DSP, M4, profile_class=9)),
        NodeError.NO_TARGET,
    ),
    "target: Helium": (
        lambda: GOOD.image(target=Target(DSP, int(Isa.MVE_INTEGER))),
        NodeError.ISA_MISSING,
    ),
    "core": (
        lambda: TinyModule(kernel_class=KernelClass.SCALAR).image(),
        NodeError.WRONG_CORE,
    ),
    "Helium": (lambda: TinyModule(isa=Isa.MVE_INTEGER).image(), NodeError.ISA_MISSING),
    "newer ABI": (lambda: TinyModule(abi_version=3).image(), NodeError.ABI_UNSUPPORTED),
    "arena": (lambda: TinyModule(arena_bytes=4 * 2**20).image(), NodeError.ARENA_TOO_LARGE),
    "arena of 32 bits": (
        lambda: TinyModule(arena_bytes=2**32 - 1).image(),
        NodeError.ARENA_TOO_LARGE,
    ),
    "stack": (lambda: TinyModule(stack_bytes=2**20).image(), NodeError.STACK_TOO_LARGE),
    "self-test": (lambda: TinyModule(wrong_rows=True).image(), NodeError.SELF_TEST_DIFFERS),
    "too slow": (
        lambda: TinyModule(size=2000, ceilings=(Ceiling(CRC, 1, 0),)).image(),
        NodeError.SELF_TEST_TOO_SLOW,
    ),
    "code fails": (lambda: TinyModule(body=FAIL).image(), NodeError.INFERENCE_FAILED),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_model_is_refused_and_the_old_one_serves(
    device: SerialDevice, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    old = TinyModule(size=6).image(Version(7))
    device.upload_model(old)
    make, code = REFUSED[name]
    image = make()
    # The host's own check is in the way of what the device must refuse by itself.
    monkeypatch.setattr(serial_device, "parse_image", lambda _: parse_image(old))
    with pytest.raises(DeviceRefusedError) as refused:
        device.upload_model(image)
    assert refused.value.code == code
    assert code.explanation in refused.value.message
    active = device.active_model()
    assert active is not None
    assert active.sha256 == parse_image(old).sha256
    row = np.arange(6, dtype=np.int8)
    assert device.infer(row.tobytes()).output == step(row).tobytes()
    # What was refused is gone: it is no spare model either.
    assert "1.2.3" not in {state.version for state in device.image_state()}


@pytest.mark.parametrize(
    "ceiling", [Ceiling(CRC, 0, 0), Ceiling(CRC ^ 1, 1, 0), Ceiling(CRC, 9**8, 9**9)]
)
def test_a_ceiling_of_another_profile_or_none_does_not_count(
    device: SerialDevice, ceiling: Ceiling
) -> None:
    image = TinyModule(size=2000, ceilings=(ceiling,)).image()
    device.upload_model(image)
    active = device.active_model()
    assert active is not None
    assert active.sha256 == parse_image(image).sha256


def test_code_that_faults_restarts_the_board_with_the_old_model(
    device: SerialDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = TinyModule(size=5).image(Version(1, 1, 1))
    device.upload_model(old)
    boot_id = device.ledger().boot_id
    monkeypatch.setattr(serial_device, "ACTIVATION_DEADLINE_S", 1.0)
    with pytest.raises(DeviceTimeoutError):
        device.upload_model(TinyModule(body=TRAP).image())
    active = device.active_model()
    assert active is not None
    assert active.sha256 == parse_image(old).sha256
    assert device.ledger().boot_id == boot_id + 1
    # It is not kept: no later start may run it.
    assert "1.2.3" not in {state.version for state in device.image_state()}


def test_a_model_that_hangs_restarts_the_board(
    device: SerialDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = TinyModule(body=LOOP, size=1, rows=0).image()
    device.upload_model(image)
    device.confirm_model(parse_image(image).sha256)
    boot_id = device.ledger().boot_id
    # No answer comes: the watchdog ends this inference after 4 s of the board's time.
    monkeypatch.setattr(serial_device, "INFERENCE_DEADLINE_S", 0.5)
    with pytest.raises(DeviceTimeoutError):
        device.infer(bytes([127]))
    monkeypatch.setattr(serial_device, "START_DEADLINE_S", 60.0)
    device.wait_until_up()
    assert device.ledger().boot_id == boot_id + 1
    assert device.infer(bytes([1])).ticks > 0


def test_a_start_verifies_no_more_than_it_serves(device: SerialDevice) -> None:
    """A node that wakes often pays for one signature of 2.9 million instructions, not for four."""
    for version in (1, 2):
        image = TinyModule(size=8).image(Version(version))
        device.upload_model(image)
        device.confirm_model(parse_image(image).sha256)
    device.reset()
    ledger = device.ledger()
    instructions = 1e9 / ledger.ticks_hz * ledger.wake_ticks
    # 4.8 million, and up to a million more for what earlier tests left in the outbox; a second
    # signature would bring 2.9 million.
    assert 2.9e6 < instructions < 7e6
    # Whoever asks what lies in the slots has all of it verified.
    models = [state.version for state in device.image_state() if state.image == smp.IMAGE_MODEL]
    assert sorted(models) == ["1.0.0", "2.0.0"]


def test_wrong_input_sizes_are_refused(device: SerialDevice) -> None:
    device.upload_model(TinyModule(size=8).image())
    for bad in (b"", bytes(7), bytes(9), bytes(2000)):
        with pytest.raises(DeviceRefusedError) as refused:
            device.infer(bad)
        assert refused.value.code == NodeError.INPUT_SIZE
    assert device.infer(bytes(8)).output == b"\1" * 8


def test_ledger_accounts_for_every_tick(device: SerialDevice) -> None:
    device.upload_model(TinyModule(size=500).image())
    before = device.ledger()
    sent, received = device.bytes_sent, device.bytes_received
    ticks = sum(device.infer(bytes(500)).ticks for _ in range(3))
    bytes_in, bytes_out = device.bytes_sent - sent, device.bytes_received - received
    after = device.ledger()
    assert after.decisions == before.decisions + 3
    # Reading the clock on both sides of the model takes a tick or two.
    assert ticks <= after.run_ticks - before.run_ticks <= ticks + 3 * 5
    assert after.ticks_hz == 25_000_000
    assert after.boot_id == before.boot_id
    # The request for `after` is counted, its answer is not; the answer to `before` is.
    assert after.bytes_in - before.bytes_in >= bytes_in
    assert after.bytes_out - before.bytes_out >= bytes_out
    assert (
        min(
            after.wake_ticks - before.wake_ticks,
            after.link_ticks - before.link_ticks,
            after.sleep_ticks - before.sleep_ticks,
        )
        > 0
    )


def test_decisions_wait_until_they_are_acknowledged(device: SerialDevice) -> None:
    image = TinyModule(size=8).image()
    device.upload_model(image)
    device.confirm_model(parse_image(image).sha256)
    device.acknowledge(device.outbox().next - 1)
    inferences = [device.infer(bytes([value] * 8)) for value in range(20)]
    kept: list[Decision] = []
    while found := device.outbox(kept[-1].sequence + 1 if kept else 0).decisions:
        kept += found
    assert [decision.sequence for decision in kept] == [i.sequence for i in inferences]
    assert [decision.output for decision in kept] == [i.output for i in inferences]
    assert [decision.run_ticks for decision in kept] == [i.ticks for i in inferences]
    assert {decision.boot_id for decision in kept} == {device.ledger().boot_id}
    device.reset()
    assert device.outbox().decisions == tuple(kept[: len(device.outbox().decisions)])
    left = device.acknowledge(kept[-1].sequence)
    assert left.first == left.next == kept[-1].sequence + 1
    device.set_report_every(0)
    assert device.infer(bytes(8)).sequence is None
    device.set_report_every(1)
    assert device.report_every() == 1


def test_the_clock_counts_on_past_24_bits(device: SerialDevice) -> None:
    # SysTick wraps after 2**24 ticks: the long run passes it, the short one does not.
    device.upload_model(TinyModule(body=LOOP, size=1, rows=0).image())
    short, long = (device.infer(bytes([count])).ticks for count in (8, 24))
    assert short < 2**24 < long
    assert long == pytest.approx(3 * short, rel=1e-5)


def test_sleep_is_counted_in_full(device: SerialDevice) -> None:
    before, start_s = device.ledger(), time.monotonic()
    time.sleep(1.0)  # longer than SysTick's round of 0.67 s
    after, end_s = device.ledger(), time.monotonic()
    slept_s = (after.sleep_ticks - before.sleep_ticks) / after.ticks_hz
    assert slept_s == pytest.approx(end_s - start_s, rel=0.1)


def test_garbage_is_ignored(device: SerialDevice, emulator: Emulator) -> None:
    frame = smp.encode_lines(smp.Header(2, 0, 0, 1, 6).pack() + b"\xa1ad\x62hi")
    garbage = (
        bytes(range(256)) * 3,
        b"\x06\x09" + b"A" * 5000,  # a line that never ends
        b"\x06\x09////AAAA\n",  # 65535 bytes announced
        frame[:-9],  # half a frame, and then nothing
        b"\x04\x14AAAA\n" * 3,
        frame[:12] + b"!" + frame[12:],
    )
    with serial.Serial(emulator.port) as line:
        for bad in garbage:
            line.write(bad)
            assert device.echo("still there") == "still there"


def test_a_client_that_never_reads_does_not_stop_the_board(emulator: Emulator) -> None:
    payload = b"\xa1ad\x79\x03\x00" + b"x" * 768
    request = smp.encode_lines(smp.Header(2, 0, 0, 1, len(payload)).pack() + payload)
    with serial.Serial(emulator.port, write_timeout=5) as line:
        for _ in range(12):
            line.write(request)
    with SerialDevice(emulator.port) as device:
        assert device.echo("next client") == "next client"


def test_unknown_commands_and_versions(emulator: Emulator) -> None:
    def ask(first: int, group: int, command: int, body: bytes = b"\xa0") -> bytes:
        header = bytes([first, 0, 0, len(body), group >> 8, group & 255, 77, command])
        with serial.Serial(emulator.port, timeout=5) as line:
            line.reset_input_buffer()
            line.write(smp.encode_lines(header + body))
            decoder = smp.LineDecoder()
            while not (found := list(decoder.feed(line.read(1)))):
                pass
        return found[0]

    not_supported = b"\xbfbrc" + bytes([ProtocolError.NOT_SUPPORTED]) + b"\xff"
    for first in (0x08, 0x0A, 0x00, 0x02):
        for group, command in ((0, 3), (1, 9), (64, 200), (2, 7), (3, 0), (65535, 0)):
            answer = ask(first, group, command)
            assert answer[0] == first + 1
            assert answer[4:8] == bytes([group >> 8, group & 255, 77, command])
            assert answer[8:] == not_supported
    assert ask(0x1A, 0, 0)[8:] == b"\xbfbrc" + bytes([ProtocolError.TOO_NEW]) + b"\xff"
    # The group's own code in version 2; a code that every client knows in version 1.
    erase = b"\xa1dslot\x07"
    assert ask(0x0A, 1, 5, erase)[8:] == b"\xbfcerr\xbfegroup\x01brc\x0e\xff\xff"
    assert ask(0x02, 1, 5, erase)[8:] == b"\xbfbrc\x03\xff"


def test_restart_on_the_same_flash(tmp_path: Path) -> None:
    board = device_profiles.load("mps2-an386")
    image = TinyModule(size=10).image(Version(4, 5, 6))
    flash = tmp_path / "flash.bin"
    row = np.arange(-5, 5, dtype=np.int8)
    with Emulator(board, flash) as emulator, SerialDevice(emulator.port) as device:
        assert device.active_model() is None
        with pytest.raises(DeviceRefusedError) as refused:
            device.infer(row.tobytes())
        assert refused.value.code == NodeError.NO_MODEL
        device.upload_model(image)
        assert device.ledger().boot_id == 1
        device.reset()
        assert device.infer(row.tobytes()).output == step(row).tobytes()
        assert device.ledger().boot_id == 2
        emulator.cut_power()
    with Emulator(board, flash) as emulator, SerialDevice(emulator.port) as device:
        active = device.active_model()
        assert active is not None
        assert active.sha256 == parse_image(image).sha256
        assert device.infer(row.tobytes()).output == step(row).tobytes()
        assert device.ledger().boot_id == 3


def test_a_broken_active_model_gives_way_to_the_other(tmp_path: Path) -> None:
    board = device_profiles.load("mps2-an386")
    flash = tmp_path / "flash.bin"
    with Emulator(board, flash) as emulator, SerialDevice(emulator.port) as device:
        device.upload_model(TinyModule().image(Version(1)))
        device.upload_model(TinyModule().image(Version(2)))
    content = bytearray(flash.read_bytes())
    sha256 = parse_image(TinyModule().image(Version(2))).sha256
    content[content.index(sha256)] ^= 1
    flash.write_bytes(content)
    with Emulator(board, flash) as emulator, SerialDevice(emulator.port) as device:
        active = device.active_model()
        assert active is not None
        assert active.version == "1.0.0"


def test_no_firmware_for_other_devices(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no firmware for raspberry-pi-5"):
        Emulator(device_profiles.load("raspberry-pi-5"), tmp_path / "flash.bin")


def test_the_image_names_its_hash() -> None:
    image = parse_image(TinyModule().image())
    assert image.unprotected[TLV_SHA256] == image.sha256
