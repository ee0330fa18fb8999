"""Which projector an export takes, and what it says of both."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import device_profiles
from edge_runtime.planner.amortiser import candidate_rows
from edge_runtime.planner.network import Plans
from edge_runtime.wire.bundle import PLANNER
from export.pipeline import ExportOptions, export_model
from export.planner.choice import ProjectorMode
from jouleloop.errors import CheckpointError, InputError
from tests.edge_runtime.planner.networks import random_network
from tests.export.checkpoints import write_checkpoint
from tests.hil_tests.planner_checkpoint import write_planner

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.train

NODES, EDGES = 6, 9


def exported(folder: Path, device: str, projector: ProjectorMode | None = None) -> dict[str, Any]:
    options = ExportOptions(native=False, projector=projector)
    bundle = export_model(folder, device_profiles.load(device), options)
    record: dict[str, Any] = json.loads(bundle.file(PLANNER))
    return record


def test_auto_shows_the_figures_of_both(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", NODES, EDGES, learned_edges=EDGES)
    choice = exported(tmp_path / "planner", "mps2-an386")["projector"]
    exact, amortised = choice["exact"], choice["amortised"]
    assert amortised["instructions"] < exact["instructions"]
    assert max(exact["violation"], amortised["violation"]) <= 1e-5
    assert exact["energy"]["kind"] == amortised["energy"]["kind"] == "modelled"
    # Random weights guess badly.
    assert amortised["distance"] > 10 * exact["distance"]
    assert choice["chosen"] == "exact"
    assert "from the nearest plan" in choice["reason"]


def test_what_is_asked_for_is_taken(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", NODES, EDGES, learned_edges=EDGES)
    for mode in (ProjectorMode.EXACT, ProjectorMode.AMORTISED):
        record = exported(tmp_path / "planner", "mps2-an386", mode)
        assert record["projector"]["chosen"] == mode
        assert (record["amortiser"] is not None) == (mode is ProjectorMode.AMORTISED)


def test_a_device_where_nothing_counts_keeps_the_exact_one(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", NODES, EDGES, learned_edges=EDGES)
    choice = exported(tmp_path / "planner", "raspberry-pi-zero-2w")["projector"]
    assert choice["chosen"] == "exact"
    assert choice["exact"]["instructions"] is None
    record = exported(tmp_path / "planner", "raspberry-pi-zero-2w", ProjectorMode.AMORTISED)
    assert record["amortiser"]["input"]["shape"] == [1, EDGES + 3 * NODES]


def test_a_checkpoint_without_a_learned_projector(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", NODES, EDGES)
    assert exported(tmp_path / "planner", "mps2-an386")["projector"]["chosen"] == "exact"
    with pytest.raises(InputError, match="no amortised projector"):
        exported(tmp_path / "planner", "mps2-an386", ProjectorMode.AMORTISED)


def test_a_learned_projector_of_another_network_is_refused(tmp_path: Path) -> None:
    write_planner(tmp_path / "planner", NODES, EDGES, learned_edges=EDGES + 1)
    with pytest.raises(CheckpointError, match="this network wants"):
        exported(tmp_path / "planner", "mps2-an386")
    # Nobody reads what is not asked for.
    exported(tmp_path / "planner", "mps2-an386", ProjectorMode.EXACT)


def test_the_option_belongs_to_planners(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "policy")
    with pytest.raises(InputError, match="--projector belongs to planners"):
        exported(tmp_path / "policy", "mps2-an386", ProjectorMode.AUTO)


def test_rows_are_cut_and_scaled() -> None:
    network = random_network(1, NODES, EDGES)
    far = 1e9 * np.ones((2, 1))
    nodes, status = far * np.ones(NODES), far * np.eye(1, NODES)
    candidate = Plans(far * np.ones(EDGES), -nodes, nodes, nodes, status)
    rows = candidate_rows(network, candidate)
    assert rows.dtype == np.float32
    assert rows.shape == (2, EDGES + 3 * NODES)
    np.testing.assert_array_equal(rows[0, :EDGES], 2.0)
    np.testing.assert_array_equal(rows[0, EDGES : EDGES + NODES], -2.0)
    np.testing.assert_array_equal(rows[0, -NODES:], np.eye(1, NODES)[0])
