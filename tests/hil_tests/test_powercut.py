"""The power-cut proof: the firmware passes it, and every fault that is seeded is found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.firmware.build import FOLDER
from hil_tests.powercut import build
from hil_tests.powercut.mutant import Mutant
from hil_tests.powercut.mutants import MUTANTS, find_mutant
from hil_tests.powercut.prove import Proof, prove
from jouleloop.errors import InputError, MachineError

pytestmark = pytest.mark.host_c

JOULELOOP = str(Path(sys.executable).with_name("jouleloop"))
SCENARIOS = {
    "boot",
    "first-start",
    "firmware-update",
    "firmware-revert",
    "firmware-refused",
    "firmware-faded",
    "firmware-faded-too",
    "firmware-trial-faded",
    "model-update",
    "model-revert",
    "model-refused",
    "model-faded",
    "model-way-back-faded",
    "model-hangs",
    "outbox",
    "outbox-full",
    "configuration",
    "aged",
}
NAMED_MUTANTS = {
    "no-crc-on-outbox-record",
    "head-pointer-before-record",
    "erase-of-live-slot-first",
    "configuration-in-place",
    "torn-word-accepted",
    "counter-raised-before-confirm",
    "confirm-flag-before-hash-check",
    "retry-counter-never-stored",
}
SANITIZERS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
QUICK = "configuration"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [JOULELOOP, "powercut", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _fault(file: str, text: str, replacement: str) -> Mutant:
    return Mutant("a-fault-of-a-test", "", file, text, replacement, QUICK)


@pytest.fixture(scope="module")
def proof() -> Proof:
    return prove()


def test_no_cut_breaks_a_promise(proof: Proof) -> None:
    assert proof.violations_found == ()
    assert proof.total("violations") == 0
    assert set(proof.scenarios) == SCENARIOS
    assert proof.total("cut_points") > 5000
    # Every operation behind a start fails once as well.
    assert proof.total("failures") > 200
    for tally in proof.scenarios.values():
        # Before and after each operation, and in the middle in several ways.
        assert 0 < tally.torn < tally.cut_points
        assert tally.double_cut > tally.cut_points / 2
        assert 0 < tally.recovery_operations <= proof.recovery_limit


def test_another_seed_tears_other_bits_and_breaks_nothing() -> None:
    assert prove(seed=2**64 - 1, scenarios=["outbox"]).total("violations") == 0


def test_the_mutants_that_are_promised() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) == len(set(names))
    assert set(names) >= NAMED_MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_seeded_fault_is_found(mutant: Mutant) -> None:
    found = prove(scenarios=[mutant.scenario], mutant=mutant, until_found=True)
    assert found.total("violations") > 0
    assert found.violations_found[0].startswith(f"{mutant.scenario}: ")


def test_a_changed_source_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proof: Proof
) -> None:
    sources = tmp_path / "firmware"
    for part in ("include", "src", "boot", "port"):
        shutil.copytree(FOLDER / part, sources / part)
    monkeypatch.setattr(build, "FIRMWARE", sources)
    assert prove(scenarios=[QUICK]).scenarios[QUICK] == proof.scenarios[QUICK]
    path = sources / "src" / "configuration.c"
    text = path.read_text()
    assert text.count("newest.sequence + 1") == 1
    path.write_text(text.replace("newest.sequence + 1", "newest.sequence"))
    assert prove(scenarios=[QUICK]).total("violations") > 0


@pytest.mark.parametrize(
    ("replacement", "said"),
    [
        ("*(volatile int *)8 = 1;", "crashed"),
        ("for (volatile int i = 0; i < 1; ) {}", "never ends"),
        ("__builtin_trap();", "crashed"),
    ],
)
def test_code_that_stops_the_board_breaks_a_promise(replacement: str, said: str) -> None:
    text = "    if (port->configuration.bytes == 0) {\n"
    fault = _fault("src/configuration.c", text, f"    {replacement}\n{text}")
    found = prove(scenarios=[QUICK], mutant=fault)
    assert found.total("violations") > 0
    assert said in found.violations_found[0]


def test_code_that_ends_the_harness_breaks_a_promise() -> None:
    text = "    if (port->configuration.bytes == 0) {\n"
    fault = _fault("src/configuration.c", text, f"    extern void exit(int); exit(3);\n{text}")
    found = prove(scenarios=[QUICK, "boot"], mutant=fault)
    assert found.total("violations") == 2
    assert "ended the harness" in found.violations_found[0]


@pytest.mark.parametrize(
    "scenarios", [[QUICK, "outbox"], pytest.param([], marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_no_sanitizer_complains(scenarios: list[str]) -> None:
    found = prove(scenarios=scenarios, flags=SANITIZERS)
    assert found.violations_found == ()


@pytest.mark.slow
@pytest.mark.parametrize("program_bytes", [4, 16, 32])
def test_other_program_units(program_bytes: int) -> None:
    found = prove(flags=[f"-DPOWERCUT_PROGRAM_BYTES={program_bytes}"])
    assert found.violations_found == ()


def test_a_mutant_that_fits_no_more_says_so() -> None:
    mutant = replace(MUTANTS[0], text="no such text")
    with pytest.raises(InputError, match=rf"{mutant.name} .* occurs 0 times in {mutant.file}"):
        prove(mutant=mutant)


def test_sources_that_do_not_compile_say_so() -> None:
    fault = _fault("src/configuration.c", "enum { BLOCKS = 2 };", "enum { BLOCKS = };")
    with pytest.raises(MachineError, match=r"(?s)does not compile.*configuration\.c"):
        prove(mutant=fault)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scenario", "nowhere"], "no scenario called 'nowhere'"),
        (["--mutant", "none"], "no mutant called 'none'"),
        (["--seed", "-1"], "seed -1 is not a number from 0"),
    ],
)
def test_bad_arguments(arguments: list[str], said: str) -> None:
    done = _run(*arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stdout == ""


def test_the_command_prints_one_object(proof: Proof) -> None:
    done = _run("--scenario", QUICK, "--json")
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    tally = proof.scenarios[QUICK]
    figures = {
        "cut_points": tally.cut_points,
        "torn": tally.torn,
        "double_cut": tally.double_cut,
        "failures": tally.failures,
        "violations": 0,
    }
    assert record["by_scenario"] == {QUICK: figures}
    assert record == {**record, **figures, "seed": 1, "mutant": None, "first_violations": []}
    assert record["recovery_operations_limit"] == proof.recovery_limit


def test_the_command_fails_on_a_mutant() -> None:
    mutant = find_mutant("configuration-in-place")
    done = _run("--scenario", QUICK, "--mutant", mutant.name, "--json")
    assert done.returncode == 1
    record = json.loads(done.stdout)
    assert record["violations"] > 0
    assert record["mutant"] == mutant.name
    # The description says what repeats it.
    assert all("seed 1" in text for text in record["first_violations"])
    assert any("operation" in text for text in record["first_violations"])
    assert _run("--scenario", QUICK, "--mutant", mutant.name).returncode == 1


def test_the_mutants_are_listed_one_a_line() -> None:
    done = _run("--list-mutants")
    assert done.returncode == 0
    assert done.stdout.split("\n") == [mutant.name for mutant in MUTANTS] + [""]
