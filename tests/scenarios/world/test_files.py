"""A broken scenario file is refused with the JSON path of what is wrong."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jouleloop.errors import ScenarioError
from scenarios.world.file import parse, read
from scenarios.world.folder import check_files
from scenarios.world.linear_programs import require_feasible
from scenarios.world.schema import Scenario
from tests.scenarios.world.worlds import changed, record

pytestmark = pytest.mark.pure

POLICY = {
    "kind": "tax",
    "subject": "carbon",
    "start": 3,
    "end": 9,
    "points": [{"tick": 3, "level": 0.1}, {"tick": 8, "level": 0.2}],
}


def policy(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(new: dict[str, Any]) -> None:
        new["policies"] = [POLICY | changes]

    return change


def place(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(new: dict[str, Any]) -> None:
        target: Any = new
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = value

    return change


def isolate(new: dict[str, Any]) -> None:
    new["edges"] = [e for e in new["edges"] if "use-1" not in (e["source"], e["target"])]


def loop_without_capacity(new: dict[str, Any]) -> None:
    for node in new["nodes"]:
        if node["kind"] == "disassembly":
            node["capacity_kg"] = 0.0


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (place("edges", 7, "target", value="nowhere"), "$.edges[7].target"),
        (place("edges", 7, "source", value="use-99"), "$.edges[7].source"),
        (
            place("edges", 7, value={"source": "use-0", "target": "use-1", "distance_km": 1.0}),
            "$.edges[7]",
        ),
        (lambda new: new["edges"].append(new["edges"][0]), "$.edges["),
        (place("nodes", 2, "capacity_kg", value=-1.0), "$.nodes[2].capacity_kg"),
        (place("nodes", 2, "capacity_kg", value="much"), "$.nodes[2].capacity_kg"),
        (place("nodes", 2, "capacity_kg", value=1e308), "$.nodes[2].capacity_kg"),
        (place("nodes", 2, "energy_mj_per_kg", value=1e10), "$.nodes[2].energy_mj_per_kg"),
        (place("nodes", 8, "demand_kg", value=1e9), "$.returns"),
        (place("tick_hours", value=1e-9), "$.tick_hours"),
        (place("nodes", 2, "colour", value="red"), "$.nodes[2].colour"),
        (place("nodes", 2, "id", value="use-0"), "$.nodes["),
        (place("nodes", 0, "kind", value="magic"), "$.nodes[0].kind"),
        (loop_without_capacity, "capacity_kg"),
        (isolate, "$.nodes["),
        (policy(kind="wish"), "$.policies[0].kind"),
        (policy(subject="weather"), "$.policies[0].subject"),
        (policy(end=3), "$.policies[0].end"),
        (policy(points=[]), "$.policies[0].points"),
        (policy(points=[{"tick": 2, "level": 0.1}]), "$.policies[0].points[0].tick"),
        (policy(points=[{"tick": 9, "level": 0.1}]), "$.policies[0].points[0].tick"),
        (
            policy(kind="collection_target", subject="returns", points=[{"tick": 3, "level": 1.5}]),
            "$.policies[0].points[0].level",
        ),
        (policy(products=["0104"]), "$.policies[0].products"),
        (
            policy(
                kind="ban",
                subject="landfill",
                products=["9999"],
                points=[{"tick": 3, "level": 1.0}],
            ),
            "$.policies[0].products[0]",
        ),
        (place("returns", "products", 0, "unu_key", value="9999"), "$.returns.products[0].unu_key"),
        (place("returns", "products", 0, "share", value=0.9999), "$.returns.products"),
        (place("disruptions", 0, "nodes", 0, value="nowhere"), "$.disruptions[0].nodes[0]"),
        (place("disruptions", 0, "nodes", 0, value="use-0"), "$.disruptions[0].nodes[0]"),
        (place("disruptions", 0, "end", value=0), "$.disruptions[0].end"),
        (place("disruptions", 0, "material", value=None), "$.disruptions[0]"),
        (place("ticks", value=0), "$.ticks"),
        (place("format", value=2), "$.format"),
        (lambda new: new.pop("returns"), "$.returns"),
    ],
)
def test_a_broken_part_is_named_by_its_path(
    change: Callable[[dict[str, Any]], None], path: str
) -> None:
    with pytest.raises(ScenarioError) as refused:
        parse(changed(change), "world.json")
    assert path in refused.value.message
    assert refused.value.message.startswith("world.json: $")


def test_an_altered_file_is_noticed() -> None:
    altered = record()
    altered["nodes"][0]["capacity_kg"] += 1.0
    with pytest.raises(ScenarioError, match=r"\$\.id: .*altered"):
        parse(altered)


def test_an_impossible_demand_is_found_by_the_linear_program() -> None:
    greedy = parse(changed(place("nodes", 8, "demand_kg", value=1e6)))
    assert greedy.nodes[8].kind == "use"
    with pytest.raises(ScenarioError, match=r"\$\.nodes: no steady flow"):
        require_feasible([parse(record()), greedy])
    require_feasible([parse(record())])


@pytest.mark.parametrize("text", ["", "{", "[1]", "nan", '{"format": NaN}', "\x00", "[" * 100_000])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "world.json"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"world\.json: \$"):
        read(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_what_is_no_finite_number_is_named_by_its_path(tmp_path: Path, number: str) -> None:
    text = json.dumps(record())
    capacity = f'"capacity_kg": {record()["nodes"][0]["capacity_kg"]}'
    assert capacity in text
    (tmp_path / "world.json").write_text(text.replace(capacity, f'"capacity_kg": {number}', 1))
    with pytest.raises(ScenarioError, match=r"\$\.nodes\[0\]\.capacity_kg: .*finite|less"):
        read(tmp_path / "world.json")


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    text = json.dumps(record()).replace("{", '{"seed": 1, ', 1)
    (tmp_path / "world.json").write_text(text)
    with pytest.raises(ScenarioError, match="'seed' is there twice"):
        read(tmp_path / "world.json")


def test_a_folder_without_scenarios_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="no scenario file"):
        check_files(tmp_path)
    with pytest.raises(ScenarioError, match="does not exist"):
        check_files(tmp_path / "absent")


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in leaves(value[key], (*path, key))]
    if isinstance(value, list):
        return [leaf for key, item in enumerate(value) for leaf in leaves(item, (*path, key))]
    return [path]


LEAVES = leaves(record())
JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just([])
)


@given(st.sampled_from(LEAVES), JUNK)
def test_any_altered_value_is_refused_in_order(path: tuple[str | int, ...], junk: Any) -> None:
    altered = copy.deepcopy(record())
    target: Any = altered
    for part in path[:-1]:
        target = target[part]
    unchanged = json.dumps(target[path[-1]]) == json.dumps(junk)
    target[path[-1]] = junk
    if unchanged:
        parse(altered)
    else:
        with pytest.raises(ScenarioError):
            parse(altered)


def test_scenarios_can_be_hashed_and_written_back() -> None:
    whole = parse(record())
    assert hash(whole.policies) == hash(parse(record()).policies)
    assert Scenario.model_validate_json(whole.model_dump_json()) == whole
