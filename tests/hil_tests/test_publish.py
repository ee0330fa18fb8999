"""A benchmark's figures reach a monitor through a real broker, provenance included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet.broker import Broker
from fleet.monitor import Monitor
from fleet.store import Store
from hil_tests.publish import METRICS, WORLD_METRICS, open_publisher
from tests.hil_tests.examples import a_measure, a_result

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker


def test_figures_arrive_with_their_provenance(tmp_path: Path) -> None:
    result = a_result()
    with (
        Broker(0) as broker,
        Store(tmp_path / "telemetry.sqlite") as store,
        Monitor(broker.url, store) as monitor,
        open_publisher(broker.url, "mps2-an386") as publisher,
    ):
        publisher.publish(result)
        assert monitor.wait_complete(20)
        (node,) = monitor.snapshot().nodes
    assert node.devices == ("mps2-an386",)
    metrics = {metric.name: metric for metric in node.metrics}
    assert set(METRICS.values()) <= set(metrics)
    joules = metrics["energy/decision_joules"]
    measure = result.measure("decision_joules")
    assert measure is not None
    assert joules.value == measure.value
    assert joules.kind == "modelled"
    assert joules.source == "a test"
    assert joules.relative_error == pytest.approx(0.3)
    # What the run does not know stays unknown.
    assert metrics["link/bytes"].value is None


def test_worlds_have_figures_of_their_own(tmp_path: Path) -> None:
    measures = (a_measure("score", 0.8), a_measure("material_circularity", 0.7))
    with (
        Broker(0) as broker,
        Store(tmp_path / "telemetry.sqlite") as store,
        Monitor(broker.url, store) as monitor,
        open_publisher(broker.url, "local", WORLD_METRICS) as publisher,
    ):
        publisher.publish(a_result(measures=measures))
        assert monitor.wait_complete(20)
        (node,) = monitor.snapshot().nodes
    metrics = {metric.name: metric.value for metric in node.metrics}
    assert metrics["worlds/score"] == 0.8
    assert metrics["worlds/material_circularity"] == 0.7
    assert metrics["worlds/service"] is None
    assert "decisions/circularity" not in metrics
