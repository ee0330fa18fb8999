"""Where a model runs during a benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Reply:
    """What one inference on a target gave.

    Args:
        output: int8 [output elements], all outputs one behind the other.
        instructions: executed by the inference, or None where the target cannot count them.
        seconds: the inference took on real hardware, or None (an emulator has no latency).
        link_bytes: both ways on the wire to the target, framing included; 0 without a wire.
    """

    output: NDArray[np.int8]
    instructions: int | None
    seconds: float | None
    link_bytes: int


class Target(Protocol):
    """A place that runs a bundle's model, already loaded."""

    @property
    def name(self) -> str:
        """`qemu`, `serial` or `local`."""

    @property
    def description(self) -> str:
        """What stands behind it, for people: machine, firmware, backend."""

    def infer(self, row: NDArray[np.int8]) -> Reply:
        """Run the model once.

        Args:
            row: int8 [input elements], all inputs one behind the other.

        Raises:
            LinkError: the target did not answer, or refused.
        """
