"""Models on trial: served until the next start, kept when confirmed; on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.wire import smp
from edge_runtime.wire.image import Version
from edge_runtime.wire.smp import Group, ImageCommand, NodeCommand, NodeError, ProtocolError
from tests.edge_runtime.host_board import ERASE_BYTES, SLOT_BYTES, HostBoard
from tests.edge_runtime.tiny_module import HOST, TinyModule, step

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.host_c

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE
ROW = np.arange(4, dtype=np.int8)
NOT_CONFIRMED = {"group": int(Group.NODE), "rc": int(NodeError.NOT_CONFIRMED)}
NONE = {"group": 0, "rc": 0}


def _image(number: int, counter: int = 0, **fields: Any) -> bytes:
    module = TinyModule(machine=HOST, size=len(ROW), **fields)
    return module.image(Version(number), security_counter=counter)


OLD, NEW, NEWER = (_image(number, counter=number) for number in (1, 2, 3))


@pytest.fixture
def trial(fresh_board: HostBoard) -> HostBoard:
    """A board with OLD confirmed and NEW on trial."""
    fresh_board.upload(OLD)
    fresh_board.upload(NEW)
    return fresh_board


def _flags(host_board: HostBoard) -> dict[int, str]:
    """Major version -> the first letters of its flags."""
    images = host_board.ask(READ, Group.IMAGE, ImageCommand.STATE, {})["images"]
    return {
        int(image["version"].split(".")[0]): "".join(
            letter for letter, flag in (("a", "active"), ("c", "confirmed")) if image.get(flag)
        )
        for image in images
        if image["image"] == smp.IMAGE_MODEL
    }


def _said(host_board: HostBoard) -> Mapping[str, Any]:
    return host_board.ask(READ, Group.NODE, NodeCommand.ROLLBACK, {})


def _counter(host_board: HostBoard) -> int:
    return int(host_board.ask(READ, Group.NODE, NodeCommand.KEYS, {})["model"])


def _serves(host_board: HostBoard) -> bool:
    answer = host_board.ask(WRITE, Group.NODE, NodeCommand.INFER, {"in": ROW.tobytes()})
    return answer.get("out") == step(ROW).tobytes()


def test_the_first_model_has_nothing_to_go_back_to(fresh_board: HostBoard) -> None:
    fresh_board.upload(OLD)
    assert _flags(fresh_board) == {1: "ac"}
    assert _counter(fresh_board) == 1
    assert _said(fresh_board)["model_trial"] is False
    fresh_board.restart()
    assert _flags(fresh_board) == {1: "ac"}


def test_a_model_serves_on_trial_and_the_old_one_after_a_start(trial: HostBoard) -> None:
    assert _flags(trial) == {1: "c", 2: "a"}
    assert _said(trial)["model_trial"] is True
    assert _counter(trial) == 1
    assert _serves(trial)
    trial.restart()
    assert _flags(trial) == {1: "ac", 2: ""}
    assert _said(trial) == {
        "firmware": NONE,
        "model": NOT_CONFIRMED,
        "trial": False,
        "model_trial": False,
    }
    assert _counter(trial) == 1
    assert _serves(trial)
    # It is there still, and may be tried again.
    assert "images" in trial.choose(NEW, confirm=False)
    assert _flags(trial) == {1: "c", 2: "a"}


def test_what_is_confirmed_stays(trial: HostBoard) -> None:
    trial.choose(NEW, confirm=True)
    assert _flags(trial) == {2: "ac"}  # the old one is withdrawn by its counter
    assert _counter(trial) == 2
    for _ in range(2):
        trial.restart()
        assert _flags(trial) == {2: "ac"}
        assert _said(trial)["model"] == NONE
        assert _counter(trial) == 2


def test_the_old_one_is_asked_for_in_a_trial(trial: HostBoard) -> None:
    half = {"in": ROW.tobytes()[:2], "off": 0}
    assert trial.ask(WRITE, Group.NODE, NodeCommand.INFER, half) == {"off": 2}
    assert "images" in trial.choose(OLD, confirm=False)
    assert _flags(trial) == {1: "ac", 2: ""}
    assert _said(trial)["model"] == NOT_CONFIRMED
    # What was half sent was for the other model.
    rest = {"in": ROW.tobytes()[2:], "off": 2}
    assert "err" in trial.ask(WRITE, Group.NODE, NodeCommand.INFER, rest)
    assert _serves(trial)


def test_trial_and_confirmation_in_one_request(trial: HostBoard) -> None:
    trial.restart()
    trial.choose(NEW, confirm=True)
    assert _flags(trial) == {2: "ac"}
    trial.restart()
    assert _flags(trial) == {2: "ac"}


def test_asking_again_changes_nothing(trial: HostBoard) -> None:
    for _ in range(2):
        assert "images" in trial.choose(NEW, confirm=False)
        assert _flags(trial) == {1: "c", 2: "a"}
    for _ in range(2):
        trial.choose(NEW, confirm=True)
        assert _flags(trial) == {2: "ac"}


def test_an_upload_keeps_the_model_on_trial(trial: HostBoard) -> None:
    """It takes the slot of the way back."""
    refused = _image(4, counter=1)
    answer = trial.upload(refused)
    assert answer == {"err": {"group": 64, "rc": int(NodeError.COUNTER_OLDER)}}
    assert _flags(trial) == {2: "ac"}
    assert _counter(trial) == 2
    trial.upload(NEWER)
    trial.restart()
    assert _flags(trial) == {2: "ac", 3: ""}


def test_an_upload_that_cannot_begin_leaves_the_trial(trial: HostBoard) -> None:
    start = {"image": 1, "off": 0, "len": SLOT_BYTES + 1, "data": NEWER[:64]}
    assert "err" in trial.ask(WRITE, Group.IMAGE, ImageCommand.UPLOAD, start)
    assert _flags(trial) == {1: "c", 2: "a"}


def test_confirming_firmware_leaves_the_model_on_trial(trial: HostBoard) -> None:
    trial.ask(WRITE, Group.IMAGE, ImageCommand.STATE, {"confirm": True})
    assert _flags(trial) == {1: "c", 2: "a"}


def test_a_failed_trial_leaves_the_confirmed_model(trial: HostBoard) -> None:
    trial.restart()
    trial.upload(_image(5, counter=5, wrong_rows=True))
    assert _flags(trial) == {1: "ac"}
    assert _said(trial)["model"]["rc"] == NodeError.SELF_TEST_DIFFERS


def test_where_the_way_back_has_faded_the_other_is_confirmed(trial: HostBoard) -> None:
    trial.stop()
    flash = bytearray(trial.flash.read_bytes())
    flash[SLOT_BYTES : SLOT_BYTES + ERASE_BYTES] = b"\xff" * ERASE_BYTES
    trial.flash.write_bytes(flash)
    trial.start()
    assert _flags(trial) == {2: "ac"}
    assert _counter(trial) == 2


def test_two_slots_with_the_same_model(fresh_board: HostBoard) -> None:
    fresh_board.upload(OLD)
    fresh_board.upload(OLD)
    assert _said(fresh_board)["model_trial"] is True
    fresh_board.choose(OLD, confirm=True)
    assert _said(fresh_board)["model_trial"] is False
    assert _flags(fresh_board) == {1: "ac"}


def test_an_unknown_hash_is_not_found(trial: HostBoard) -> None:
    assert trial.choose(NEWER, confirm=True) == {"rc": int(ProtocolError.NOT_FOUND)}
