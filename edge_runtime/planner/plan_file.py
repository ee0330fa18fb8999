"""Plans as a file that anyone can check: `samples.npz`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.network import Network

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.planner.network import Plans


def write_plans(path: Path, network: Network, plans: Plans) -> None:
    """Write plans with the incidence and every bound of their network.

    Arrays: `flows` [n, E], `storage`, `exchange`, `quality`, `status` [n, N], `incidence` [N, E],
    with flows @ incidence.T + exchange = storage; and every field of `Network` under its name.

    Raises:
        OSError: the file cannot be written; an older one is as it was.
    """
    arrays: dict[str, Any] = vars(plans) | {"incidence": network.incidence}
    arrays |= {field.name: np.asarray(getattr(network, field.name)) for field in fields(Network)}
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as stream:
            np.savez(stream, **arrays)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
