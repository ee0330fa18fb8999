"""A running benchmark's figures on a broker, as the node that it measures would send them."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.node.metric import Metric
from edge_runtime.node.telemetry import EdgeDevice, EdgeNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hil_tests.result import Measure, Record

GROUP = "jouleloop"

# measure of a result -> metric on the wire
_DEVICE = {
    "decision_joules": "energy/decision_joules",
    "inference_joules": "energy/run_joules",
    "wake_joules": "energy/wake_joules",
    "radio_joules": "energy/radio_joules",
    "instructions_per_inference": "run/instructions",
    "link_bytes_per_decision": "link/bytes",
    "decisions": "decisions/count",
    "decision_quality": "decisions/quality",
}
METRICS = _DEVICE | {"circularity": "decisions/circularity"}
WORLD_METRICS = _DEVICE | {
    "score": "worlds/score",
    "material_circularity": "worlds/material_circularity",
    "service": "worlds/service",
    "catastrophes": "worlds/catastrophes",
}


@dataclass(frozen=True)
class BrokerPublisher:
    """Sends the figures of a result as metrics of one device behind this machine."""

    device: EdgeDevice
    metrics: Mapping[str, str]

    def publish(self, result: Record) -> None:
        """Send the figures as they stand."""
        known = {measure.name: measure for measure in result.measures}
        self.device.publish(
            _metric(wire_name, known[name])
            for name, wire_name in self.metrics.items()
            if name in known
        )


def _metric(wire_name: str, measure: Measure) -> Metric:
    low, high, value = measure.low, measure.high, measure.value
    error = None
    if low is not None and high is not None and value:
        error = max(high - value, value - low) / abs(value)
    return Metric(wire_name, value, measure.kind, measure.source, error, measure.unit or None)


@contextmanager
def open_publisher(
    broker_url: str, device_id: str, metrics: Mapping[str, str] = METRICS
) -> Iterator[BrokerPublisher]:
    """Be an Edge Node on a broker, with the measured device behind it, until the run ends.

    The device is born with all its metrics unknown; each scenario then sends what is known.

    Args:
        broker_url: `mqtt://HOST:PORT`.
        device_id: name of the device behind this machine.
        metrics: name of a measure -> name on the wire.

    Raises:
        InputError: not a broker's URL.
        LinkError: no broker there.
    """
    unknown = [Metric(name, None) for name in metrics.values()]
    with (
        EdgeNode(broker_url, GROUP, f"bench-{socket.gethostname()}") as node,
        node.device(device_id, unknown) as device,
    ):
        yield BrokerPublisher(device, metrics)
