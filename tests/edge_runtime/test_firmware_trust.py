"""Which images the firmware takes: keys and security counters, on this machine under sanitizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.wire import smp
from edge_runtime.wire.image import Version
from edge_runtime.wire.smp import Group, ImageCommand, NodeCommand, NodeError
from tests.edge_runtime.host_board import ERASE_BYTES, SLOT_BYTES, HostBoard
from tests.edge_runtime.imgtool import imgtool_sign
from tests.edge_runtime.tiny_module import HOST, TRAP, TinyModule, step
from tests.keys import KEY, OTHER_KEY, STRANGER

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.host_c

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE
MODULE = TinyModule(machine=HOST)


def _models(board: HostBoard) -> dict[str, bool]:
    """Version -> whether it serves."""
    images = board.ask(READ, Group.IMAGE, ImageCommand.STATE, {})["images"]
    return {i["version"]: i.get("active", False) for i in images if i["image"] == smp.IMAGE_MODEL}


def _counter(board: HostBoard) -> int:
    counter: int = board.ask(READ, Group.NODE, NodeCommand.KEYS, {})["model"]
    return counter


def _refusal(code: NodeError) -> dict[str, Any]:
    return {"err": {"group": int(Group.NODE), "rc": int(code)}}


def _serves(board: HostBoard) -> bool:
    row = np.arange(MODULE.size, dtype=np.int8)
    answer = board.ask(WRITE, Group.NODE, NodeCommand.INFER, {"in": row.tobytes()})
    return answer.get("out") == step(row).tobytes()


def test_the_board_says_whom_it_trusts(fresh_board: HostBoard) -> None:
    answer = fresh_board.ask(READ, Group.NODE, NodeCommand.KEYS, {})
    hashes = [KEY.public.key_hash, OTHER_KEY.public.key_hash]
    assert answer == {"keys": hashes, "firmware": 0, "model": 0}
    written = fresh_board.ask(WRITE, Group.NODE, NodeCommand.KEYS, {})
    assert written == {"rc": smp.ProtocolError.NOT_SUPPORTED}


def test_every_trusted_key_will_do(fresh_board: HostBoard, tmp_path: Path) -> None:
    fresh_board.upload(MODULE.image(Version(1), signing_key=KEY))
    fresh_board.upload(MODULE.image(Version(2), signing_key=OTHER_KEY))
    assert _models(fresh_board) == {"1.0.0": False, "2.0.0": True}
    # imgtool's own image of the same module; its version is 1.2.3+4.
    own = imgtool_sign(tmp_path, MODULE.build(), KEY, counter=0, target_hex="0101010000000000")
    assert fresh_board.upload(own)["off"] == len(own)
    fresh_board.choose(own, confirm=True)
    fresh_board.restart()
    assert _models(fresh_board) == {"1.2.3.4": True, "2.0.0": False}
    assert _serves(fresh_board)


def test_what_is_not_signed_by_a_trusted_key_never_serves(fresh_board: HostBoard) -> None:
    fresh_board.upload(MODULE.image(Version(1)))
    for image, code in (
        (MODULE.image(Version(2), signing_key=None), NodeError.UNSIGNED),
        (MODULE.image(Version(2), signing_key=STRANGER), NodeError.KEY_UNTRUSTED),
        (
            MODULE.image(Version(2), signing_key=STRANGER).replace(
                STRANGER.public.key_hash, KEY.public.key_hash
            ),
            NodeError.SIGNATURE_WRONG,
        ),
    ):
        assert fresh_board.upload(image) == _refusal(code)
        assert _models(fresh_board) == {"1.0.0": True}
        assert _serves(fresh_board)
        fresh_board.restart()
        assert _models(fresh_board) == {"1.0.0": True}


def test_the_counter_rises_when_a_model_is_confirmed_and_never_falls(
    fresh_board: HostBoard,
) -> None:
    steps = ((3, True), (3, True), (2, False), (7, True), (6, False), (0, False), (7, True))
    reached = 0
    for number, (counter, is_taken) in enumerate(steps):
        image = MODULE.image(Version(1, number), security_counter=counter)
        answer = fresh_board.upload(image)
        if is_taken:
            assert "off" in answer
            # The first has nothing to go back to; the others are on trial.
            assert _counter(fresh_board) == (reached or counter)
            assert "images" in fresh_board.choose(image, confirm=True)
            reached = counter
        else:
            assert answer == _refusal(NodeError.COUNTER_OLDER)
        assert _serves(fresh_board)
        assert _counter(fresh_board) == reached
        fresh_board.restart()
        assert _counter(fresh_board) == reached
        assert _serves(fresh_board)


def test_a_model_that_failed_its_self_test_leaves_the_counter(fresh_board: HostBoard) -> None:
    fresh_board.upload(MODULE.image(Version(1), security_counter=1))
    bad = TinyModule(machine=HOST, wrong_rows=True).image(Version(2), security_counter=9)
    assert fresh_board.upload(bad) == _refusal(NodeError.SELF_TEST_DIFFERS)
    assert _counter(fresh_board) == 1
    assert "off" in fresh_board.upload(MODULE.image(Version(3), security_counter=1))


def test_a_withdrawn_model_does_not_come_back(fresh_board: HostBoard) -> None:
    """The serving slot is destroyed; the other holds an image with a lower counter."""
    fresh_board.upload(MODULE.image(Version(1), security_counter=1))
    image = MODULE.image(Version(2), security_counter=2)
    fresh_board.upload(image)
    assert _models(fresh_board) == {"1.0.0": False, "2.0.0": True}
    fresh_board.choose(image, confirm=True)
    # What can never serve again is not listed.
    assert _models(fresh_board) == {"2.0.0": True}
    fresh_board.stop()
    flash = bytearray(fresh_board.flash.read_bytes())
    slot_1 = 2 * SLOT_BYTES
    flash[slot_1 : slot_1 + ERASE_BYTES] = b"\xff" * ERASE_BYTES
    fresh_board.flash.write_bytes(flash)
    fresh_board.start()
    assert _models(fresh_board) == {}
    assert not _serves(fresh_board)
    assert "off" in fresh_board.upload(MODULE.image(Version(3), security_counter=2))
    assert _serves(fresh_board)


def test_altered_flash_does_not_serve(fresh_board: HostBoard) -> None:
    """A signature is verified at every start, not only when the model came."""
    fresh_board.upload(MODULE.image(Version(1)))
    fresh_board.stop()
    flash = bytearray(fresh_board.flash.read_bytes())
    forged = MODULE.image(Version(1), signing_key=STRANGER)
    flash[SLOT_BYTES : SLOT_BYTES + len(forged)] = forged
    fresh_board.flash.write_bytes(flash)
    fresh_board.start()
    assert _models(fresh_board) == {}
    assert not _serves(fresh_board)


def test_untrusted_code_never_runs(fresh_board: HostBoard) -> None:
    """This module ends the process that runs it."""
    fresh_board.upload(MODULE.image(Version(1)))
    trap = TinyModule(machine=HOST, body=TRAP)
    for key in (None, STRANGER):
        assert "err" in fresh_board.upload(trap.image(Version(2), signing_key=key))
    assert _serves(fresh_board)
