"""Put a bundle's model, or firmware, onto a device."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.firmware.build import board_of, build_firmware
from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.image import parse_image
from jouleloop.errors import BundleError, InputError, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_profiles import DeviceProfile
    from edge_runtime.wire.bundle import Bundle
    from edge_runtime.wire.image import Version

_PROBE = "program its firmware with a debug probe (docs/porting.md)"


@dataclass(frozen=True)
class FlashedImage:
    """An image that a device took and runs.

    Args:
        device: its profile.
        port: where it is.
        slot: of the device, 0 or 1.
        version: as the device writes it.
        image_sha256: hex; by which the device names the image.
        image_bytes: size of the image.
        link_bytes: on the wire, both ways.
    """

    device: str
    port: str
    slot: int
    version: str
    image_sha256: str
    image_bytes: int
    link_bytes: int

    def as_record(self) -> dict[str, Any]:
        """The record for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class FlashedModel(FlashedImage):
    """A model that a device took and serves.

    Args:
        name: the model's name.
    """

    name: str


def flash_over_smp(
    bundle: Bundle, port: str, *, progress: Callable[[int, int], None] | None = None
) -> FlashedModel:
    """Upload a bundle's model over SMP, make sure that the device serves it, and confirm it.

    The device checks hash, core and memory, runs the golden rows that the module carries, and
    serves the model on trial. When it serves and its golden rows come out right once more, it is
    confirmed; until then the next start brings back the model that the device had.

    Args:
        bundle: the exported model.
        port: path of the device's serial port.
        progress: called with (bytes uploaded, bytes in all).

    Raises:
        BundleError: the bundle has no native module, or it is broken.
        LinkError: the port cannot be opened, or the device did not answer or refused the model.
    """
    try:
        content = bundle.native
    except BundleError as error:
        raise BundleError(
            f"the bundle {bundle.name} holds no module for a microcontroller; it was exported for "
            f"{bundle.device_id}",
            hint="a Linux node runs it with `jouleloop run`; for a board export it again with "
            "--device",
        ) from error
    image = parse_image(content)
    with SerialDevice(port) as device:
        device.upload_model(content, progress)
        active = device.active_model()
        if active is None or active.sha256 != image.sha256:
            raise LinkError(
                f"the device on {port} took the upload, but does not serve the model",
                hint="upload it again",
            )
        device.self_test()
        device.confirm_model(image.sha256)
        return FlashedModel(
            bundle.device_id,
            port,
            active.slot,
            active.version,
            image.sha256.hex(),
            len(content),
            device.bytes_sent + device.bytes_received,
            bundle.name,
        )


def update_firmware(
    profile: DeviceProfile,
    port: str,
    *,
    version: Version | None = None,
    security_counter: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FlashedImage:
    """Build firmware, put it on trial on a device, and confirm it once it answers.

    The boot loader verifies the image and starts it once; unless it is confirmed, the firmware that
    ran before comes back at the next start.

    Args:
        profile: the device; its emulated machine has a port.
        port: path of the device's serial port.
        version: of the firmware; None: this program's.
        security_counter: of its image.
        progress: called with (bytes uploaded, bytes in all).

    Raises:
        InputError: there is no firmware for the device, or it has no boot loader.
        LinkError: the device did not answer, refused the image, or rolled back to the old one.
        MachineError: the firmware does not build.
    """
    if not board_of(profile).has_boot_loader:
        raise InputError(
            f"{profile.id} has no boot loader that could start other firmware", hint=_PROBE
        )
    firmware = build_firmware(profile, version=version, security_counter=security_counter)
    with SerialDevice(port) as device:
        running = next((state for state in device.firmware() if state.is_active), None)
        if running is None or running.sha256 is None:
            raise InputError(
                f"the device on {port} has no boot loader that could start other firmware",
                hint=_PROBE,
            )
        slot = 1 - running.slot
        content = firmware.image(slot)
        sha256 = parse_image(content).sha256
        device.upload_firmware(content, progress)
        device.try_image(sha256)
        device.reset()
        now = next((state for state in device.firmware() if state.is_active), running)
        if now.sha256 != sha256:
            raise LinkError(
                f"the device on {port} went back to firmware {now.version} in slot {now.slot}: "
                f"{device.rollback().firmware}"
            )
        device.confirm_firmware()
        return FlashedImage(
            profile.id,
            port,
            slot,
            now.version,
            sha256.hex(),
            len(content),
            device.bytes_sent + device.bytes_received,
        )
