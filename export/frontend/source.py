"""What a reader hands over: the graph, what is known about the model, and rows to try it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from export.graph import QGraph


@dataclass(frozen=True, eq=False)
class Source:
    """A model that was read.

    Args:
        graph: verified.
        family: what the model does: `policy`, ...; empty when the source does not say.
        card: the checkpoint's card; empty for other sources.
        rows: typical inputs in real numbers, float32 [n, *shape[1:]] by input name; may be empty.
    """

    graph: QGraph
    family: str
    card: Mapping[str, Any]
    rows: Mapping[str, NDArray[np.float32]]
