"""`jouleloop demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jouleloop.cli.bench import print_result
from jouleloop.cli.keys import make_first_key
from jouleloop.cli.output import JsonFlag, console, print_json, progress_bar


def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that it makes.")] = Path(
        "out/demo"
    ),
    scenarios: Annotated[int, typer.Option(min=1, help="How many generated scenarios.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of training and scenarios.")] = 1,
    json_output: JsonFlag = False,
) -> None:
    """Run the whole line: train, export, flash, bench on the emulated board, monitor, report.

    Every part is the real one: the policy is trained on the photovoltaic return stream, QEMU boots
    the firmware, the model is uploaded over its serial port, and the joules arrive on a monitor
    through a Mosquitto broker. The report is one self-contained page.

    Example: jouleloop demo --out out/demo
    """
    import device_profiles
    from jouleloop.demo import run_demo

    make_first_key()
    made = run_demo(
        out,
        device=device_profiles.DEFAULT_DEVICE,
        scenarios=scenarios,
        seed=seed,
        stage=progress_bar,
    )
    if json_output:
        print_json(
            {
                "emulated": made.emulated.as_record(),
                "local": made.local.as_record(),
                "are_decisions_equal": made.are_decisions_equal,
                "telemetry": list(made.telemetry),
                "report": str(made.report),
            }
        )
        return
    print_result(made.emulated)
    verdict = "equal to" if made.are_decisions_equal else "DIFFERENT from"
    console.print(f"decisions on the board are {verdict} those of {made.local.target_description}")
    console.print(f"the monitor received {len(made.telemetry)} metrics")
    console.print(f"report: {made.report}")
