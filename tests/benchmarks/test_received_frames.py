"""The firmware keeps up with its line: instructions of every frame of an upload, against time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import device_profiles
from benchmarks.received_frames import BOARDS, figures, share_of_time
from edge_runtime.node.serial_device import SerialDevice
from hil_tests.frame_cost import FrameCost, paced_board

if TYPE_CHECKING:
    from pathlib import Path

# A few frames are enough: those between the first and the last do the same.
MODULE_BYTES = 4 * 1024


@pytest.mark.pure
def test_a_frame_that_takes_as_long_as_its_bytes_uses_all_its_time() -> None:
    # 115.2 bytes are 10 ms on the line: 640 000 cycles, of at most 2 for an instruction.
    frame = FrameCost((1000, 152), (3_000_000, 200_000))
    assert frame.seconds(115200) == pytest.approx(0.1)
    assert share_of_time(frame) == pytest.approx(1.0)


@pytest.mark.qemu
@pytest.mark.parametrize("board", BOARDS)
def test_every_frame_fits_into_its_time(board: str) -> None:
    measures = figures(board, MODULE_BYTES)
    by_name = {measure.name.partition(": ")[2]: measure for measure in measures}
    limited = [measure for measure in measures if measure.limit is not None]
    assert len(limited) == 4
    assert all(0 < measure.value <= (measure.limit or 0) for measure in limited), limited
    # Interrupt, loop, base64, CRC and clock: some hundred instructions for each of 1400 bytes.
    most = by_name["instructions of a frame, most"].value
    assert 400_000 < by_name["instructions of a frame, mean"].value <= most < 1_200_000
    # The last frame's is a signature's verification, and more.
    assert by_name["instructions of the last frame"].value > 2_930_000


@pytest.mark.qemu
def test_the_counts_do_not_depend_on_this_machine(tmp_path: Path) -> None:
    def costs(folder: Path) -> list[int]:
        folder.mkdir()
        board = device_profiles.load("mps2-an386")
        with paced_board(board, folder) as paced, SerialDevice(paced.port) as device:
            for text in ("", "x", "x" * 10, "x" * 20):
                assert device.echo(text) == text
        return [frame.instructions for frame in paced.frames()]

    first, again = costs(tmp_path / "first"), costs(tmp_path / "again")
    # But for the clock's phase, on which the conversion of its ticks depends.
    assert first == pytest.approx(again, rel=1e-2)
    assert len(first) == 4
    assert first == sorted(first)
