"""The order in which a step works says the same as the order of the file."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.world import linear_programs
from scenarios.world.arrays import build_world
from scenarios.world.controllers import make_controller
from scenarios.world.file import parse
from scenarios.world.generate import make_scenario
from scenarios.world.graph import nominal_flow
from scenarios.world.layout import BACK, sum_columns
from scenarios.world.ledger import MassBalanceError
from scenarios.world.returns import sample_items
from scenarios.world.simulate import run_world
from scenarios.world.state import MASS, Flows, State
from scenarios.world.weather import conditions
from tests.scenarios.world.worlds import changed, scenario

pytestmark = pytest.mark.pure


def test_hauls_are_the_edges_stage_by_stage() -> None:
    world = build_world([make_scenario(1, nodes=20), make_scenario(2, nodes=30)])
    hauls, topology = world.hauls, world.topology
    np.testing.assert_array_equal(np.sort(hauls.edge), np.arange(world.edges))
    line = world.line
    np.testing.assert_array_equal(line.node[hauls.source], topology.source[hauls.edge])
    np.testing.assert_array_equal(line.node[hauls.target], topology.target[hauls.edge])
    for number, stage in enumerate(world.stages):
        np.testing.assert_array_equal(hauls.edge[stage.span], stage.edges)
        assert (topology.stage[stage.edges] == number).all()
    back = world.way_back
    for kind in BACK:
        np.testing.assert_array_equal(back.nodes[back.spans[kind]], world.kind(kind))
    owner = np.concatenate([back.nodes[back.spans[kind]] for kind, _ in back.gates])
    np.testing.assert_array_equal(owner[back.gate], line.node[hauls.source[hauls.back]])
    np.testing.assert_allclose(hauls.carried, 1.0, rtol=1e-12)


def test_the_line_holds_every_node_once_kind_by_kind() -> None:
    world = build_world([make_scenario(1, nodes=20), make_scenario(2, nodes=30)])
    line = world.line
    np.testing.assert_array_equal(line.node[line.position], np.arange(world.nodes))
    for kind, span in line.spans.items():
        np.testing.assert_array_equal(line.node[span], world.kind(kind))
    values = np.random.default_rng(1).random((3, world.nodes))
    np.testing.assert_array_equal(line.by_node(values)[:, line.node], values)
    np.testing.assert_allclose(line.by_scenario(values[0, line.node]), world.sum_nodes(values[0]))


def test_a_haul_that_loses_mass_is_found_at_its_source() -> None:
    """What leaves a gate must all be on its hauls, though no haul is kept by itself."""
    world = build_world([scenario()])
    stage = world.stage("collection", "disassembly")
    leaky = replace(stage, share=np.where(stage.place == 0, 0.999, 1.0) * stage.share)
    stages = tuple(leaky if each is stage else each for each in world.stages)
    lossy = replace(world, stages=stages)
    with pytest.raises(MassBalanceError, match="collection-0"):
        run_world(lossy, sample_items(lossy), make_controller("rule"))


@settings(max_examples=20)
@given(st.integers(0, 2**30), st.integers(0, 40), st.integers(1, 9))
def test_columns_are_summed_where_they_belong(seed: int, count: int, places: int) -> None:
    random = np.random.default_rng(seed)
    segment, columns = random.integers(0, places, count), random.random((3, count))
    expected = np.zeros((places, 3))
    np.add.at(expected, segment, columns.T)
    np.testing.assert_allclose(sum_columns(segment, columns, places), expected.T)


def test_the_agenda_names_whom_a_look_at_all_items_would_find() -> None:
    """Years to a tick, so that items come back again and again; and some must wait for mass."""
    world = build_world([scenario().model_copy(update={"tick_hours": 8766.0})])
    items = sample_items(world)
    found = []

    def watch(flows: Flows, state: State) -> None:
        if state.tick == world.ticks:
            return
        looked = np.flatnonzero(state.next_return == state.tick)
        np.testing.assert_array_equal(state.returning(items), looked)
        np.testing.assert_array_equal(flows.sent, state.transit[:, MASS])
        found.append(len(looked))

    run = run_world(world, items, make_controller("random", 3), watch=watch)
    assert sum(found) > 0.9 * len(run.decided)
    assert run.state.lives.max() > 1


def test_conditions_do_not_depend_on_what_was_asked_before() -> None:
    world = build_world([scenario(), make_scenario(5, nodes=20, ticks=160)])
    forward = [conditions(world, tick) for tick in range(world.ticks)]
    for tick in np.random.default_rng(1).permutation(world.ticks).tolist():
        world.weather.clear()
        alone = conditions(world, tick)
        for name in ("capacity", "demand", "available"):
            np.testing.assert_array_equal(getattr(forward[tick], name), getattr(alone, name))
    assert len(world.weather) == 1
    assert any((now.capacity == 0).any() for now in forward)
    assert any((now.available == 0).any() for now in forward)


def test_the_nominal_flow_proves_a_generated_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [make_scenario(seed, nodes=nodes) for seed, nodes in ((1, 7), (2, 50), (3, 200))]
    world = build_world(made)
    loads, flows = nominal_flow(
        world.topology, world.capacity, world.demand, world.ratio[world.scenario]
    )
    np.testing.assert_allclose(world.inflow(flows)[world.kind("use")], loads[world.kind("use")])
    assert (loads <= world.capacity).all()
    monkeypatch.delattr(linear_programs, "_solve")
    linear_programs.require_feasible(made)


def test_the_solver_is_asked_where_the_nominal_flow_does_not_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def narrow(new: dict[str, object]) -> None:
        nodes = new["nodes"]
        assert isinstance(nodes, list)
        for node in nodes:
            if node["kind"] == "collection":
                node["capacity_kg"] *= 0.2

    solve, asked = linear_programs._solve, []

    def count(*rest, **more):  # type: ignore[no-untyped-def]  # passes all on
        asked.append(rest)
        return solve(*rest, **more)

    monkeypatch.setattr(linear_programs, "_solve", count)
    linear_programs.require_feasible([parse(changed(narrow))])
    assert len(asked) == 1


def test_a_changed_copy_of_a_world_steps_by_its_own_shares_and_capacities() -> None:
    world = build_world([scenario()])
    run_world(world, sample_items(world), make_controller("rule"))
    stage = world.stage("collection", "disassembly")
    uneven = replace(stage, share=np.where(stage.place % 2 == 0, stage.share, 0.0))
    stages = tuple(uneven if each is stage else each for each in world.stages)
    changed_world = replace(world, stages=stages, demand=2.0 * world.demand)
    assert changed_world.way_back.share.sum() < world.way_back.share.sum()
    np.testing.assert_array_equal(
        conditions(changed_world, 0).demand, 2.0 * conditions(world, 0).demand
    )
