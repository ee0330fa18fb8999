"""What a run was worth: bounded metrics of one scenario.

The material circularity indicator is the Ellen MacArthur Foundation's (2019) for a whole system in
a steady state over the run: MCI = 1 − LFI × F with LFI = (V + W) / (2 M) and F = 0.9. M is the mass
of products delivered, V the virgin mass that entered, W all mass landfilled. Waste of making
recycled feedstock is in W once, so the two recycling terms of the original cancel. The utility X
of the original is 1: a lifetime is not a controller's choice here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scenarios.world.cycling import finn_cycling_index
from scenarios.world.graph import KIND, RECYCLING_YIELD, REMANUFACTURING_YIELD
from scenarios.world.layout import BACK
from scenarios.world.linear_programs import bound_usd, first_values
from scenarios.world.products import BILL_KG, PRICE_USD, Disposition
from scenarios.world.resilience import recovery_of, service_level
from scenarios.world.values import MATERIAL_USD_PER_KG, sales_usd

if TYPE_CHECKING:
    from scenarios.world.graph import Floats, Integers
    from scenarios.world.resilience import Recovery
    from scenarios.world.simulate import Run

UTILITY_FACTOR = 0.9


@dataclass(frozen=True)
class Metrics:
    """Of one scenario of a run; shares are 0..1.

    Args:
        material_circularity: the material circularity indicator.
        finn_cycling: the Finn cycling index.
        waste: mass landfilled over that and the products delivered.
        energy_recovery: embodied energy kept over that of all returns.
        component_reuse: share of the returned mass reused or remanufactured.
        compliance: 1 less violations over decisions that a law was about; 1 without a law.
        service: mean share of demand that was not overdue.
        decision_quality: 1 for the bound of the linear program, 0 for the worst decisions.
        value_retention: value after the decisions over the price as new.
        lifecycle_multiplier: lives per returned item, 1 or more.
        carbon_handprint_kg: kg CO2e avoided next to virgin products and materials, less the
            emissions of the way back; negative where coming back emits more.
        carbon_kg: kg CO2e emitted.
        energy_mj: used.
        money_usd: earned less spent.
        returned_kg: mass decided on.
        disposed_kg: mass landfilled.
        decisions: how many.
        violations: wishes that the law forbade.
        censored_units: of the park at the beginning that did not come back within the run.
        recovery: the answer to the first disruption, or None where there is none.
    """

    material_circularity: float
    finn_cycling: float
    waste: float
    energy_recovery: float
    component_reuse: float
    compliance: float
    service: float
    decision_quality: float
    value_retention: float
    lifecycle_multiplier: float
    carbon_handprint_kg: float
    carbon_kg: float
    energy_mj: float
    money_usd: float
    returned_kg: float
    disposed_kg: float
    decisions: int
    violations: int
    censored_units: int
    recovery: Recovery | None

    def as_record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(run: Run, number: int = 0) -> Metrics:
    """The metrics of scenario `number` of a run.

    Raises:
        MissingToolError: SciPy, which solves the bound, is not installed.
    """
    delivered = float(run.delivered[:, number].sum())
    disposed = float(run.disposed_kg[:, number].sum())
    virgin = float(run.virgin_kg[:, number].sum())
    mine = run.items.scenario[run.decided] == number
    decided, executed = run.decided[mine], run.executed[mine]
    quality = run.decided_quality[mine]
    mass = run.items.mass_kg(decided)
    again = executed <= Disposition.REMANUFACTURE
    constrained = float(run.constrained[:, number].sum())
    violations = float(run.violations[:, number].sum())
    service = service_level(run.wanted[:, number], run.overdue[:, number])
    energy, carbon = _avoided(run, number)
    embodied = _embodied(run, number)[0] * float(mass.sum())
    units = len(np.unique(decided))
    return Metrics(
        material_circularity=material_circularity(virgin, disposed, delivered),
        finn_cycling=_finn(run, number),
        waste=_share(disposed, disposed + delivered),
        energy_recovery=_share(energy, embodied),
        component_reuse=_share(float(mass[again].sum()), float(mass.sum())),
        compliance=1.0 - _share(violations, constrained),
        service=float(service.mean()),
        decision_quality=decision_quality(run, number),
        value_retention=_value_retention(run.items.product[decided], quality, executed),
        lifecycle_multiplier=1.0 + int(again.sum()) / max(1, units),
        carbon_handprint_kg=carbon,
        carbon_kg=float(run.carbon_kg[:, number].sum()),
        energy_mj=float(run.energy_mj[:, number].sum()),
        money_usd=float(run.money_usd[:, number].sum()),
        returned_kg=float(mass.sum()),
        disposed_kg=disposed,
        decisions=len(decided),
        violations=int(violations),
        censored_units=int(run.items.censored()[number]),
        recovery=_recovery(run, number, service),
    )


def material_circularity(virgin_kg: float, landfilled_kg: float, delivered_kg: float) -> float:
    """The material circularity indicator, 0..1; see the module for the variant.

    >>> material_circularity(100.0, 100.0, 100.0)
    0.1
    """
    if delivered_kg <= 0:
        return 0.0
    linear = (virgin_kg + landfilled_kg) / (2.0 * delivered_kg)
    return round(float(np.clip(1.0 - UTILITY_FACTOR * linear, 0.0, 1.0)), 12)


def decision_quality(run: Run, number: int) -> float:
    """Value of the first decision on every item, from the worst (0) to the bound (1)."""
    mine = np.flatnonzero(run.items.scenario == number)
    if not len(mine):
        return 1.0
    value = first_values(run.world, run.items, mine)
    first = np.full(len(run.items), -1, np.int64)
    # Backwards, so that the first decision on an item is written last.
    first[run.decided[::-1]] = run.executed[::-1]
    chosen = first[mine]
    # An item that is not decided yet at the end counts as its worst.
    worst = np.where(np.isfinite(value), value, np.inf).min(axis=1)
    got = np.where(chosen >= 0, value[np.arange(len(mine)), np.maximum(chosen, 0)], worst)
    got = np.where(np.isfinite(got), got, worst)
    bound = bound_usd(run.world.scenarios[number])
    span = bound - worst.sum()
    return 1.0 if span <= 0 else float(np.clip(1.0 - (bound - got.sum()) / span, 0.0, 1.0))


def _share(part: float, whole: float) -> float:
    return float(np.clip(part / whole, 0.0, 1.0)) if whole > 0 else 0.0


def _finn(run: Run, number: int) -> float:
    world = run.world
    nodes = slice(*world.first_node[number : number + 2].tolist())
    edges = slice(*world.first_edge[number : number + 2].tolist())
    return finn_cycling_index(
        world.topology.source[edges] - nodes.start,
        world.topology.target[edges] - nodes.start,
        run.edge_kg[edges],
        run.node_extracted_kg[nodes],
        run.node_disposed_kg[nodes],
    )


def _embodied(run: Run, number: int) -> tuple[float, float, float, float]:
    """Energy (MJ) and carbon (kg CO2e) per kg of a new product, and of its material alone."""
    world = run.world
    mine = world.scenario == number
    kind = world.topology.kind
    mines, factories = (mine & (kind == KIND[k]) for k in ("extraction", "manufacturing"))
    material = float(world.energy[mines].mean()), float(world.carbon[mines].mean())
    energy = material[0] + float(world.energy[factories].mean())
    carbon = material[1] + float(world.carbon[factories].mean())
    return energy, carbon, *material


def _avoided(run: Run, number: int) -> tuple[float, float]:
    """Energy (MJ) kept, and carbon (kg CO2e) avoided net of what the way back emitted."""
    world = run.world
    mine = run.world.scenario == number
    through = {k: mine & (world.topology.kind == KIND[k]) for k in BACK}
    stage = world.stage("collection", "use")
    reused = float(run.edge_kg[stage.edges][mine[stage.source]].sum())
    remade = REMANUFACTURING_YIELD * float(run.throughput_kg[through["remanufacturing"]].sum())
    stage = world.stage("recycling", "manufacturing")
    recycled = float(run.edge_kg[stage.edges][mine[stage.source]].sum())
    energy, carbon, material_energy, material_carbon = _embodied(run, number)
    emitted = sum(
        float((run.throughput_kg * world.carbon)[nodes].sum()) for nodes in through.values()
    )
    return (
        (reused + remade) * energy + recycled * material_energy,
        (reused + remade) * carbon + recycled * material_carbon - emitted,
    )


def _value_retention(product: Integers, quality: Floats, executed: Integers) -> float:
    sold = sales_usd(product, quality)[np.arange(len(product)), executed]
    material = BILL_KG[product] @ (MATERIAL_USD_PER_KG * RECYCLING_YIELD)
    # No more than the price: rare earths may be worth more than a worn phone.
    kept = np.where(executed == Disposition.RECYCLE, np.minimum(material, PRICE_USD[product]), sold)
    return _share(float(kept.sum()), float(PRICE_USD[product].sum()))


def _recovery(run: Run, number: int, service: Floats) -> Recovery | None:
    scenario = run.world.scenarios[number]
    onsets = [d.start for d in scenario.disruptions if 1 <= d.start < len(service)]
    if not onsets:
        return None
    return recovery_of(service, min(onsets), scenario.recovery_window_ticks)
