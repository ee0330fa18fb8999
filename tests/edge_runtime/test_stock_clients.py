"""The stock smpmgr and smpclient, unchanged, against the firmware in QEMU."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from smp.error import MGMT_ERR
from smp.image_management import IMG_MGMT_ERR
from smpclient import SMPClient
from smpclient.exceptions import SMPUploadError
from smpclient.generics import error_v1, error_v2, success
from smpclient.requests.image_management import ImageErase, ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import EchoWrite, MCUMgrParametersRead, ResetWrite
from smpclient.transport.serial import SMPSerialTransport

from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.image import Target, Version, parse_image
from edge_runtime.wire.smp import NodeError
from tests.edge_runtime.imgtool import imgtool_sign
from tests.edge_runtime.tiny_module import TinyModule
from tests.keys import KEY, STRANGER

if TYPE_CHECKING:
    from hil_tests.emulator import Emulator

pytestmark = pytest.mark.qemu

SMPMGR = str(Path(sys.executable).with_name("smpmgr"))


def _smpmgr(emulator: Emulator, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [SMPMGR, "--port", emulator.port, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_smpmgr(emulator: Emulator, tmp_path: Path) -> None:
    echo = _smpmgr(emulator, "os", "echo", "hi")
    assert echo.returncode == 0
    assert "r='hi'" in echo.stdout
    path = tmp_path / "model.bin"
    image = TinyModule(size=40).image(Version(6, 5, 4))
    path.write_bytes(image)
    assert _smpmgr(emulator, "image", "upload", "--slot", "1", str(path)).returncode == 0
    state = _smpmgr(emulator, "image", "state-read")
    assert state.returncode == 0
    assert "version='6.5.4'" in state.stdout
    assert _smpmgr(emulator, "os", "reset").returncode == 0
    assert "version='6.5.4'" in _smpmgr(emulator, "image", "state-read").stdout
    # A model is no firmware.
    refused = _smpmgr(emulator, "image", "upload", "--slot", "0", str(path))
    assert refused.returncode != 0
    # The client names our code by what another group calls that number.
    assert f": {int(NodeError.WRONG_BOARD)}>" in refused.stdout + refused.stderr


def test_smpmgr_cannot_bring_in_what_nobody_trusts(emulator: Emulator, tmp_path: Path) -> None:
    good = tmp_path / "good.bin"
    good.write_bytes(TinyModule(size=40).image(Version(6, 5, 5)))
    assert _smpmgr(emulator, "image", "upload", "--slot", "1", str(good)).returncode == 0
    # Signed by the stock tool, with a key of its own.
    strange = tmp_path / "strange.bin"
    module = TinyModule(size=40)
    target = Target(int(module.machine.kernel_class), int(module.machine.isa)).pack().hex()
    strange.write_bytes(
        imgtool_sign(tmp_path, module.build(), STRANGER, counter=1, target_hex=target)
    )
    refused = _smpmgr(emulator, "image", "upload", "--slot", "1", str(strange))
    assert refused.returncode != 0
    # smpmgr takes every code for one of the group `IMAGE`; group and number are right.
    said = (refused.stdout + refused.stderr).replace(" ", "")
    assert ":64>" in said
    assert f":{int(NodeError.KEY_UNTRUSTED)}>" in said
    # And by a key that the board trusts.
    strange.write_bytes(imgtool_sign(tmp_path, module.build(), KEY, counter=0, target_hex=target))
    assert "version='6.5.5'" in _smpmgr(emulator, "image", "state-read").stdout
    assert _smpmgr(emulator, "image", "upload", "--slot", "1", str(strange)).returncode == 0
    assert "version='1.2.3.4'" in _smpmgr(emulator, "image", "state-read").stdout


def test_smpmgr_tries_a_model_and_confirms_it(emulator: Emulator, tmp_path: Path) -> None:
    old, new = (TinyModule(size=40).image(Version(7, minor)) for minor in range(2))
    path = tmp_path / "model.bin"
    path.write_bytes(old)
    sha256 = parse_image(new).sha256.hex()
    assert _smpmgr(emulator, "image", "upload", "--slot", "1", str(path)).returncode == 0
    path.write_bytes(new)
    assert _smpmgr(emulator, "image", "upload", "--slot", "1", str(path)).returncode == 0
    assert _serving(emulator) == {"7.1.0": False}
    assert _smpmgr(emulator, "os", "reset").returncode == 0
    assert _serving(emulator) == {"7.0.0": True}
    for options, is_confirmed in (((), False), (("--confirm",), True)):
        assert _smpmgr(emulator, "image", "state-write", sha256, *options).returncode == 0
        assert _serving(emulator) == {"7.1.0": is_confirmed}
    assert _smpmgr(emulator, "os", "reset").returncode == 0
    assert _serving(emulator) == {"7.1.0": True}


def _serving(emulator: Emulator) -> dict[str, bool]:
    """Version of the model that serves, and whether it is confirmed."""
    with SerialDevice(emulator.port) as device:
        device.wait_until_up()
        model = device.active_model()
    assert model is not None
    return {model.version: model.is_confirmed}


async def _drive(port: str, image: bytes, refused_images: dict[bytes, NodeError]) -> None:
    async with SMPClient(SMPSerialTransport(), port) as client:
        echo = await client.request(EchoWrite(d="Größe"))
        assert success(echo)
        assert echo.r == "Größe"
        parameters = await client.request(MCUMgrParametersRead())
        assert success(parameters)
        assert parameters.buf_size >= 1024

        offsets = [offset async for offset in client.upload(image, slot=1)]
        assert offsets == sorted(offsets)
        assert offsets[-1] == len(image)
        states = await client.request(ImageStatesRead())
        assert success(states)
        (active,) = [state for state in states.images if state.image == 1 and state.active]
        assert active.hash == parse_image(image).sha256
        assert active.version == "2.0.0"

        for bad, code in refused_images.items():
            with pytest.raises(SMPUploadError) as refused:
                _ = [offset async for offset in client.upload(bad, slot=1)]
            answer = refused.value.args[0]
            assert (answer.err.group, answer.err.rc) == (64, code)
            again = await client.request(ImageStatesRead())
            assert success(again)
            assert active.hash in [state.hash for state in again.images if state.active]

        # A model that serves is confirmed; the firmware that runs is not erased.
        write = await client.request(ImageStatesWrite(hash=active.hash, confirm=True))
        assert success(write)
        erase = await client.request(ImageErase(slot=0))
        assert error_v1(erase)
        assert erase.rc == MGMT_ERR.EBADSTATE
        invalid = await client.request(ImageErase(slot=9))
        assert error_v2(invalid)
        assert invalid.err.rc == IMG_MGMT_ERR.INVALID_SLOT
        assert success(await client.request(ResetWrite()))


def test_smpclient(emulator: Emulator) -> None:
    image = TinyModule(size=100, rows=9).image(Version(2))
    refused_images = {
        TinyModule(size=100, rows=9, wrong_rows=True).image(
            Version(3)
        ): NodeError.SELF_TEST_DIFFERS,
        TinyModule().image(signing_key=None): NodeError.UNSIGNED,
        TinyModule().image(signing_key=STRANGER): NodeError.KEY_UNTRUSTED,
        TinyModule().image()[:-64] + bytes(64): NodeError.SIGNATURE_WRONG,
    }
    asyncio.run(_drive(emulator.port, image, refused_images))


def test_an_upload_costs_little_more_than_base64(device: SerialDevice) -> None:
    # 64 KiB of module: the bytes on the wire, both ways, stay within 1.55 times that.
    size = 64 * 1024
    module = TinyModule(size=128, rows=size // 256 - 2)
    image = module.image()
    sent, received = device.bytes_sent, device.bytes_received
    device.upload_model(image)
    wire_bytes = device.bytes_sent + device.bytes_received - sent - received
    assert len(image) == pytest.approx(size, rel=0.01)
    assert wire_bytes <= 1.55 * len(image)
    active = device.active_model()
    assert active is not None
    assert active.sha256 == parse_image(image).sha256
    assert hashlib.sha256(image).digest() != active.sha256  # the image's own hash, not the file's
