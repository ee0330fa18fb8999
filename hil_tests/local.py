"""The target `local`: the bundle's model on this machine."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.node.backends import Backend, open_backend
from hil_tests.target import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.wire.bundle import Bundle


@dataclass(frozen=True)
class LocalTarget:
    """A backend of the Linux node, in this process."""

    backend: Backend

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return "local"

    @property
    def description(self) -> str:
        """What stands behind it."""
        return f"{self.backend.name} on this machine"

    def infer(self, row: NDArray[np.int8]) -> Reply:
        """Run the model once; seconds are this machine's, not the device's."""
        output = self.backend.infer(row)
        return Reply(output, None, self.backend.seconds, 0)


@contextmanager
def open_local(bundle: Bundle, backend: str = "litert") -> Iterator[LocalTarget]:
    """Load a bundle's model on this machine.

    Raises:
        MissingToolError: the backend's package is not installed.
        BundleError: the model and the manifest disagree.
    """
    yield LocalTarget(open_backend(bundle, backend))
