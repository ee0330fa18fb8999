"""The benchmark: generated returns go to the model on the target, and its decisions come back."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

import jouleloop
from edge_runtime.wire.bundle import GOLDEN
from hil_tests.measures import measures_of
from hil_tests.result import Result, ScenarioResult, write_result
from jouleloop.errors import BundleError, LinkError
from scenarios import pv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from device_profiles.energy_model import Cycles
    from edge_runtime.wire.bundle import Bundle
    from hil_tests.result import Record
    from hil_tests.target import Reply, Target

FAMILY = "policy"
RESULT = "result.json"
WRITE_EVERY_S = 1.0


class Publisher(Protocol):
    """Where the figures of a running benchmark go: a broker, as a rule."""

    def publish(self, result: Record) -> None:
        """Send the figures as they stand after a scenario."""


def run_benchmark(
    bundle: Bundle,
    target: Target,
    *,
    scenarios: int,
    seed: int,
    out: Path,
    cycles: Cycles | None = None,
    publisher: Publisher | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Drive a bundle's policy through generated scenarios on a target.

    `out/result.json` is rewritten about every second and at the end, however the run ends, so one
    that is killed leaves what it had.

    Args:
        bundle: a bundle of the family `policy`.
        target: where the model runs, already loaded.
        scenarios: how many, >= 1.
        seed: of the scenarios; the same seed gives the same returns on every target.
        out: folder for the result; made when missing.
        cycles: of one inference, as the profiler estimates them; None: not profiled.
        publisher: receives the result after every scenario.
        progress: called with (scenarios done, scenarios in all).

    Returns:
        The complete result.

    Raises:
        BundleError: the model does not fit the scenarios, or the target's outputs are not the
            exact ones of the bundle's golden rows.
        LinkError: the target did not answer.
    """
    labels = _check_family(bundle)
    out.mkdir(parents=True, exist_ok=True)
    result = Result(
        bundle=bundle.name,
        device=bundle.device_id,
        target=target.name,
        target_description=target.description,
        seed=seed,
        labels=labels,
        golden_rows=check_golden_rows(bundle, target),
        scenarios_asked=scenarios,
        scenarios=(),
        measures=(),
        missing={},
        complete=False,
        producer=f"jouleloop {jouleloop.__version__}",
    )
    write_result(result, out / RESULT)
    written_s = time.monotonic()
    try:
        for scenario in pv.make_scenarios(scenarios, seed):
            result = _extend(result, bundle, run_scenario(bundle, target, scenario), cycles)
            if time.monotonic() - written_s >= WRITE_EVERY_S:
                write_result(result, out / RESULT)
                written_s = time.monotonic()
            if publisher is not None:
                publisher.publish(result)
            if progress is not None:
                progress(len(result.scenarios), scenarios)
    finally:
        write_result(result, out / RESULT)
    return result


def _extend(
    result: Result, bundle: Bundle, scenario: ScenarioResult, cycles: Cycles | None
) -> Result:
    """The result with one more scenario, its figures made anew."""
    done = (*result.scenarios, scenario)
    measures, missing = measures_of(bundle, result.target, done, cycles)
    return replace(
        result,
        scenarios=done,
        measures=measures,
        missing=missing,
        complete=len(done) == result.scenarios_asked,
    )


def _check_family(bundle: Bundle) -> tuple[str, ...]:
    if bundle.family != FAMILY:
        raise BundleError(
            f"{bundle.name} is a {bundle.family}; this benchmark drives a {FAMILY}",
            hint="export a checkpoint of `jouleloop train policy`",
        )
    inputs = sum(spec.size for spec in bundle.inputs)
    outputs = sum(spec.size for spec in bundle.outputs)
    wanted = (pv.OBSERVATION_SIZE, len(pv.DISPOSITIONS))
    if (len(bundle.inputs), len(bundle.outputs), inputs, outputs) != (1, 1, *wanted):
        raise BundleError(
            f"{bundle.name} maps {inputs} values to {outputs}; a return has {wanted[0]} "
            f"observations and {wanted[1]} dispositions",
            hint="train the policy again with this version",
        )
    return pv.DISPOSITIONS


def check_golden_rows(bundle: Bundle, target: Target) -> int:
    """Run the bundle's golden rows on the target.

    Returns:
        How many rows were checked; all were exact.

    Raises:
        BundleError: an output differs from the exact one.
    """
    with np.load(io.BytesIO(bundle.file(GOLDEN))) as golden:
        rows, expected = golden["inputs"], golden["outputs"]
    for index, (row, exact) in enumerate(zip(rows, expected, strict=True)):
        output = target.infer(row.reshape(-1)).output
        if not np.array_equal(output, exact.reshape(-1)):
            raise BundleError(
                f"golden row {index} of {bundle.name} gives {output.tolist()} on "
                f"{target.description}; exact is {exact.reshape(-1).tolist()}",
                hint="the model on the target is not the model of the bundle: export it again",
            )
    return len(rows)


def run_scenario(bundle: Bundle, target: Target, scenario: pv.Scenario) -> ScenarioResult:
    """Let the model on the target decide every return of one scenario."""
    returns = scenario.returns
    rows = bundle.inputs[0].quantize(pv.observe(returns))
    replies = [_infer(target, row) for row in rows]
    # The first of equal scores wins, on every target.
    decisions = np.array([int(np.argmax(reply.output)) for reply in replies], np.int64)
    exact = pv.exact_decisions(returns)
    controllers = {
        "model": decisions,
        "exact": exact,
        "rule": pv.rule_decisions(returns),
        "random": pv.random_decisions(returns, scenario.seed),
    }
    return ScenarioResult(
        id=scenario.id,
        year=scenario.year,
        decisions=tuple(decisions.tolist()),
        exact=tuple(exact.tolist()),
        quality=pv.decision_quality(returns, decisions),
        circularity=pv.circularity(returns, decisions),
        objective={
            name: float(pv.outcomes(returns, chosen).objective.sum())
            for name, chosen in controllers.items()
        },
        instructions=tuple(r.instructions for r in replies if r.instructions is not None),
        link_bytes=tuple(reply.link_bytes for reply in replies),
        seconds=tuple(reply.seconds for reply in replies if reply.seconds is not None),
    )


def _infer(target: Target, row: np.ndarray[tuple[int, ...], np.dtype[np.int8]]) -> Reply:
    reply = target.infer(row)
    if reply.output.size != len(pv.DISPOSITIONS):
        raise LinkError(
            f"{target.description} answered {reply.output.size} scores; "
            f"the policy has {len(pv.DISPOSITIONS)}"
        )
    return reply
