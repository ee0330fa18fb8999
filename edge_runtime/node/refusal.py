"""Why a device did not take an image, in words that name both sides and the next step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.wire.image import PROFILE_CLASS_FIRMWARE
from edge_runtime.wire.keys import short_hash
from edge_runtime.wire.smp import Group, NodeError
from jouleloop.errors import DeviceRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.node.device_records import Trust
    from edge_runtime.wire.image import Image

_EXPORT_FOR_IT = "export the model again with --device and the profile of this device"
_HINTS: dict[int, str] = {
    NodeError.UNSIGNED: "export the model again: jouleloop signs what it exports",
    NodeError.SIGNATURE_WRONG: "fetch the bundle again, or export the model again",
    NodeError.NO_COUNTER: "export the model again, or sign with imgtool's --security-counter",
    NodeError.NO_TARGET: "only images that jouleloop exports say what they are made for",
    NodeError.WRONG_CORE: _EXPORT_FOR_IT,
    NodeError.ISA_MISSING: _EXPORT_FOR_IT,
    NodeError.FLASH_READ_ONLY: "program the model with a debug probe (docs/porting.md); an "
    "emulated board gets it when it starts: `jouleloop board DEVICE --model BUNDLE`",
    NodeError.ABI_UNSUPPORTED: "update the device's firmware, or export the model with the "
    "jouleloop that the firmware belongs to",
}


def explain_refusal(
    error: DeviceRefusedError, image: Image, ask_trust: Callable[[], Trust]
) -> DeviceRefusedError:
    """The error that says what to do about a refused image.

    Args:
        error: what the device said.
        image: what it was offered.
        ask_trust: asks the device whose images it takes.
    """
    if error.group != Group.NODE:
        return error
    message, hint = error.message, _HINTS.get(error.code, "")
    if error.code == NodeError.KEY_UNTRUSTED:
        known = ", ".join(map(short_hash, ask_trust().key_hashes))
        message = (
            f"{error.message}: the image is signed by {short_hash(image.key_hash)}, the device "
            f"trusts {known}"
        )
        hint = (
            "export the model with --key and a trusted key's file, or build firmware that trusts "
            "the signer: --trust and the bundle's public.pem (docs/security.md)"
        )
    elif error.code == NodeError.COUNTER_OLDER:
        is_firmware = image.target.profile_class == PROFILE_CLASS_FIRMWARE
        trust = ask_trust()
        reached = trust.firmware_counter if is_firmware else trust.model_counter
        message = (
            f"{error.message}: the image's is {image.security_counter}, the device has reached "
            f"{reached}"
        )
        hint = (
            "give the device firmware that was not withdrawn"
            if is_firmware
            else f"export the model with --security-counter {reached}"
        )
    return DeviceRefusedError(message, code=error.code, group=error.group, hint=hint)
