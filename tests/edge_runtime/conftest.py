"""The boards that tests of the firmware share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import device_profiles
from edge_runtime.node.serial_device import SerialDevice
from hil_tests.emulator import Emulator
from tests.edge_runtime.host_board import HostBoard, build_host_board

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    flash = tmp_path_factory.mktemp("board") / "flash.bin"
    with Emulator(device_profiles.load("mps2-an386"), flash) as emulator:
        yield emulator


@pytest.fixture
def device(emulator: Emulator) -> Iterator[SerialDevice]:
    with SerialDevice(emulator.port) as device:
        yield device


@pytest.fixture(scope="session")
def host_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_host_board(tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="session")
def host_board(host_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostBoard]:
    """One board for all tests that need no particular flash."""
    with HostBoard(host_program, tmp_path_factory.mktemp("flash") / "flash.bin") as board:
        yield board


@pytest.fixture
def fresh_board(host_program: Path, tmp_path: Path) -> Iterator[HostBoard]:
    with HostBoard(host_program, tmp_path / "flash.bin") as board:
        yield board
