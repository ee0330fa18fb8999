"""The scenario file: a JSON object, checked from its syntax to its SHA-256.

Every error names the place by its JSON path, as in `$.edges[17].target`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jouleloop.errors import ScenarioError
from scenarios.world.schema import Scenario
from scenarios.world.structure import check_structure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails


def canonical_id(record: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal, of the canonical JSON of a record without its `id`."""
    rest = {key: value for key, value in record.items() if key != "id"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def seal(record: dict[str, Any]) -> Scenario:
    """A scenario from a record that has no id yet, checked for form and structure."""
    return _checked(record | {"id": canonical_id(record)}, "the scenario")


def parse(record: Any, where: str = "the scenario") -> Scenario:
    """A scenario from its JSON object, checked for form, structure and id.

    Raises:
        ScenarioError: names the JSON path of the first thing that is wrong.
    """
    scenario = _checked(record, where)
    actual = canonical_id(record)
    if scenario.id != actual:
        raise ScenarioError(
            f"{where}: $.id: says {scenario.id[:12]}..., but the content has {actual[:12]}...: "
            "the file was altered",
            hint="take the original again",
        )
    return scenario


def _checked(record: Any, where: str) -> Scenario:
    try:
        scenario = Scenario.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ScenarioError(
            f"{where}: {_path(first)}: {_reason(first)}",
            hint="jouleloop scenarios new writes files of the right form",
        ) from error
    check_structure(scenario, where)
    return scenario


def read(path: Path) -> Scenario:
    """A scenario from its file.

    Raises:
        ScenarioError: not JSON, or not a valid scenario.
        OSError: the file cannot be read.
    """
    try:
        record = json.loads(path.read_bytes(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        hint = "take the original again"
        raise ScenarioError(f"{path}: $: not JSON: {error}", hint=hint) from error
    return parse(record, str(path))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once: of two values one would be hashed, the other read."""
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return record


def _path(error: ErrorDetails) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    return "$" + "".join(parts)


def _reason(error: ErrorDetails) -> str:
    value = repr(error.get("input"))
    shown = f" (it is {value if len(value) <= 60 else value[:57] + '...'})"
    message = error["msg"][0].lower() + error["msg"][1:]
    return message + ("" if error["type"] in ("missing", "extra_forbidden") else shown)
