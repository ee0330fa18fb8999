"""The machine that a Linux node runs on: what it is, and what its seconds cost."""

from __future__ import annotations

import platform
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import device_profiles
from device_profiles.energy_model import state_energy
from jouleloop.errors import MissingFigureError, UnknownDeviceError

if TYPE_CHECKING:
    from jouleloop.energy import Energy

_MODEL_FILE = Path("/proc/device-tree/model")


@dataclass(frozen=True)
class HostEnergy:
    """Joules of this machine, modelled by a profile's power.

    Args:
        profile: a Linux profile with a power, or None.
        host: this machine.
        reason: why there are no joules; empty when there are.
    """

    profile: device_profiles.DeviceProfile | None
    host: str
    reason: str = ""

    @classmethod
    def of(cls, device_id: str, host: str) -> HostEnergy:
        """The model for a bundle's device, on this machine."""
        try:
            profile = device_profiles.load(device_id)
            if profile.kind != "linux":
                return cls(
                    None,
                    host,
                    f"the bundle was made for {profile.id}, which is no Linux device, and the "
                    f"power of this machine ({host}) is not known",
                )
            profile.figure("power.active_w", needed_for="the energy of an inference")
        except (UnknownDeviceError, MissingFigureError) as error:
            return cls(None, host, error.message)
        return cls(profile, host)

    def inference(self, seconds: float) -> Energy | None:
        """Active power times measured seconds; None where the power is not known."""
        return self._state("active", seconds, "inference alone, without wake and radio")

    def sleep(self, seconds: float) -> Energy | None:
        """Idle power times the time between decisions; None where the power is not known."""
        if self.profile is None or not self.profile.has("power.idle_w"):
            return None
        return self._state("idle", seconds, "idle between decisions")

    def _state(self, state: str, seconds: float, what: str) -> Energy | None:
        if self.profile is None:
            return None
        energy = state_energy(self.profile, state, seconds)
        is_same = self.profile.name in self.host
        doubt = "" if is_same else f", which is no {self.profile.name}"
        measured = f"seconds measured on this machine ({self.host}{doubt})"
        return replace(energy, source=f"{what}; {energy.source}; {measured}")


def host_name() -> str:
    """What this machine is: its maker's name where it states one, else its architecture."""
    try:
        return _MODEL_FILE.read_text().strip("\0 \n")
    except (OSError, UnicodeDecodeError):
        return f"{platform.system()} {platform.machine()}"


def default_node_id() -> str:
    """This machine's host name, as a Sparkplug id."""
    name = socket.gethostname()
    return "".join("-" if character in "+/#" else character for character in name) or "node"
