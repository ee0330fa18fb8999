"""A whole planner module in NumPy: noise, denoising, and the projection as it was exported.

The specification of export/planner/jl_sampler.c, with its bits, and what a node runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edge_runtime.planner.sampler import Sampled, mass_residual, sample_coordinates
from edge_runtime.planner.state import join_plans, split_plans

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.planner.amortiser import Amortiser
    from edge_runtime.planner.projection import Projected, Projector
    from edge_runtime.planner.sampler import Condition, Denoise, SamplerTables
    from edge_runtime.wire.tensor import TensorSpec

    Singles = NDArray[np.float32]

NOT_PROJECTED = 2  # a code beside those of `jl_project`


class ProjectionMode(StrEnum):
    """When plans are projected on the constraints.

    `end`: once, after the last step. `each-step`: x0 of every step too, and the noise is worked out
    again from it. `none`: never; such plans keep no constraint.
    """

    END = "end"
    EACH_STEP = "each-step"
    NONE = "none"


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws plans as one exported module does.

    Args:
        tables: of K steps.
        specs: of the denoiser's input and output.
        denoise: runs the int8 denoiser.
        projector: in the module's arithmetic.
        projection: when.
        amortiser: guesses the flows that projections start from; None iterates for them.
    """

    tables: SamplerTables
    specs: tuple[TensorSpec, TensorSpec]
    denoise: Denoise
    projector: Projector
    projection: ProjectionMode = ProjectionMode.END
    amortiser: Amortiser | None = None

    def draw(
        self,
        condition: Condition,
        seed: int,
        samples: NDArray[Any],
        bounds: NDArray[Any] | None = None,
        watch: Callable[[int], None] | None = None,
    ) -> Sampled:
        """Plans, one per index.

        Args:
            condition: weights of cost and CO2: of all, or of each, [n, 2].
            seed: 0..2**64 - 1.
            samples: indices of samples under this seed, [n].
            bounds: of this request, [5, N] in the order of BOUNDS; None for the network's own.
            watch: called with the number of steps done.

        Raises:
            NetworkError: bounds that no plan keeps.
        """
        return self.finish(self.coordinates(condition, seed, samples, bounds, watch), bounds)

    def coordinates(
        self,
        condition: Condition,
        seed: int,
        samples: NDArray[Any],
        bounds: NDArray[Any] | None = None,
        watch: Callable[[int], None] | None = None,
    ) -> Singles:
        """As `draw`, before the last projection: in kg and shares, float32 [n, D]."""

        def project_x0(coordinates: Singles) -> Singles:
            return join_plans(self.project(coordinates, bounds).plans).astype(np.float32)

        return sample_coordinates(
            *(self.tables, self.specs, self.denoise, condition, seed, samples, watch),
            project_each=project_x0 if self.projection is ProjectionMode.EACH_STEP else None,
        )

    def finish(self, coordinates: Singles, bounds: NDArray[Any] | None = None) -> Sampled:
        """What the module answers for coordinates in kg and shares, float32 [n, D]."""
        network = self.projector.network
        if self.projection is ProjectionMode.NONE:
            plans = split_plans(network, coordinates.astype(np.float64))
            codes = np.full(len(coordinates), NOT_PROJECTED, np.int32)
        else:
            projected = self.project(coordinates, bounds)
            plans, codes = projected.plans, projected.switched_on.astype(np.int32)
        return Sampled(plans, mass_residual(network, plans), codes)

    def project(self, coordinates: Singles, bounds: NDArray[Any] | None = None) -> Projected:
        """Coordinates in kg and shares, float32 [n, D], on the constraints."""
        # In float32, as the device has them.
        single = cast("NDArray[np.float64]", coordinates)
        near = None if self.amortiser is None else self.amortiser.near(coordinates)
        return self.projector.project(
            split_plans(self.projector.network, single),
            bounds,
            near=cast("NDArray[np.float64] | None", near),
        )
