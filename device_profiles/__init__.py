"""What a device is: sourced data, one TOML file per device, and one frozen record of it."""

from device_profiles.checks import validate
from device_profiles.core import CORES, Core, Isa, KernelClass
from device_profiles.figures import FIGURES, FigureKey
from device_profiles.load import DEFAULT_DEVICE, load, load_all, read_profile
from device_profiles.profile import DeviceProfile, Emulator, Figure, Memory

__all__ = [
    "CORES",
    "DEFAULT_DEVICE",
    "FIGURES",
    "Core",
    "DeviceProfile",
    "Emulator",
    "Figure",
    "FigureKey",
    "Isa",
    "KernelClass",
    "Memory",
    "load",
    "load_all",
    "read_profile",
    "validate",
]
