"""A verdict says what was reached, on average and alone, and what was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from train.planner.verdicts import LINES, Line, interval, judge

pytestmark = pytest.mark.pure

LINE = Line("speed", "at least 8", lambda record: record.get("speed"), lambda v: v >= 8.0, "{:.1f}")


def test_the_mean_is_judged_and_the_seeds_are_counted() -> None:
    verdict = judge(LINE, [{"speed": 7.0}, {"speed": 9.0}, {"speed": 11.0}])
    assert verdict.reached
    assert verdict.seeds_reached == 2
    assert verdict.word == "reached (2 of 3 seeds)"
    assert verdict.measured == "9.0 (4.0 to 14.0)"


def test_a_miss_is_a_miss() -> None:
    verdict = judge(LINE, [{"speed": 7.0}])
    assert verdict.reached is False
    assert verdict.word == "missed (0 of 1 seeds)"
    assert verdict.measured == "7.0"


def test_what_no_seed_measured_is_said() -> None:
    verdict = judge(LINE, [{}, {}])
    assert verdict.reached is None
    assert verdict.measured == verdict.word == "not measured"


def test_an_interval_holds_the_mean_and_shrinks_with_seeds() -> None:
    few, many = interval([1.0, 2.0, 3.0]), interval([1.0, 2.0, 3.0] * 4)
    assert few[0] == many[0] == 2.0
    assert few[1] is not None
    assert many[1] is not None
    assert few[1] < many[1] < 2.0


def record(**changed: Any) -> dict[str, Any]:
    row = {
        "sliced_wasserstein": 0.06,
        "std_ratio": 0.95,
        "cost_correlation": -0.8,
        "co2_correlation": -0.8,
        "feasible": 1.0,
        "largest_residual": 5e-9,
    } | changed
    names = (
        "x0, 10 steps",
        "x0, 10 steps, each projected",
        "INT8, 10 steps",
        "x0, 4 steps, distilled",
    )
    covered = {"coverage": {"cost_usd": 0.91, "co2_kg": 0.9, "circularity": 0.88}}
    return {"samplers": {name: {"projected": row} for name in names}, "intervals": {"0.9": covered}}


def test_a_good_record_reaches_every_line_that_it_measures() -> None:
    verdicts = [judge(line, [record()]) for line in LINES]
    assert all(verdict.reached is not False for verdict in verdicts)
    assert sum(verdict.reached is True for verdict in verdicts) == 14


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"feasible": 0.999}, 4),
        ({"largest_residual": 2e-5}, 4),
        ({"std_ratio": 0.89}, 1),
        ({"co2_correlation": -0.5}, 1),
        ({"cost_correlation": 0.7}, 1),
    ],
)
def test_a_bad_figure_misses_its_lines(changed: dict[str, float], missed: int) -> None:
    verdicts = [judge(line, [record(**changed)]) for line in LINES]
    assert sum(verdict.reached is False for verdict in verdicts) == missed
