"""Put a bundle's model onto a device."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.node.serial_device import SerialDevice
from edge_runtime.wire.image import parse_image
from jouleloop.errors import BundleError, LinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.wire.bundle import Bundle


@dataclass(frozen=True)
class Flashed:
    """A model that a device took and serves.

    Args:
        name: the model's name.
        device: profile that it was exported for.
        port: where the device is.
        slot: of the device, 0 or 1.
        version: as the device writes it.
        image_sha256: hex; by which the device names the image.
        image_bytes: size of the image.
        link_bytes: on the wire, both ways.
    """

    name: str
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


def flash_over_smp(
    bundle: Bundle, port: str, *, progress: Callable[[int, int], None] | None = None
) -> Flashed:
    """Upload a bundle's model over SMP and make sure that the device serves it.

    The device checks hash, core and memory, and runs the golden rows that the module carries,
    before it lets go of the model that it had.

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
        return Flashed(
            bundle.name,
            bundle.device_id,
            port,
            active.slot,
            active.version,
            image.sha256.hex(),
            len(content),
            device.bytes_sent + device.bytes_received,
        )
