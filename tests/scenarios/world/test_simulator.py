"""The vectorised simulator: mass closes, quality never rises, law is kept and never anticipated."""

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jouleloop.errors import ScenarioError
from scenarios.world import factories, recovery
from scenarios.world import step as step_module
from scenarios.world.arrays import build_world
from scenarios.world.controllers import CONTROLLERS, Rule, make_controller
from scenarios.world.file import parse
from scenarios.world.generate import make_scenario
from scenarios.world.graph import KIND, Floats
from scenarios.world.ledger import MassBalanceError
from scenarios.world.products import TRANSITIONS, Disposition, MaterialState
from scenarios.world.returns import MOST_LIVES, sample_items
from scenarios.world.schema import Policy, Scenario
from scenarios.world.simulate import Run, Trace, item_history, run_world, simulate
from scenarios.world.state import MASS, QUALITY, SECONDARY, Flows, State, initial_state
from scenarios.world.view import Action, View
from tests.scenarios.world.worlds import changed, scenario

pytestmark = pytest.mark.pure

SEEDS = st.integers(0, 2**40)
NAMES = st.sampled_from(["random", "rule", "greedy"])


class Watch:
    """Checks what must hold after every tick."""

    def __init__(self) -> None:
        self.ticks = 0
        self.quality: Floats | None = None

    def __call__(self, flows: Flows, state: State) -> None:
        assert flows.tick == self.ticks
        self.ticks += 1
        mass = state.stock[:, MASS].sum(axis=1)
        allowed = mass * (1 + 1e-9) + 1e-9
        assert (state.stock >= 0).all()
        assert (state.stock[:, QUALITY] <= allowed).all()
        assert (state.stock[:, SECONDARY] <= allowed).all()
        line, hauls = state.line, flows.loaded.hauls
        brought = np.zeros_like(state.coming)
        np.add.at(brought.T, hauls.target, state.transit[hauls.edge])
        np.testing.assert_allclose(state.coming, brought, rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(state.stock[line.node], state.held.T)
        on_road = state.transit[:, MASS].sum(axis=1)
        assert (state.transit[:, QUALITY:] <= on_road[:, None] * (1 + 1e-9) + 1e-9).all()
        self.check_sums(flows)
        if self.quality is not None:
            assert (state.quality <= self.quality).all(), "quality rose"
        self.quality = state.quality.copy()

    @staticmethod
    def check_sums(flows: Flows) -> None:
        """What is kept of all materials together says the same as material by material."""
        road, close = flows.loaded, np.testing.assert_allclose
        close(road.ordered_kg, road.ordered.sum(axis=0), rtol=1e-12, atol=1e-12)
        close(road.goods_kg, road.goods[MASS].sum(axis=0), rtol=1e-12, atol=1e-12)
        close(flows.thrown_kg, flows.thrown.sum(axis=0), rtol=1e-12, atol=1e-12)
        entered = flows.extracted.sum(axis=1)
        extracts = entered > 0
        close(flows.throughput[extracts], entered[extracts], rtol=1e-12)


@settings(max_examples=25)
@given(SEEDS, st.integers(7, 40), NAMES)
def test_what_must_hold_in_every_world(seed: int, nodes: int, name: str) -> None:
    made = make_scenario(seed, nodes=nodes, ticks=60)
    watch = Watch()
    run = simulate([made], make_controller(name), watch=watch)
    assert watch.ticks == 60
    assert run.disposed_kg.min() >= 0
    assert (run.delivered >= 0).all()
    assert (run.state.lives <= MOST_LIVES).all()
    assert np.isfinite(run.money_usd).all()


@settings(max_examples=10)
@given(SEEDS, NAMES)
def test_anyone_can_sum_the_trace(
    tmp_path_factory: pytest.TempPathFactory, seed: int, name: str
) -> None:
    batch = [make_scenario(seed + more, nodes=15, ticks=40) for more in range(2)]
    trace = Trace()
    path = tmp_path_factory.mktemp("trace") / "t.npz"
    trace.write(path, simulate(batch, make_controller(name), watch=trace))
    with np.load(path) as data:
        stock, source, target = data["stock"], data["source"], data["target"]
        for tick in range(40):
            expected = stock[tick] + data["extracted"][tick] - data["disposed"][tick]
            np.add.at(expected, target, data["arrivals"][tick])
            np.subtract.at(expected, source, data["departures"][tick])
            handled = (stock[tick] + data["extracted"][tick]).sum(axis=1, keepdims=True) + 1.0
            assert (np.abs(stock[tick + 1] - expected) <= 1e-9 * handled).all()
            if tick:
                np.testing.assert_array_equal(data["arrivals"][tick], data["departures"][tick - 1])
        assert len(data["nodes"]) == stock.shape[1]
        assert len(data["materials"]) == stock.shape[2]
        assert not data["extracted"][
            :, [not n.startswith("extraction") for n in data["nodes"]]
        ].any()


@pytest.mark.parametrize("amount", [1e-3, np.nan])
def test_a_kilogram_from_nowhere_is_found(monkeypatch: pytest.MonkeyPatch, amount: float) -> None:
    """Break the simulator; the ledger must name the node and the amount."""
    recover = recovery.recover

    ticks = count()

    def leaky(world, cap, limit, tick):  # type: ignore[no-untyped-def]  # the broken stand-in
        left = recover(world, cap, limit, tick)
        if next(ticks) == 5:
            tick.held[0, world.line.spans["disassembly"].start] += amount
        return left

    monkeypatch.setattr(step_module, "recover", leaky)
    with pytest.raises(MassBalanceError) as broken:
        simulate([scenario()], Rule())
    assert broken.value.tick == 5
    assert broken.value.node.startswith("disassembly-0 of")
    assert broken.value.material == "aluminium"
    assert broken.value.excess_kg == pytest.approx(amount, nan_ok=True)


def test_a_stock_below_nothing_is_found_though_the_flows_add_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recover = recovery.recover

    def overdraw(world, cap, limit, tick):  # type: ignore[no-untyped-def]  # the broken stand-in
        left = recover(world, cap, limit, tick)
        place = world.line.spans["recycling"].start
        tick.thrown[1, place] += tick.held[1, place] + 0.5
        tick.held[1, place] = -0.5
        return left

    monkeypatch.setattr(step_module, "recover", overdraw)
    with pytest.raises(MassBalanceError, match=r"recycling-0 of .* holds -0\.5 kg of steel"):
        simulate([scenario()], Rule())


def test_a_kilogram_that_no_mine_extracted_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    make = factories.make_and_order

    def generous(view, limit, cover_ticks, carbon_left, tick):  # type: ignore[no-untyped-def]  # passes all on
        made = make(view, limit, cover_ticks, carbon_left, tick)
        tick.road.ordered_kg[:] += 1e-3
        return made

    monkeypatch.setattr(step_module, "make_and_order", generous)
    with pytest.raises(MassBalanceError, match=r"extraction-.* of all materials"):
        simulate([scenario()], Rule())


def test_nobody_changes_a_stock_while_a_tick_is_decided() -> None:
    class Thief(Rule):
        def decide(self, view: View) -> Action:
            view.state.held[0] += 1.0
            return super().decide(view)

    with pytest.raises(ValueError, match="read-only"):
        simulate([scenario()], Thief())


def test_items_follow_the_table_of_transitions() -> None:
    assert not TRANSITIONS[MaterialState.DISPOSED].any(), "disposed is absorbing"
    assert not TRANSITIONS[:, MaterialState.VIRGIN].any()
    run = simulate([scenario()], make_controller("random", 1))
    before = np.full(len(run.items), MaterialState.IN_USE, np.int64)
    seen = set()
    for _, members, states in run.state.history:
        assert TRANSITIONS[before[members], states].all()
        before[members] = states
        seen |= set(states.tolist())
    np.testing.assert_array_equal(before, run.state.state)
    assert seen == {int(s) for s in MaterialState} - {MaterialState.VIRGIN}
    disposed = np.flatnonzero(run.state.state == MaterialState.DISPOSED)
    never = np.iinfo(np.int64).max
    assert (run.state.next_return[disposed] == never).all()
    history = item_history(run, int(disposed[0]))
    assert [name for _, name in history] == ["returned", "disposed"]


def test_remanufacture_wears_and_reuse_does_not() -> None:
    run = simulate([scenario()], make_controller("random", 1))
    remade = np.zeros(len(run.items))
    np.add.at(remade, run.decided[run.executed == Disposition.REMANUFACTURE], 1.0)
    np.testing.assert_allclose(run.state.quality, run.items.quality * 0.95**remade)
    used_again = np.zeros(len(run.items))
    np.add.at(used_again, run.decided[run.executed <= Disposition.REMANUFACTURE], 1.0)
    np.testing.assert_array_equal(run.state.lives, used_again)


def short_lives(made: Scenario) -> Scenario:
    """Ticks of a year: items come back again and again within the run."""
    return made.model_copy(update={"tick_hours": 8766.0})


def test_an_item_comes_back_until_it_has_lived_its_lives() -> None:
    world = build_world([short_lives(scenario())])
    run = run_world(world, sample_items(world), make_controller("random", 3))
    assert run.state.lives.max() >= 3
    assert len(run.decided) > 1.2 * len(np.unique(run.decided))

    class AlwaysReuse(Rule):
        def decide(self, view: View) -> Action:
            steady = super().decide(view)
            return Action(np.zeros_like(view.now), steady.activity, steady.cover_ticks)

    run = run_world(world, sample_items(world), AlwaysReuse())
    assert run.state.lives.max() == MOST_LIVES
    worn_out = run.state.state == MaterialState.RECYCLED
    assert worn_out.any()
    assert (run.state.lives[worn_out] == MOST_LIVES).all()


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_scenario_runs_the_same_in_any_batch(name: str) -> None:
    others = [make_scenario(seed, nodes=nodes, ticks=160) for seed, nodes in ((1, 9), (2, 30))]
    alone = simulate([scenario()], make_controller(name, 5))
    batch = simulate([others[0], scenario(), others[1]], make_controller(name, 5))
    for field in ("delivered", "carbon_kg", "money_usd", "disposed_kg", "violations"):
        np.testing.assert_allclose(getattr(alone, field)[:, 0], getattr(batch, field)[:, 1], 1e-9)


def with_policies(*policies: dict[str, object]) -> Scenario:
    return parse(changed(lambda new: new.update(policies=list(policies), disruptions=[])))


def law(kind: str, subject: str, start: int, level: float, end: int = 160) -> dict[str, object]:
    points = [{"tick": start, "level": level}]
    return {"kind": kind, "subject": subject, "start": start, "end": end, "points": points}


POLICIES = [
    ("tax", "carbon", 5.0),
    ("tax", "virgin", 50.0),
    ("tax", "landfill", 50.0),
    ("cap", "carbon", 20.0),
    ("recycled_content", "products", 0.9),
    ("ban", "landfill", 1.0),
    ("collection_target", "returns", 1.0),
]


@pytest.mark.parametrize(("kind", "subject", "level"), POLICIES)
@pytest.mark.parametrize("name", ["random", "greedy"])
def test_a_policy_changes_nothing_before_it_starts_and_something_after(
    kind: str, subject: str, level: float, name: str
) -> None:
    start = 70
    free = simulate([with_policies()], make_controller(name, 2))
    bound = simulate([with_policies(law(kind, subject, start, level))], make_controller(name, 2))
    for field in ("delivered", "carbon_kg", "money_usd", "disposed_kg", "virgin_kg", "violations"):
        np.testing.assert_array_equal(
            getattr(free, field)[:start], getattr(bound, field)[:start], err_msg=field
        )
    if name == "random" or kind in ("tax", "cap", "recycled_content"):
        assert (free.money_usd[start:] != bound.money_usd[start:]).any()


def test_a_ban_keeps_its_products_from_the_landfill_while_it_lasts() -> None:
    ban = law("ban", "landfill", 30, 1.0, end=90) | {"products": ["0303"]}
    made = with_policies(ban)
    key = made.returns.products[-1].unu_key
    made = with_policies(ban | {"products": [key]})
    run = simulate([made], make_controller("random", 2))
    tick = run.items.first_return[run.decided]
    from scenarios.world.products import PRODUCT_INDEX

    within = (tick >= 30) & (tick < 90)
    is_product = run.items.product[run.decided] == PRODUCT_INDEX[key]
    assert (within & is_product).any()
    assert (run.executed[within & is_product] != Disposition.DISPOSE).all()
    assert (run.executed[within & ~is_product] == Disposition.DISPOSE).any()
    assert (run.executed[~within & is_product] == Disposition.DISPOSE).any()
    assert run.violations[30:90].sum() > 0
    assert run.violations[:30].sum() == run.violations[90:].sum() == 0


def test_a_collection_target_is_met_at_every_tick() -> None:
    run = simulate(
        [with_policies(law("collection_target", "returns", 0, 0.9))], make_controller("random", 2)
    )
    tick = run.items.first_return[run.decided]
    mass = run.items.mass_kg(run.decided)
    lost = np.bincount(tick, mass * (run.executed == Disposition.DISPOSE), 160)
    assert (lost <= 0.1 * np.bincount(tick, mass, 160) + 1e-9).all()
    assert run.violations.sum() > 0


def test_a_carbon_cap_is_kept_and_a_plan_beyond_it_counted() -> None:
    watched: list[float] = []

    def watch(flows: Flows, state: State) -> None:
        kind = run_world_kind
        processed = np.where(kind == KIND["use"], 0.0, flows.throughput)
        watched.append(float((processed * carbon).sum()))

    made = with_policies(law("cap", "carbon", 0, 25.0))
    world = build_world([made])
    run_world_kind, carbon = world.topology.kind, world.carbon
    run = simulate([made], Rule(), watch=watch)
    assert max(watched) <= 25.0 * (1 + 1e-9)
    assert run.violations.sum() > 0
    free = simulate([with_policies()], Rule())
    assert run.carbon_kg.sum() < free.carbon_kg.sum()


def test_recycled_content_is_vouched_for_by_mass_balance() -> None:
    made = with_policies(law("recycled_content", "products", 0, 0.5))
    run = simulate([made], Rule())
    stage = run.world.stage("recycling", "manufacturing")
    secondary = run.edge_kg[stage.edges].sum()
    assert 0 < 0.5 * run.made_kg.sum() / 0.97 <= secondary * (1 + 1e-9)
    assert run.made_kg.sum() < simulate([with_policies()], Rule()).made_kg.sum()


def disrupted(**disruption: object) -> Run:
    made = parse(changed(lambda new: new.update(policies=[], disruptions=[disruption])))
    return simulate([made], Rule())


def test_an_outage_starves_its_factories_of_the_material() -> None:
    nodes = [f"manufacturing-{n}" for n in range(4)]
    calm = simulate([with_policies()], Rule())
    hit = disrupted(kind="supply_outage", start=40, end=112, nodes=nodes, material="rare_earths")
    np.testing.assert_array_equal(calm.made_kg[:40], hit.made_kg[:40])
    assert hit.made_kg[80:112].sum() < 0.8 * calm.made_kg[80:112].sum()
    assert hit.overdue[80:112].sum() > calm.overdue[80:112].sum()
    assert hit.made_kg[112:].sum() > calm.made_kg[112:].sum(), "the backlog is made up for"


def test_a_node_that_is_down_does_nothing() -> None:
    calm = simulate([with_policies()], Rule())
    down: list[float] = []
    made = parse(
        changed(
            lambda new: new.update(
                policies=[],
                disruptions=[
                    {"kind": "node_failure", "start": 20, "end": 50, "nodes": ["recycling-0"]}
                ],
            )
        )
    )
    node = made.index["recycling-0"]

    def watch(flows: Flows, state: State) -> None:
        if 20 <= flows.tick < 50:
            down.append(float(flows.throughput[node]))

    run = simulate([made], Rule(), watch=watch)
    assert max(down) == 0.0
    assert run.throughput_kg[node] <= calm.throughput_kg[node] + 1e-9


def test_a_demand_shock_is_demanded() -> None:
    calm = simulate([with_policies()], Rule())
    shock = disrupted(kind="demand_shock", start=50, end=80, nodes=["use-0"], factor=3.0)
    extra = shock.wanted - calm.wanted
    assert (extra[:50] == 0).all()
    assert (extra[80:] == 0).all()
    index = calm.world.scenarios[0].index["use-0"]
    np.testing.assert_allclose(extra[50:80, 0], 2.0 * calm.world.demand[index])


@pytest.mark.parametrize(
    ("part", "value"),
    [("activity", 1.5), ("activity", np.nan), ("cover_ticks", -1.0), ("dispositions", 4)],
)
def test_an_action_out_of_range_is_refused(part: str, value: float) -> None:
    class Wild(Rule):
        def decide(self, view: View) -> Action:
            steady = super().decide(view)
            parts: dict[str, Any] = {
                "dispositions": steady.dispositions,
                "activity": steady.activity,
                "cover_ticks": steady.cover_ticks,
            }
            parts[part] = np.full_like(parts[part], value)
            return Action(**parts)

    with pytest.raises(ScenarioError, match=part):
        simulate([scenario()], Wild())


def test_runs_of_different_lengths_do_not_step_together() -> None:
    with pytest.raises(ScenarioError, match="lengths"):
        build_world([scenario(), make_scenario(1, nodes=10, ticks=30)])
    with pytest.raises(ScenarioError, match="no scenario"):
        build_world([])


def test_edges_may_stand_in_any_order() -> None:
    def backwards(new: dict[str, object]) -> None:
        edges = new["edges"]
        assert isinstance(edges, list)
        edges.reverse()

    turned = simulate([parse(changed(backwards))], Rule())
    straight = simulate([scenario()], Rule())
    np.testing.assert_allclose(turned.delivered, straight.delivered)
    np.testing.assert_allclose(turned.money_usd, straight.money_usd)


def test_memory_is_linear_up_to_ten_thousand_nodes(tmp_path: Path) -> None:
    import tracemalloc

    held = {}
    for nodes in (2_000, 10_000):
        made = make_scenario(1, nodes=nodes, ticks=2)
        tracemalloc.start()
        world = build_world([made])
        items = sample_items(world)
        step_module.step(world, items, initial_state(world, items), Rule())
        held[nodes] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert held[10_000] < 6.5 * held[2_000]


def test_levels_are_piecewise_linear_on_a_half_open_interval() -> None:
    from scenarios.world.law import build_law, level

    points = [{"tick": 10, "level": 1.0}, {"tick": 20, "level": 3.0}]
    policy = Policy.model_validate(
        {"kind": "tax", "subject": "carbon", "start": 5, "end": 25, "points": points}
    )
    expected = {4: None, 5: 1.0, 10: 1.0, 15: 2.0, 20: 3.0, 24: 3.0, 25: None}
    assert {tick: level(policy, tick) for tick in expected} == expected
    made = parse(changed(lambda new: new.update(policies=[policy.model_dump(mode="json")] * 2)))
    tax = build_law([made], 30).carbon_tax[:, 0]
    assert [tax[tick] for tick in (4, 5, 15, 24, 25)] == [0.0, 2.0, 4.0, 6.0, 0.0]
