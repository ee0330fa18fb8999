"""A result made by hand, for tests of what is drawn and written from it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from edge_runtime.wire.bundle import COST, Bundle
from edge_runtime.wire.tensor import TensorSpec
from hil_tests.result import Measure, Result, ScenarioResult

LABELS = ("reuse", "remanufacture", "recycle", "dispose")


def a_measure(name: str, value: float, unit: str = "", limit: float | None = None) -> Measure:
    return Measure(name, value, unit, "modelled", "a test", 0.8 * value, 1.3 * value, limit)


def a_scenario(year: int = 2030) -> ScenarioResult:
    return ScenarioResult(
        id=f"{year:064x}",
        year=year,
        decisions=(0, 1, 2, 3, 2, 2),
        exact=(0, 1, 2, 3, 2, 1),
        quality=0.96,
        circularity=0.71,
        objective={"model": 96.0, "exact": 100.0, "rule": 81.0, "random": -12.0},
        instructions=(6100, 6140, 6100, 6100, 6100, 6100),
        link_bytes=(131, 131, 131, 131, 131, 131),
        seconds=(),
    )


def a_result(
    *,
    complete: bool = True,
    target: str = "qemu",
    decisions: tuple[int, ...] | None = None,
    **changes: Any,
) -> Result:
    scenarios = (a_scenario(2030), a_scenario(2031))[: 2 if complete else 1]
    if decisions is not None:
        scenarios = tuple(replace(scenario, decisions=decisions) for scenario in scenarios)
    result = Result(
        bundle="policy",
        device="mps2-an386",
        target=target,
        target_description="QEMU mps2-an386" if target == "qemu" else "LiteRT on this machine",
        seed=1,
        labels=LABELS,
        golden_rows=16,
        scenarios_asked=2,
        scenarios=scenarios,
        measures=(
            a_measure("decision_quality", 0.96),
            a_measure("circularity", 0.71),
            a_measure("instructions_per_inference", 6107.0),
            a_measure("wake_joules", 2.2e-7, "J"),
            a_measure("inference_joules", 3.4e-6, "J"),
            a_measure("decision_joules", 3.62e-6, "J", limit=5e-6),
            a_measure("module_flash_bytes", 9120.0, "B", limit=2097152.0),
            a_measure("arena_bytes", 128.0, "B", limit=655360.0),
            a_measure("stack_bytes", 96.0, "B"),
        ),
        missing={"radio_joules": "mps2-an386 has no figure radio.tx_w"},
        complete=complete,
        producer="jouleloop test",
    )
    return replace(result, **changes)


def a_bundle(**changes: Any) -> Bundle:
    layer = {
        "name": "dense0",
        "op": "FULLY_CONNECTED",
        "macs": 448,
        "instructions": 900,
        "weights_bytes": 576,
        "output_bytes": 32,
        "joules": 5e-7,
    }
    cost: dict[str, Any] = {
        "layers": [layer],
        "flash": None,
        "ram": None,
        "energy": None,
        "budget": {},
    }
    bundle = Bundle(
        name="policy",
        device_id="mps2-an386",
        family="policy",
        rounding="single",
        producer="a test",
        inputs=(TensorSpec("observation", (1, 14), 0.0078125, 0),),
        outputs=(TensorSpec("scores", (1, 4), 0.1, 0),),
        card={},
        files={COST: json.dumps(cost).encode()},
    )
    return replace(bundle, **changes)
