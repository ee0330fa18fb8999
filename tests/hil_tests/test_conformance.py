"""Every port passes the conformance suite; a board that lies does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import device_profiles
from edge_runtime.firmware.build import build_firmware, stack_bounds
from edge_runtime.wire.bundle import Bundle, write_bundle
from export.pipeline import ExportOptions, export_model
from hil_tests.conformance import CHECKS, run_conformance
from hil_tests.emulator import Emulator
from hil_tests.session import run_conformance_session
from jouleloop.errors import InputError
from tests.keys import STRANGER

pytestmark = pytest.mark.qemu

# A board that does not write its flash refuses these, and says why.
NEEDS_FLASH = {"model", "configuration", "outbox"}


def _bundle(checkpoint: Path, device: str, **options: object) -> Bundle:
    profile = device_profiles.load(device)
    return export_model(checkpoint, profile, ExportOptions(**options))  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    "device", ["mps2-an385", "mps2-an386", "mps2-an505", "corstone-300", "stm32f405"]
)
def test_every_port_conforms(policy_checkpoint: Path, device: str) -> None:
    bundle = _bundle(policy_checkpoint, device)
    found = run_conformance_session(bundle, "qemu", device=None)
    assert [v.check for v in found.verdicts] == list(CHECKS)
    assert found.is_passed, [v for v in found.verdicts if not v.is_passed]
    left_out = {v.check for v in found.verdicts if not v.applies}
    assert left_out == (NEEDS_FLASH if device == "stm32f405" else set())
    used, _, reserved, *_ = next(v for v in found.verdicts if v.check == "stack").finding.split()
    profile = device_profiles.load(device)
    bound = stack_bounds(profile, build_firmware(profile))["firmware"]
    assert int(used) <= bound.total_bytes <= bound.reserved_bytes == int(reserved)


def test_a_board_that_takes_nothing_from_the_signer_does_not(
    policy_checkpoint: Path, tmp_path: Path
) -> None:
    bundle = _bundle(policy_checkpoint, "mps2-an386", signing_key=STRANGER)
    board = device_profiles.load("mps2-an386")
    with Emulator(board, tmp_path / "flash.bin") as emulator:
        found = run_conformance(bundle, emulator.port)
        write_bundle(bundle, tmp_path / "model.jlb")
        command = [sys.executable, "-m", "jouleloop", "bench", str(tmp_path / "model.jlb")]
        target = f"serial:{emulator.port}"
        done = subprocess.run(
            [*command, "--conformance", "--target", target, "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
    failed = {v.check: v.finding for v in found.verdicts if not v.is_passed}
    assert set(failed) >= {"model", "golden rows"}
    assert "does not trust" in failed["model"]
    assert done.returncode == 1
    assert json.loads(done.stdout)["is_passed"] is False
    assert "does not conform: " in done.stderr


def test_this_machine_is_no_board(policy_bundle: Bundle) -> None:
    with pytest.raises(InputError, match="no board"):
        run_conformance_session(policy_bundle, "local", device=None)
