"""What is in a bundle: its facts for people, its files for other tools."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from edge_runtime.wire.bundle import MANIFEST, PUBLIC_KEY, manifest_file, native_name
from edge_runtime.wire.image import parse_image
from edge_runtime.wire.keys import PublicKey
from jouleloop.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.wire.bundle import Bundle


def describe_bundle(bundle: Bundle) -> dict[str, Any]:
    """The facts of a bundle, its signature verified.

    Returns:
        A record for JSON; "module" is null where the device gets no native module.

    Raises:
        SignatureError: the module is not signed, or not by the key that the bundle carries.
        BundleError: the module's image is broken.
        MissingToolError: the package `cryptography` is not installed.
    """
    return {
        "name": bundle.name,
        "device": bundle.device_id,
        "family": bundle.family,
        "rounding": bundle.rounding,
        "producer": bundle.producer,
        "inputs": [spec.as_record() for spec in bundle.inputs],
        "outputs": [spec.as_record() for spec in bundle.outputs],
        "module": _describe_module(bundle)
        if native_name(bundle.device_id) in bundle.files
        else None,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(bundle.files.items())
        },
    }


def _describe_module(bundle: Bundle) -> dict[str, Any]:
    image = parse_image(bundle.native)
    signer = image.verify(_signers(bundle))
    target = image.target
    return {
        "file": native_name(bundle.device_id),
        "bytes": len(bundle.native),
        "version": str(image.version),
        "image_sha256": image.sha256.hex(),
        "security_counter": image.security_counter,
        "kernel_class": target.kernel_class,
        "isa_features": target.isa_features,
        "abi_version": target.abi_version,
        "signed_by": signer.key_hash.hex(),
    }


def _signers(bundle: Bundle) -> tuple[PublicKey, ...]:
    if PUBLIC_KEY not in bundle.files:
        return ()
    return (PublicKey.from_pem(bundle.files[PUBLIC_KEY], f"{PUBLIC_KEY} in {bundle.name}"),)


def extract_bundle(bundle: Bundle, folder: Path, *, replace: bool = False) -> tuple[Path, ...]:
    """Write every file of a bundle into a folder, the manifest too.

    Args:
        bundle: what `read_bundle` gave.
        folder: made when missing.
        replace: whether files that are there give way.

    Returns:
        The written files.

    Raises:
        BundleError: a file is there already and must not be replaced; then nothing is written.
    """
    files = {MANIFEST: manifest_file(bundle), **bundle.files}
    # `lexists`: a link that leads nowhere is somebody's file too.
    there = sorted(name for name in files if os.path.lexists(folder / name))
    if there and not replace:
        raise BundleError(
            f"{folder} has files of these names already: {', '.join(there)}",
            hint="name another folder, or replace them with --force",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        partial = folder / f".{name}.partial"
        try:
            partial.write_bytes(content)
            # Takes the place of a link, and never follows one.
            partial.replace(folder / name)
        finally:
            partial.unlink(missing_ok=True)
    return tuple(folder / name for name in sorted(files))
