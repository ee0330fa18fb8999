"""Random scenarios hold together, and are the same everywhere."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jouleloop.errors import ScenarioError
from scenarios.world.arrays import build_world
from scenarios.world.file import read
from scenarios.world.folder import check_files
from scenarios.world.generate import (
    make_scenario,
    make_scenarios,
    scenario_seeds,
    write_scenarios,
)
from scenarios.world.graph import KIND, KIND_SHARES, NOMINAL_SHARES, node_counts
from scenarios.world.products import MATERIALS, PRODUCTS
from scenarios.world.returns import DAMAGES, sample_items
from scenarios.world.schema import KINDS
from scenarios.world.structure import components
from tests.scenarios.world.worlds import scenario
from tests.shared_data import shared_file

pytestmark = pytest.mark.pure

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("nodes", [7, 8, 13, 50, 200])
def test_every_scenario_has_a_cycle_and_no_isolated_node(nodes: int) -> None:
    for made in make_scenarios(10, seed=nodes, nodes=nodes, ticks=50):
        assert len(made.nodes) == nodes
        successors: list[list[int]] = [[] for _ in made.nodes]
        for edge in made.edges:
            successors[made.index[edge.source]].append(made.index[edge.target])
        degree = np.bincount(
            [made.index[end] for edge in made.edges for end in (edge.source, edge.target)],
            minlength=nodes,
        )
        assert degree.min() > 0
        assert max(np.bincount(components(successors))) > 1
        assert {node.kind for node in made.nodes} == set(KINDS)


def test_node_kinds_and_capacities_follow_the_benchmark() -> None:
    assert node_counts(1000) == pytest.approx(KIND_SHARES * 1000)
    assert all(node_counts(n).sum() == n and node_counts(n).min() >= 1 for n in range(7, 120))
    made = make_scenario(11, nodes=4000, ticks=10)
    logarithm = np.log([node.capacity_kg for node in made.nodes])
    assert logarithm.mean() == pytest.approx(3.0, abs=0.03)
    assert logarithm.std() == pytest.approx(0.5, abs=0.03)
    energy = np.array([node.energy_mj_per_kg for node in made.nodes])
    assert 0.5 <= energy.min() < 0.51
    assert 4.99 < energy.max() <= 5.0
    reverse = [e.distance_km for e in made.edges if e.target.startswith("collection")]
    assert 10 <= min(reverse) < 11
    assert 99 < max(reverse) <= 100
    assert sum(NOMINAL_SHARES.values()) == pytest.approx(1.0)


def test_a_seed_gives_the_same_scenario_in_another_process() -> None:
    script = (
        "from scenarios.world.generate import make_scenario as make;"
        "from scenarios.world.simulate import simulate;"
        "from scenarios.world.controllers import Rule;"
        "run = simulate([make(3, nodes=20, ticks=160)], Rule());"
        "print(run.world.scenarios[0].id, run.carbon_kg.sum().hex(), run.money_usd.sum().hex())"
    )
    command = [sys.executable, "-c", script]
    answers = {
        subprocess.run(
            command,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert answers.pop().split()[0] == scenario().id


def test_the_first_scenarios_do_not_depend_on_how_many_follow() -> None:
    assert scenario_seeds(3, 7) == scenario_seeds(9, 7)[:3]
    assert len(set(scenario_seeds(500, 7))) == 500
    assert len({s.id for s in make_scenarios(30, seed=1, nodes=10)}) == 30


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = write_scenarios(tmp_path, 4, seed=7, nodes=12)
    for name, identity in written:
        assert read(tmp_path / name).id == identity
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert [s.id for s in check_files(tmp_path)] == sorted(identity for _, identity in written)
    write_scenarios(tmp_path, 4, seed=7, nodes=12)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


@pytest.mark.parametrize(
    ("count", "seed", "nodes", "ticks"),
    [(0, 0, 50, 10), (1, -1, 50, 10), (1, 0, 6, 10), (1, 0, 100_001, 10), (1, 0, 50, 0)],
)
def test_arguments_out_of_range_are_refused(count: int, seed: int, nodes: int, ticks: int) -> None:
    with pytest.raises(ScenarioError):
        list(make_scenarios(count, seed=seed, nodes=nodes, ticks=ticks))


def test_lifetimes_are_the_published_ones() -> None:
    table = shared_file("data/unu_weibull.csv").read_text().splitlines()
    published = dict(line.split(",", 1) for line in table[2:])
    for product in PRODUCTS:
        shape, scale = map(float, published[product.unu_key].split(","))
        assert (product.shape, product.scale_years) == (shape, scale)
        assert len(product.bill_kg) == len(MATERIALS)
        assert min(product.bill_kg) > 0


def test_returns_are_poisson_and_damage_goes_with_age() -> None:
    world = build_world([make_scenario(5, nodes=400, ticks=2000)])
    items = sample_items(world)
    mean_kg = items.mass_kg(np.arange(len(items))).mean()
    expected = world.ratio[0] * world.demand.sum() * world.ticks / mean_kg
    assert len(items) == pytest.approx(expected, rel=0.02)
    relative_age = (
        items.age_hours / np.array([p.scale_years * 8766.0 for p in PRODUCTS])[items.product]
    )
    wear = items.damage[:, DAMAGES.index("wear")]
    assert np.corrcoef(np.argsort(np.argsort(relative_age)), np.argsort(np.argsort(wear)))[
        0, 1
    ] == pytest.approx(world.scenarios[0].returns.age_correlation, abs=0.05)
    # Marginals stay what they are: Beta(2, 5) has the mean 2/7.
    assert wear.mean() == pytest.approx(2 / 7, abs=0.01)
    assert items.cycles.mean() == pytest.approx(500, rel=0.03)
    for product in np.unique(items.product):
        ages = items.age_hours[items.product == product]
        if len(ages) > 3000:
            assert ages.mean() == pytest.approx(PRODUCTS[product].mean_life_hours, rel=0.05)


def test_what_does_not_come_back_in_time_is_counted() -> None:
    world = build_world([scenario(), make_scenario(4, nodes=20, ticks=160)])
    items = sample_items(world)
    returned = np.bincount(items.scenario, minlength=2)
    assert (items.censored() + returned == items.park_units).all()
    assert (items.censored() > returned).all()
    assert (items.park_kg[world.topology.kind != KIND["use"]] == 0).all()


def test_a_scenario_is_the_same_in_any_batch() -> None:
    others = [make_scenario(seed, nodes=20, ticks=160) for seed in (8, 9)]
    alone = sample_items(build_world([scenario()]))
    batched = sample_items(build_world([*others, scenario()]))
    mine = batched.scenario == 2
    np.testing.assert_array_equal(alone.quality, batched.quality[mine])
    np.testing.assert_array_equal(alone.first_return, batched.first_return[mine])
    assert (np.diff(batched.first_return) >= 0).all()
    same_tick = np.diff(batched.first_return) == 0
    assert (np.diff(batched.scenario)[same_tick] >= 0).all()


def test_ids_are_of_canonical_json(tmp_path: Path) -> None:
    ((name, identity),) = write_scenarios(tmp_path, 1, seed=2, nodes=10)
    path = tmp_path / name
    pretty = json.dumps(json.loads(path.read_text()), indent=3, sort_keys=True)
    path.write_text(pretty)
    assert read(path).id == identity
