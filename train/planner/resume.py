"""Snapshots of a training every few seconds, so that a killed one goes on where it was."""

from __future__ import annotations

import io
import pickle
import time
from typing import TYPE_CHECKING, Any, Protocol

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Snapshot = dict[str, Any]
SAVE_EVERY_S = 5.0
SHOW_EVERY = 50  # steps


class Learner(Protocol):
    """What can be kept and taken up again."""

    step: int
    steps: int

    def learn(self, loss: torch.Tensor) -> None:
        """One step."""

    def snapshot(self) -> Snapshot:
        """Everything that the next step depends on."""

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""


class Progress:
    """Runs the parts of a training, keeps where each is, and tells how far.

    Args:
        path: file of the snapshots; none are kept when left out.
        fingerprint: of everything that the training depends on; snapshots of another are ignored.
        show: called with (what, steps done, steps in all).
    """

    def __init__(
        self,
        path: Path | None = None,
        fingerprint: str = "",
        show: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self._path, self._fingerprint, self._show = path, fingerprint, show
        self._kept = self._read()

    def run(self, part: str, learner: Learner, loss: Callable[[], torch.Tensor]) -> None:
        """Learn until the learner has made all its steps, from its last snapshot on."""
        if part in self._kept:
            learner.restore(self._kept[part])
        saved = time.monotonic()
        while learner.step < learner.steps:
            learner.learn(loss())
            if self._show is not None and learner.step % SHOW_EVERY == 0:
                self._show(part, learner.step, learner.steps)
            if time.monotonic() - saved > SAVE_EVERY_S:
                self._keep(part, learner)
                saved = time.monotonic()
        self._keep(part, learner)

    def _keep(self, part: str, learner: Learner) -> None:
        if self._path is None:
            return
        self._kept[part] = learner.snapshot()
        buffer = io.BytesIO()
        torch.save({"fingerprint": self._fingerprint, "parts": self._kept}, buffer)
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_bytes(buffer.getvalue())
        partial.replace(self._path)

    def _read(self) -> dict[str, Snapshot]:
        if self._path is None:
            return {}
        try:
            record = torch.load(self._path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return {}
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            return {}  # no snapshot of ours: begin again
        parts: dict[str, Snapshot] = record.get("parts", {})
        return parts if record.get("fingerprint") == self._fingerprint else {}
