"""What a bundle expects to observe, by its card, and how a world's items are shown that way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jouleloop.errors import BundleError
from scenarios import pv
from scenarios.pv_likeness import like_modules
from scenarios.world import observation as world_items

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.wire.bundle import Bundle
    from scenarios.world.observation import SeenItems

FAMILY = "policy"
TRAIN_HINT = "`jouleloop train policy --worlds generated --out out/worlds-policy`, then export it"


@dataclass(frozen=True)
class Observation:
    """A way to show a world's items to a policy.

    Args:
        name: what it shows.
        features: its columns, as a card records them.
        observe: float32 [k, features] of k items, each value in [-1, 1].
    """

    name: str
    features: tuple[dict[str, Any], ...]
    observe: Callable[[SeenItems], NDArray[np.float32]]


WORLD_ITEMS = Observation(
    "items of a circular supply chain",
    tuple(feature.as_record() for feature in world_items.FEATURES),
    world_items.observe,
)
AS_MODULES = Observation(
    "items as the photovoltaic modules that are most like them",
    tuple(feature.as_record() for feature in pv.FEATURES),
    lambda seen: pv.observe(like_modules(seen)),
)


def observation_of(bundle: Bundle) -> Observation:
    """The observation that a bundle's card describes.

    Raises:
        BundleError: no policy, or one of something else, or of another version.
    """
    if bundle.family != FAMILY:
        raise BundleError(
            f"{bundle.name} is a {bundle.family}; this benchmark drives a {FAMILY}",
            hint=TRAIN_HINT,
        )
    features = _features(bundle.card)
    if not features:
        raise BundleError(
            f"the card of {bundle.name} does not say what the model observes", hint=TRAIN_HINT
        )
    for known in (WORLD_ITEMS, AS_MODULES):
        if features == known.features:
            _check_sizes(bundle, known)
            return known
    names = [str(feature["name"]) for feature in features]
    for known in (WORLD_ITEMS, AS_MODULES):
        if names == [feature["name"] for feature in known.features]:
            raise BundleError(
                f"{bundle.name} observes {known.name} in other ranges than this version",
                hint="train and export the policy again",
            )
    raise BundleError(
        f"{bundle.name} observes {', '.join(names[:4])}, ... ({len(names)} features); the worlds "
        "have nothing of that kind to show",
        hint=TRAIN_HINT,
    )


def _features(card: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """What a card says of the features of its input; nothing where it does not, or in no order."""
    try:
        features = tuple(card["inputs"][0]["features"])
        known = all(isinstance(feature["name"], str) for feature in features)
    except (KeyError, IndexError, TypeError):
        return ()
    return features if known else ()


def _check_sizes(bundle: Bundle, observation: Observation) -> None:
    inputs = sum(spec.size for spec in bundle.inputs)
    outputs = sum(spec.size for spec in bundle.outputs)
    wanted = (len(observation.features), len(pv.DISPOSITIONS))
    if (len(bundle.inputs), len(bundle.outputs), inputs, outputs) != (1, 1, *wanted):
        raise BundleError(
            f"{bundle.name} maps {inputs} values to {outputs}; an item has {wanted[0]} "
            f"observations and {wanted[1]} dispositions",
            hint="train and export the policy again",
        )
