"""Scenarios for tests, and a way to change them as someone with an editor would."""

from __future__ import annotations

import copy
import functools
import json
from typing import TYPE_CHECKING, Any

from scenarios.world.file import canonical_id
from scenarios.world.generate import as_record, make_scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenarios.world.schema import Scenario


@functools.cache
def scenario(seed: int = 3, nodes: int = 20, ticks: int = 160) -> Scenario:
    return make_scenario(seed, nodes=nodes, ticks=ticks)


def record(seed: int = 3) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(json.dumps(as_record(scenario(seed))))
    return loaded


def changed(change: Callable[[dict[str, Any]], None], seed: int = 3) -> dict[str, Any]:
    """A record with a change and the id that goes with it: nobody can tell that it was altered."""
    new = copy.deepcopy(record(seed))
    change(new)
    new["id"] = canonical_id(new)
    return new
