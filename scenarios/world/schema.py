"""The form of a scenario; structure.py checks what holds between its parts."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT = 1
KINDS = (
    "extraction",
    "manufacturing",
    "use",
    "collection",
    "disassembly",
    "remanufacturing",
    "recycling",
)
# The stage template: which kind may send to which.
STAGES = (
    ("extraction", "manufacturing"),
    ("manufacturing", "use"),
    ("use", "collection"),
    ("collection", "use"),  # reuse
    ("collection", "disassembly"),
    ("disassembly", "remanufacturing"),
    ("disassembly", "recycling"),
    ("remanufacturing", "use"),
    ("recycling", "manufacturing"),
)
# What each kind of policy may be about.
SUBJECTS = {
    "tax": ("carbon", "virgin", "landfill"),  # USD per kg of CO2e, of virgin material, landfilled
    "cap": ("carbon",),  # kg CO2e per tick, of all processes together
    "recycled_content": ("products",),  # least share of secondary mass in new products
    "ban": ("landfill",),  # of the products listed, or of all
    "collection_target": ("returns",),  # least share of returned mass that enters the loop
}
SHARES = ("recycled_content", "collection_target", "ban")

# Beyond any chain on earth, and far below where sums of floats lose a gram.
Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Hours = Annotated[float, Field(ge=1e-3, le=1e5, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tick = Annotated[int, Field(ge=0, le=1_000_000)]
Kind = Literal[
    "extraction",
    "manufacturing",
    "use",
    "collection",
    "disassembly",
    "remanufacturing",
    "recycling",
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Node(_Frozen):
    """A process.

    Args:
        id: its name, unique.
        kind: one of KINDS.
        capacity_kg: most mass that it processes in one tick.
        energy_mj_per_kg: process energy.
        carbon_kg_per_kg: process emissions, kg CO2e per kg.
        demand_kg: products wanted per tick; only a use node wants any.
    """

    id: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Kind
    capacity_kg: Amount
    energy_mj_per_kg: Amount
    carbon_kg_per_kg: Amount
    demand_kg: Amount = 0.0


class Edge(_Frozen):
    """A haul, from a node to another; takes one tick."""

    source: str
    target: str
    distance_km: Amount


class ProductShare(_Frozen):
    """A product class and its share of all returned units."""

    unu_key: str
    share: Share


class Returns(_Frozen):
    """How much comes back, and what.

    Args:
        ratio: returned mass per delivered mass in a stationary park.
        age_correlation: rank correlation of age and damage, 0..1.
        products: shares of the product classes; they add up to 1.
    """

    ratio: Share
    age_correlation: Share
    products: Annotated[tuple[ProductShare, ...], Field(min_length=1, strict=False)]


class Point(_Frozen):
    """A corner of a piecewise-linear schedule."""

    tick: Tick
    level: Amount


class Policy(_Frozen):
    """A rule of law on the interval [start, end).

    Args:
        kind: one of SUBJECTS.
        subject: what it is about.
        start: first tick at which it holds.
        end: first tick at which it no longer does.
        points: corners of its level; constant before the first and after the last.
        products: UNU keys that a ban concerns; empty for all.
    """

    kind: Literal["tax", "cap", "recycled_content", "ban", "collection_target"]
    subject: str
    start: Tick
    end: Tick
    points: Annotated[tuple[Point, ...], Field(min_length=1, strict=False)]
    products: Annotated[tuple[str, ...], Field(strict=False)] = ()


class Disruption(_Frozen):
    """Something that fails on the interval [start, end).

    Args:
        kind: `supply_outage` of a material at some manufacturing nodes, `node_failure` of some
            nodes, `demand_shock` at some use nodes.
        start: first tick.
        end: first tick after.
        nodes: ids of those hit.
        material: what is missing in a supply outage.
        factor: by which demand is multiplied in a demand shock.
    """

    kind: Literal["supply_outage", "node_failure", "demand_shock"]
    start: Tick
    end: Tick
    nodes: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]
    material: Literal["aluminium", "steel", "copper", "plastics", "rare_earths"] | None = None
    factor: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.material is not None) != (self.kind == "supply_outage"):
            raise ValueError("a material goes with a supply_outage, and only there")
        if (self.factor is not None) != (self.kind == "demand_shock"):
            raise ValueError("a factor goes with a demand_shock, and only there")
        return self


class Scenario(_Frozen):
    """A circular supply chain, its law and its misfortunes.

    Args:
        format: of this file, 1.
        id: SHA-256 of the canonical JSON of all the rest.
        seed: of all that is random in its run.
        ticks: how long a run is.
        tick_hours: length of a tick.
        recovery_window_ticks: within which a supply chain should recover from a disruption.
        nodes: processes.
        edges: hauls.
        returns: products that come back.
        policies: law.
        disruptions: misfortunes.
    """

    format: Literal[1]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    seed: Annotated[int, Field(ge=0, le=2**53)]
    ticks: Annotated[int, Field(ge=1, le=100_000)]
    tick_hours: Hours
    recovery_window_ticks: Annotated[int, Field(ge=1, le=100_000)]
    nodes: Annotated[tuple[Node, ...], Field(min_length=len(KINDS), strict=False)]
    edges: Annotated[tuple[Edge, ...], Field(min_length=1, strict=False)]
    returns: Returns
    policies: Annotated[tuple[Policy, ...], Field(strict=False)]
    disruptions: Annotated[tuple[Disruption, ...], Field(strict=False)]

    @cached_property
    def index(self) -> dict[str, int]:
        """Position of every node by its id."""
        return {node.id: position for position, node in enumerate(self.nodes)}
