"""`jouleloop board` and `jouleloop flash` as people run them."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from device_profiles.core import KernelClass
from edge_runtime.node.device_records import Trust
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.bundle import Bundle, native_name, write_bundle
from edge_runtime.wire.image import Version, parse_image
from edge_runtime.wire.keys import short_hash
from edge_runtime.wire.smp import NodeError
from fleet.flash import flash_over_smp
from jouleloop.errors import BundleError, DeviceRefusedError, LinkError
from tests.edge_runtime.tiny_module import TinyModule
from tests.keys import KEY, OTHER_KEY, STRANGER
from tests.processes import programs_with

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.qemu

TAG = "JOULELOOP_TEST_BOARD"


def _bundle(image: bytes, device: str = "mps2-an386") -> Bundle:
    files = {native_name(device): image} if image else {}
    return Bundle("tiny", device, "policy", "single", "test", (), (), {}, files)


def _jouleloop(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jouleloop", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


@contextmanager
def _board(*arguments: object, tag: str, cwd: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running `jouleloop board`, and the first text that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jouleloop", "board", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | {TAG: tag},
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        while said.startswith("{") and "}" not in said:
            said += process.stdout.readline()
        yield process, said
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_board_stays_up_until_it_is_told_to_end(tmp_path: Path, number: signal.Signals) -> None:
    flash = tmp_path / "flash.bin"
    arguments = ("mps2-an386", "--flash", flash, "--json")
    with _board(*arguments, tag=number.name, cwd=tmp_path) as (process, said):
        record = json.loads(said)
        assert record["device"] == "mps2-an386"
        assert record["flash"] == str(flash)
        with SerialDevice(record["port"]) as device:
            device.upload_model(TinyModule().image(Version(4)))
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=30)
        assert process.returncode == 128 + number
        assert stdout == ""
        assert "Traceback" not in stderr
    assert not programs_with(f"{TAG}={number.name}", names=["qemu-system-arm"])
    # The same file again: the model is still there.
    with _board("mps2-an386", "--flash", flash, tag="again", cwd=tmp_path) as (_, said):
        with SerialDevice(said.split()[-1]) as device:
            active = device.active_model()
        assert active is not None
        assert active.version == "4.0.0"


def test_a_board_without_a_flash_file_gets_one(tmp_path: Path) -> None:
    with _board("mps2-an386", tag="default", cwd=tmp_path) as (_, said):
        assert "mps2-an386 listens on /dev/" in said
        assert (tmp_path / "out/boards/mps2-an386.flash").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mps2-an38",), "mps2-an386"),
        (("raspberry-pi-5",), "no firmware for raspberry-pi-5"),
        (("mps2-an386", "--flash", "missing/folder/flash.bin"), "missing/folder/flash.bin"),
    ],
)
def test_a_board_that_cannot_start(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    done = _jouleloop("board", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stdout == ""


def test_flash_a_bundle(tmp_path: Path) -> None:
    image = TinyModule(size=7).image(Version(1, 2, 3))
    path = tmp_path / "tiny.jlb"
    write_bundle(_bundle(image), path)
    arguments = ("mps2-an386", "--flash", tmp_path / "flash.bin", "--json")
    with _board(*arguments, tag="flash", cwd=tmp_path) as (_, said):
        port = json.loads(said)["port"]
        done = _jouleloop("flash", path, "--port", port, "--json")
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        assert record["image_sha256"] == parse_image(image).sha256.hex()
        assert record["image_bytes"] == len(image) < record["link_bytes"]
        assert (record["name"], record["device"]) == ("tiny", "mps2-an386")
        assert (record["version"], record["port"]) == ("1.2.3", port)
        people = _jouleloop("flash", path, "--port", port)
        assert f"{port} serves tiny 1.2.3" in people.stdout

        # What the device refuses is said with its reason, and the old model goes on.
        module = TinyModule(wrong_rows=True)
        with pytest.raises(DeviceRefusedError, match="golden row"):
            flash_over_smp(_bundle(module.image()), port)
        other = dataclasses.replace(module, kernel_class=KernelClass.MVE)
        with pytest.raises(DeviceRefusedError, match="another class of cores"):
            flash_over_smp(_bundle(other.image()), port)
        with SerialDevice(port) as device:
            active = device.active_model()
            assert active is not None
            assert active.version == "1.2.3"
            assert active.is_confirmed
            assert device.trust() == Trust((KEY.public.key_hash,), 0, 0)


def test_a_board_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "stranger.pem").write_bytes(STRANGER.public.pem)
    path = tmp_path / "tiny.jlb"
    write_bundle(_bundle(TinyModule().image(Version(3), signing_key=OTHER_KEY)), path)
    arguments = ("mps2-an386", "--flash", tmp_path / "flash.bin", "--json")
    with _board(*arguments, "--trust", "stranger.pem", tag="trust", cwd=tmp_path) as (_, said):
        port = json.loads(said)["port"]
        image = TinyModule().image(Version(4), signing_key=STRANGER, security_counter=6)
        assert flash_over_smp(_bundle(image), port).version == "4.0.0"
        # The words name both sides, and what to do.
        done = _jouleloop("flash", path, "--port", port)
        assert done.returncode == 1
        for words in (
            NodeError.KEY_UNTRUSTED.explanation,
            f"signed by {short_hash(OTHER_KEY.public.key_hash)}",
            f"trusts {short_hash(KEY.public.key_hash)}, {short_hash(STRANGER.public.key_hash)}",
            "--trust",
        ):
            assert words in done.stderr
        with pytest.raises(DeviceRefusedError, match="the image's is 5, the device has reached 6"):
            flash_over_smp(_bundle(TinyModule().image(security_counter=5)), port)
        with SerialDevice(port) as device:
            active = device.active_model()
            assert active is not None
            assert active.version == "4.0.0"
            assert device.trust().model_counter == 6


def test_flash_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "tiny.jlb"
    write_bundle(_bundle(TinyModule().image()), path)
    done = _jouleloop("flash", path, "--port", "/dev/pts/no-such")
    assert done.returncode == 1
    assert "cannot open the serial port /dev/pts/no-such" in done.stderr
    missing = _jouleloop("flash", tmp_path / "missing.jlb", "--port", "/dev/null")
    assert missing.returncode == 1
    assert "no bundle at" in missing.stderr
    assert _jouleloop("flash", path).returncode == 2


def test_a_bundle_without_a_module_is_refused() -> None:
    with pytest.raises(BundleError, match="no module for a microcontroller") as error:
        flash_over_smp(_bundle(b"", "raspberry-pi-5"), "/dev/null")
    assert "jouleloop run" in error.value.hint
    with pytest.raises(BundleError, match="not an image"):
        flash_over_smp(_bundle(bytes(200)), "/dev/null")
    with pytest.raises(LinkError, match="/dev/null"):
        flash_over_smp(_bundle(TinyModule().image()), "/dev/null")
