"""Metrics: known answers, bounds, and what must make them better or worse."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleloop.errors import ScenarioError
from scenarios.world.arrays import build_world
from scenarios.world.controllers import CONTROLLERS, make_controller
from scenarios.world.cycling import finn_cycling_index
from scenarios.world.file import parse
from scenarios.world.generate import make_scenario
from scenarios.world.linear_programs import (
    best_dispositions,
    first_values,
    recovery_paths,
    solve_bound,
)
from scenarios.world.metrics import material_circularity, measure
from scenarios.world.pareto import hypervolume, pareto_front
from scenarios.world.resilience import recovery_of, service_level
from scenarios.world.returns import sample_items
from scenarios.world.schema import Scenario
from scenarios.world.score import WEIGHTS, composite, evaluate
from scenarios.world.simulate import simulate
from tests.scenarios.world.worlds import changed, scenario

pytestmark = pytest.mark.pure

SHARES = (
    "material_circularity",
    "finn_cycling",
    "waste",
    "energy_recovery",
    "component_reuse",
    "compliance",
    "service",
    "decision_quality",
    "value_retention",
)


@settings(max_examples=12)
@given(st.integers(0, 2**40), st.integers(7, 30), st.sampled_from(["random", "rule", "greedy"]))
def test_metrics_stay_in_their_bounds(seed: int, nodes: int, name: str) -> None:
    run = simulate([make_scenario(seed, nodes=nodes, ticks=60)], make_controller(name))
    metrics = measure(run)
    assert all(0.0 <= getattr(metrics, share) <= 1.0 for share in SHARES)
    assert 1.0 <= metrics.lifecycle_multiplier <= 5.0
    recovery = metrics.recovery
    if recovery is not None:
        assert 0.0 <= recovery.resilience <= 1.0
        assert 0.0 <= recovery.recovery_rate <= 1.0
        assert 0 <= recovery.adaptability_ticks <= recovery.recovery_ticks <= 60
    assert 0.0 <= composite(metrics, robustness=0.5).value <= 1.0


def test_controllers_stand_in_the_order_of_what_they_know() -> None:
    quality = {
        name: [
            measure(
                simulate([make_scenario(seed, nodes=30)], make_controller(name))
            ).decision_quality
            for seed in range(4)
        ]
        for name in CONTROLLERS
    }
    assert np.all(np.array(quality["random"]) < np.array(quality["rule"]))
    assert np.all(np.array(quality["rule"]) < np.array(quality["greedy"]))
    assert np.min(quality["exact"]) > 0.999


def test_circularity_of_known_systems() -> None:
    assert material_circularity(100, 100, 100) == pytest.approx(0.1)  # take, make, waste
    assert material_circularity(0, 0, 100) == 1.0
    assert material_circularity(50, 50, 100) == pytest.approx(0.55)
    assert material_circularity(900, 900, 100) == 0.0
    assert material_circularity(1, 1, 0) == 0.0


def test_finn_index_of_known_systems() -> None:
    chain = np.array([0, 1]), np.array([1, 2]), np.array([5.0, 5.0])
    none = np.zeros(3)
    assert finn_cycling_index(*chain, np.array([5.0, 0, 0]), np.array([0, 0, 5.0])) == 0.0
    closed = np.array([0, 1]), np.array([1, 0]), np.array([3.0, 3.0])
    assert finn_cycling_index(*closed, np.zeros(2), np.zeros(2)) == 1.0
    # Half of what leaves a node comes back to it: every unit passes twice.
    back = np.array([0, 1]), np.array([1, 0]), np.array([2.0, 1.0])
    assert finn_cycling_index(*back, np.array([1.0, 0]), np.array([0, 1.0])) == pytest.approx(0.5)
    assert finn_cycling_index(*chain[:2], np.zeros(2), none, none) == 0.0


def test_finn_index_equals_the_sum_over_laps() -> None:
    random = np.random.default_rng(0)
    nodes = 200
    source, target = random.integers(0, nodes, (2, 900))
    flow = random.random(900)
    came, went = (np.bincount(end, flow, nodes) for end in (target, source))
    entered, left = np.maximum(went - came, 0) + 0.5, np.maximum(came - went, 0) + 0.5
    start = time.process_time()
    index = finn_cycling_index(source, target, flow, entered, left)
    assert time.process_time() - start < 1.0
    through = came + entered
    matrix = np.zeros((nodes, nodes))
    np.add.at(matrix, (target, source), flow / through[source])
    laps, power = np.eye(nodes), np.eye(nodes)
    for _ in range(4000):
        power = matrix @ power
        laps += power
        if power.max() < 1e-14:
            break
    passes = np.diag(laps)
    assert index == pytest.approx((through * (passes - 1) / passes).sum() / through.sum())


def test_recovery_of_known_courses() -> None:
    calm = np.ones(100)
    assert recovery_of(calm, 40, 48).recovery_ticks == 0
    hit = calm.copy()
    hit[50:60] = 0.0
    seen = recovery_of(hit, 40, 48)
    assert (seen.recovery_ticks, seen.adaptability_ticks, seen.has_recovered) == (20, 10, True)
    assert seen.resilience == pytest.approx(50 / 60)
    assert seen.recovery_rate == pytest.approx(38 / 48)
    hit[70:] = 0.5
    assert recovery_of(hit, 40, 48).has_recovered is False
    assert service_level(np.array([2.0, 2.0, 0.0]), np.array([0.0, 1.0, 5.0])).tolist() == [
        1,
        0.5,
        0,
    ]


def test_the_bound_bounds_and_is_reached_without_scarcity() -> None:
    world = build_world([scenario()])
    items = sample_items(world)
    value = first_values(world, items, np.arange(len(items)))
    bound = solve_bound(world, items, 0)
    assert bound.value_usd <= value.max(axis=1).sum() * (1 + 1e-9)
    chosen = best_dispositions(world, items)
    assert value[np.arange(len(items)), chosen].sum() == pytest.approx(bound.value_usd, rel=0.01)


def test_scarcity_makes_the_exact_controller_differ_from_the_greedy_one() -> None:
    def scarce(new: dict[str, list[dict[str, object]]]) -> None:
        for node in new["nodes"]:
            if node["kind"] == "remanufacturing":
                node["capacity_kg"] = 0.005

    world = build_world([parse(changed(scarce))])
    items = sample_items(world)
    value = first_values(world, items, np.arange(len(items)))
    bound = solve_bound(world, items, 0)
    assert bound.value_usd < value.max(axis=1).sum() * 0.999
    mass = items.mass_kg(np.arange(len(items)))
    capacity = world.capacity[world.kind("remanufacturing")].sum() * world.ticks
    assert 0.95 * (mass * bound.shares[:, 1]).sum() <= capacity * (1 + 1e-6)


def test_recovery_paths_go_around_what_failed() -> None:
    def fail(*names: str) -> Scenario:
        return parse(
            changed(
                lambda new: new.update(
                    disruptions=[
                        {"kind": "node_failure", "start": 5, "end": 9, "nodes": list(names)}
                    ]
                )
            )
        )

    free = recovery_paths(parse(changed(lambda new: new.update(disruptions=[]))))
    assert free.served == pytest.approx(1.0)
    assert free.failed == ()
    one = recovery_paths(fail("manufacturing-0"))
    assert all("manufacturing-0" not in (a, b) for a, b, _ in one.flows)
    assert one.cost_usd >= free.cost_usd * one.served * 0.999
    names = [n.id for n in scenario().nodes if n.kind in ("manufacturing", "remanufacturing")]
    names += [n.id for n in scenario().nodes if n.kind == "collection"]
    none = recovery_paths(fail(*names))
    assert none.served == 0.0
    assert none.flows == ()


def test_the_front_and_its_volume() -> None:
    points = np.array([[1, 0.2, 0.5], [0.5, 0.5, 0.5], [0.4, 0.4, 0.4], [0.5, 0.5, 0.5]])
    assert pareto_front(points).tolist() == [0, 1, 3]
    random = np.random.default_rng(1)
    cloud = random.random((6, 3))
    corners = [np.unique(np.concatenate([[0.0], cloud[:, axis]])) for axis in range(3)]
    cells = 0.0
    for low in itertools.product(*(range(len(c) - 1) for c in corners)):
        upper = np.array([corners[axis][low[axis] + 1] for axis in range(3)])
        size = np.prod([corners[a][low[a] + 1] - corners[a][low[a]] for a in range(3)])
        cells += size * bool((cloud >= upper).all(axis=1).any())
    assert hypervolume(cloud) == pytest.approx(cells)
    assert hypervolume(cloud, 1.0) == hypervolume(np.zeros((0, 3))) == 0.0


def test_the_composite_leaves_out_what_was_not_measured_and_fails_over_budget() -> None:
    metrics = measure(simulate([scenario()], make_controller("rule")))
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)
    assert composite(metrics).missing == ("energy", "robustness", "communication")
    whole = composite(metrics, robustness=1.0, energy_share=0.5, communication_share=0.5)
    assert whole.missing == ()
    over = composite(metrics, robustness=1.0, energy_share=1.01, communication_share=0.5)
    assert (over.value, over.is_over_budget) == (0.0, True)
    cheaper = composite(metrics, robustness=1.0, energy_share=0.1, communication_share=0.5)
    assert cheaper.value > whole.value


def test_robustness_is_what_the_perturbed_worlds_keep() -> None:
    evaluation = evaluate(scenario(), make_controller("greedy"))
    assert len(evaluation.run.world.scenarios) == 4
    assert 0.0 < evaluation.robustness <= 1.0
    assert evaluation.metrics == measure(simulate([scenario()], make_controller("greedy")))


def test_an_unknown_controller_is_refused() -> None:
    with pytest.raises(ScenarioError, match="no controller is called"):
        make_controller("wizard")
