"""What the firmware says of its trials and roll-backs, on this machine under sanitizers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge_runtime.wire import smp
from edge_runtime.wire.smp import Group, ImageCommand, NodeCommand, NodeError, ProtocolError
from tests.edge_runtime.tiny_module import HOST, TinyModule

if TYPE_CHECKING:
    from tests.edge_runtime.host_board import HostBoard

pytestmark = pytest.mark.host_c

READ, WRITE = smp.Operation.READ, smp.Operation.WRITE
NONE = {"group": 0, "rc": 0}


def test_a_refused_model_leaves_its_reason(fresh_board: HostBoard) -> None:
    nothing = {"firmware": NONE, "model": NONE, "trial": False, "model_trial": False}
    assert fresh_board.ask(READ, Group.NODE, NodeCommand.ROLLBACK, {}) == nothing
    refused = fresh_board.upload(TinyModule(machine=HOST, size=4, wrong_rows=True).image())
    reason = {"group": int(Group.NODE), "rc": int(NodeError.SELF_TEST_DIFFERS)}
    assert refused == {"err": reason}
    said = fresh_board.ask(READ, Group.NODE, NodeCommand.ROLLBACK, {})
    assert said == nothing | {"model": reason}
    fresh_board.restart()
    assert fresh_board.ask(READ, Group.NODE, NodeCommand.ROLLBACK, {}) == said


def test_the_self_test_runs_when_asked(fresh_board: HostBoard) -> None:
    no_model = {"err": {"group": int(Group.NODE), "rc": int(NodeError.NO_MODEL)}}
    assert fresh_board.ask(WRITE, Group.NODE, NodeCommand.SELF_TEST, {}) == no_model
    fresh_board.upload(TinyModule(machine=HOST, size=4, rows=3).image())
    assert fresh_board.ask(WRITE, Group.NODE, NodeCommand.SELF_TEST, {})["ticks"] > 0


def test_a_half_sent_input_is_gone_after_the_self_test(fresh_board: HostBoard) -> None:
    fresh_board.upload(TinyModule(machine=HOST, size=4).image())
    half = {"in": b"\1\2", "off": 0}
    assert fresh_board.ask(WRITE, Group.NODE, NodeCommand.INFER, half) == {"off": 2}
    fresh_board.ask(WRITE, Group.NODE, NodeCommand.SELF_TEST, {})
    rest = fresh_board.ask(WRITE, Group.NODE, NodeCommand.INFER, {"in": b"\3\4", "off": 2})
    assert "out" not in rest


@pytest.mark.parametrize(
    ("operation", "command"),
    [(WRITE, NodeCommand.ROLLBACK), (READ, NodeCommand.SELF_TEST), (WRITE, 200)],
)
def test_other_operations_are_not_supported(
    host_board: HostBoard, operation: int, command: int
) -> None:
    answer = host_board.ask(operation, Group.NODE, command, {})
    assert answer == {"rc": int(ProtocolError.NOT_SUPPORTED)}


def test_no_firmware_runs_on_the_host_to_be_confirmed(host_board: HostBoard) -> None:
    def confirm(**fields: object) -> dict[str, object]:
        return host_board.ask(WRITE, Group.IMAGE, ImageCommand.STATE, fields)

    assert confirm(confirm=False) == {"rc": int(ProtocolError.INVALID)}
    assert confirm(hash=bytes(32)) == {"rc": int(ProtocolError.NOT_FOUND)}
    assert confirm(hash="text") == {"rc": int(ProtocolError.INVALID)}
    assert confirm(confirm=1) == {"rc": int(ProtocolError.INVALID)}
