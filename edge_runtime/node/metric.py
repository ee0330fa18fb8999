"""A figure of a node or device, and how it is written on the wire."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_runtime.wire.sparkplug import DataType, Property, Value

# Keys of the PropertySet; SCADA systems (Ignition, for one) read a metric's unit from `engUnit`.
KIND, SOURCE, RELATIVE_ERROR, UNIT = "kind", "source", "relative_error", "engUnit"
# bool before int: a bool is an int to Python.
_DATATYPES = (
    (bool, DataType.BOOLEAN),
    (int, DataType.INT64),
    (float, DataType.DOUBLE),
    (str, DataType.STRING),
)


@dataclass(frozen=True)
class Metric:
    """A figure of a node or device, and where it came from.

    Args:
        name: `/` separates folders.
        value: None while it is not known, and a double from then on; never NaN or infinite.
        kind: `measured`, `modelled`, `counted`, ..., or None for what is no figure.
        source: instrument, or model and the figures it used; or None.
        relative_error: half the expected interval over the value, >= 0; or None.
        unit: SI symbol, or None.

    Raises:
        ValueError: no name, a number not finite or beyond 64 bits, or text that is no UTF-8.
    """

    name: str
    value: Value | None
    kind: str | None = None
    source: str | None = None
    relative_error: float | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        for number in (self.value, self.relative_error):
            if isinstance(number, float) and not math.isfinite(number):
                raise ValueError(f"metric {self.name}: {number} is no figure; leave it out or None")
            if isinstance(number, int) and not -(2**63) <= number < 2**63:
                raise ValueError(f"metric {self.name}: {number} does not fit 64 bits")
        for text in (self.name, self.value, self.kind, self.source, self.unit):
            if isinstance(text, str):
                text.encode()
        if not self.name:
            raise ValueError("a metric needs a name")

    @property
    def provenance(self) -> dict[str, Property | None]:
        """The PropertySet; None for what is not known."""
        error = self.relative_error
        # Six digits: the last bits of a quotient are no change of provenance.
        rounded = None if error is None else float(f"{error:.6g}")
        texts = {KIND: self.kind, SOURCE: self.source, UNIT: self.unit}
        known: dict[str, Property | None] = {
            key: None if text is None else Property(str(text), DataType.STRING)
            for key, text in texts.items()
        }
        return known | {
            RELATIVE_ERROR: None if rounded is None else Property(rounded, DataType.DOUBLE)
        }


def datatype_of(value: Value | None) -> DataType:
    """The type under which a value is born."""
    for python_type, datatype in _DATATYPES:
        if isinstance(value, python_type):
            return datatype
    return DataType.DOUBLE


def wire_value(metric: Metric, datatype: DataType) -> Value | None:
    """The metric's value as the type of its birth; an int may stand for a double.

    Raises:
        ValueError: the value has another type.
    """
    value = metric.value
    if value is None or datatype_of(value) is datatype:
        return value
    if datatype is DataType.DOUBLE and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"metric {metric.name} was born as {datatype.name}; {value!r} is none")


def changed_properties(before: Metric, now: Metric) -> dict[str, Property]:
    """The whole PropertySet where it changed, what is gone from it as null; else nothing."""
    old, new = before.provenance, now.provenance
    if old == new:
        return {}
    return {
        key: value or Property(None, DataType.STRING)
        for key, value in new.items()
        if value is not None or old[key] is not None
    }
