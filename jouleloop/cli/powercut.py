"""`jouleloop powercut`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide, progress_bar
from jouleloop.errors import EXIT_USER

if TYPE_CHECKING:
    from hil_tests.powercut.prove import Proof

FIELDS = ("cut_points", "torn", "double_cut", "failures", "violations")


def powercut(
    seed: Annotated[int, typer.Option(help="Decides which bits a torn operation leaves.")] = 1,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this scenario; may be given several times.")
    ] = None,
    mutant: Annotated[
        str | None, typer.Option(help="Put this fault into the firmware first; it must be found.")
    ] = None,
    list_mutants: Annotated[
        bool, typer.Option("--list-mutants", help="Name the faults, one a line, and end.")
    ] = False,
    json_output: JsonFlag = False,
) -> None:
    """Cut the power at every flash operation of the firmware, and look what the next start finds.

    The portable C of the firmware runs on simulated NOR flash. Each scenario (starts, updates,
    outbox, configuration) is run again for every flash operation and cut before it, after it and in
    its middle; the recovery is cut a second time at each of its operations. Exit code 1 when a
    promise was broken: old or new and never neither, no acknowledged record lost, a bounded
    recovery, and the next update works to its end.

    Example: jouleloop powercut --scenario configuration
    """
    from hil_tests.powercut.mutants import MUTANTS, find_mutant
    from hil_tests.powercut.prove import prove

    if list_mutants:
        for known in MUTANTS:
            console.out(known.name, highlight=False)
        return
    fault = None if mutant is None else find_mutant(mutant)
    with progress_bar("cuts") as progress:
        proof = prove(seed=seed, scenarios=scenario or (), mutant=fault, progress=progress)
    if json_output:
        print_json(_record(proof, mutant))
    else:
        _print(proof)
    if proof.total("violations"):
        raise typer.Exit(EXIT_USER)


def _record(proof: Proof, mutant: str | None) -> dict[str, object]:
    by_scenario = {
        name: {field: getattr(tally, field) for field in FIELDS}
        for name, tally in proof.scenarios.items()
    }
    return {
        **{field: proof.total(field) for field in FIELDS},
        "recovery_operations": proof.recovery_operations,
        "recovery_operations_limit": proof.recovery_limit,
        "seed": proof.seed,
        "mutant": mutant,
        "by_scenario": by_scenario,
        "first_violations": list(proof.violations_found),
    }


def _print(proof: Proof) -> None:
    table = Table("scenario", *(field.replace("_", " ") for field in FIELDS), box=SIMPLE_HEAD)
    for name, tally in proof.scenarios.items():
        table.add_row(name, *(str(getattr(tally, field)) for field in FIELDS))
    table.add_row("all", *(str(proof.total(field)) for field in FIELDS))
    print_wide(table)
    for violation in proof.violations_found:
        console.print(violation, markup=False, highlight=False, soft_wrap=True)
    console.print(
        f"a start after a cut takes at most {proof.recovery_operations} flash operations; "
        f"the limit is {proof.recovery_limit}"
    )
