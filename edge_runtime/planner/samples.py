"""The file of samples, `samples.npz`: plans, the network that they are of, and nothing else.

Every array field of `Network` under its own name (`nodes` as text), every field of `Plans` under
its own, and `incidence` [N, E] beside them, so that anyone can check
`flows @ incidence.T + exchange = storage` and every bound without this package.
"""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.planner.network import Network, Plans
from edge_runtime.planner.residuals import check_plans
from edge_runtime.planner.validation import check_network
from jouleloop.errors import NetworkError, PlanError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

INCIDENCE = "incidence"


def sample_arrays(network: Network, plans: Plans) -> dict[str, NDArray[Any]]:
    """The arrays of a file of samples by their names."""
    arrays: dict[str, NDArray[Any]] = {
        field.name: np.asarray(getattr(plans, field.name)) for field in fields(Plans)
    }
    arrays |= {field.name: np.asarray(getattr(network, field.name)) for field in fields(Network)}
    return arrays | {"nodes": np.array(network.nodes, np.str_), INCIDENCE: network.incidence}


def write_samples(path: Path, network: Network, plans: Plans) -> None:
    """Write plans and their network under exactly this name.

    Raises:
        PlanError: the file cannot be written.
    """
    try:
        with path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **sample_arrays(network, plans))
    except OSError as error:
        raise PlanError(f"cannot write samples to {path}: {error.strerror}") from error


def read_samples(path: Path) -> tuple[Network, Plans]:
    """Read a file of samples and check everything that can be checked without simulating.

    Raises:
        PlanError: no such file, not one of samples, an array that is absent or of another shape,
            or that holds something else than finite numbers.
    """
    try:
        with path.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            is_archive = isinstance(archive, np.lib.npyio.NpzFile)
            arrays = {name: archive[name] for name in archive.files} if is_archive else {}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        # NumPy takes whatever it does not know for a pickle, and advises to trust it.
        reason = "it holds no NumPy arrays" if "pickle" in str(error) else error
        raise PlanError(
            f"cannot read samples from {path}: {reason}",
            hint="`jouleloop sample --out samples.npz` writes such a file",
        ) from error
    if not is_archive:
        raise PlanError(f"{path} is a single array", hint="samples are an .npz of several")
    try:
        return _from_arrays(arrays)
    except (NetworkError, PlanError) as error:
        raise PlanError(f"{path}: {error.message}", hint=error.hint) from error


def _from_arrays(arrays: Mapping[str, NDArray[Any]]) -> tuple[Network, Plans]:
    wanted = [field.name for field in (*fields(Network), *fields(Plans))]
    absent = [name for name in wanted if name not in arrays]
    if absent:
        raise PlanError(
            f"there is no array {absent[0]}"
            + (f", nor {len(absent) - 1} more" * (len(absent) > 1)),
            hint=f"a file of samples holds {', '.join(wanted)}",
        )
    values: dict[str, Any] = {name: arrays[name] for name in wanted}
    for name in wanted:
        if name != "nodes":
            values[name] = _numbers(name, values[name])
    nodes = tuple(str(name) for name in np.atleast_1d(values.pop("nodes")))
    network = Network(
        nodes=nodes, **{f.name: values[f.name] for f in fields(Network) if f.name != "nodes"}
    )
    check_network(network)
    plans = Plans(*(np.atleast_1d(values[field.name]) for field in fields(Plans)))
    check_plans(network, plans)
    if INCIDENCE in arrays and not np.array_equal(arrays[INCIDENCE], network.incidence):
        raise PlanError("incidence is not that of sources and targets")
    return network, plans


def _numbers(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "fiub" or values.ndim == 0:
        raise PlanError(f"{name} is {values.dtype} of shape {values.shape}; numbers are needed")
    is_index = name in ("sources", "targets")
    return values if is_index else values.astype(np.float64)
