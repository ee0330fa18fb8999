"""The bundle `NAME.jlb`: everything about one exported model, for one device, in one zip.

`operators.json` is the operator table, {"operators": [...]} in order of execution. Each entry has
`name`, `op` (TFLite's name), `inputs` and `outputs` (null for an input that is left out),
`attributes`, `kernel` (how the native module computes it; null without one) and `macs`. A tensor
has `name`, `shape`, `dtype`, `is_constant` and `quantisation`: null, or `scale` and `zero_point`,
lists of one element, or of one for each slice of `axis`.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_runtime.wire.tensor import TensorSpec
from jouleloop.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = 1
MANIFEST = "manifest.json"
ONNX = "model.onnx"
TFLITE = "model.tflite"
GOLDEN = "golden.npz"
PLANNER = "planner.json"  # of a planner: how its denoiser is sampled
AMORTISER_ONNX = "amortiser.onnx"  # of a planner whose projections start from a learned guess
AMORTISER_TFLITE = "amortiser.tflite"
PIPELINE_GOLDEN = "pipeline.npz"  # of a planner: requests and responses of the whole module
COST = "cost.json"
OPERATORS = "operators.json"
# Of the key that signed the native module's image.
PUBLIC_KEY = "public.pem"
# A name that is no path, so that no file of a bundle can leave the folder it is extracted to.
FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
# A bundle is read whole; nothing that runs on these devices comes near this size.
MAX_FILE_BYTES = 256 * 2**20
# RuntimeError: zipfile's for an entry that says it is encrypted or packed in some other way.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, RuntimeError),
    *(KeyError, ValueError, TypeError, EOFError, OSError),
)


def native_name(device_id: str) -> str:
    """Name of the native module's image inside a bundle."""
    return f"model.{device_id}.bin"


def native_elf_name(device_id: str) -> str:
    """Name of the linker's ELF file, which names the module's functions for profilers."""
    return f"model.{device_id}.elf"


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Args:
        name: the model's name.
        device_id: profile that it was exported for.
        family: what the model does: `policy`, ...; from the checkpoint's card.
        rounding: requantisation rule, `single` or `double`.
        producer: who wrote it.
        inputs: the model's inputs, int8.
        outputs: the model's outputs, int8.
        card: the checkpoint's card, as trained.
        files: name -> content: model.onnx, model.tflite, golden.npz, cost.json,
            operators.json; and where the device gets a native module, its signed image
            model.<profile>.bin and the signer's public.pem.
    """

    name: str
    device_id: str
    family: str
    rounding: str
    producer: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    card: Mapping[str, Any]
    files: Mapping[str, bytes]

    def file(self, name: str) -> bytes:
        """Content of a file.

        Raises:
            BundleError: the bundle has no such file.
        """
        if name not in self.files:
            raise BundleError(
                f"the bundle {self.name} for {self.device_id} has no {name}",
                hint=f"it has {', '.join(sorted(self.files))}",
            )
        return self.files[name]

    @property
    def native(self) -> bytes:
        """The native module's image (MCUboot format).

        Raises:
            BundleError: the bundle's device has no native module.
        """
        return self.file(native_name(self.device_id))

    @property
    def cost(self) -> dict[str, Any]:
        """The cost record (see `export/cost.py`)."""
        record: dict[str, Any] = json.loads(self.file(COST))
        return record


def manifest_file(bundle: Bundle) -> bytes:
    """The manifest, which names every other file with its size and its hash."""
    manifest = {
        "format": FORMAT,
        "name": bundle.name,
        "device": bundle.device_id,
        "family": bundle.family,
        "rounding": bundle.rounding,
        "producer": bundle.producer,
        "inputs": [spec.as_record() for spec in bundle.inputs],
        "outputs": [spec.as_record() for spec in bundle.outputs],
        "card": dict(bundle.card),
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in sorted(bundle.files.items())
        },
    }
    return json.dumps(manifest, indent=2, sort_keys=True).encode()


def write_bundle(bundle: Bundle, path: Path) -> None:
    """Write a bundle; the same bundle gives the same bytes, and `path` is old or new, never half.

    Args:
        bundle: what to write.
        path: the `.jlb` file; its folder must exist.

    Raises:
        BundleError: `path` is a folder.
    """
    if path.is_dir():
        raise BundleError(f"cannot write {path}: it is a folder", hint="name a file, NAME.jlb")
    partial = path.with_name(path.name + ".partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, MANIFEST, manifest_file(bundle))
            for name, content in sorted(bundle.files.items()):
                _add(archive, name, content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # A fixed date: the same model exported twice is the same file.
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check every file against the manifest's hashes.

    Raises:
        BundleError: missing, not a bundle, truncated or altered.
    """
    if not path.is_file():
        raise BundleError(f"no bundle at {path}", hint="make one with `jouleloop export`")
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(_read(archive, MANIFEST, path))
            if manifest["format"] != FORMAT:
                raise BundleError(
                    f"{path} is a bundle of format {manifest['format']}; this jouleloop reads "
                    f"format {FORMAT}",
                    hint="export the model again",
                )
            for name in (name for name in manifest["files"] if not FILE_NAME.fullmatch(name)):
                raise BundleError(
                    f"{path} names a file {name!r}; a bundle's files have plain names",
                    hint="it was not written by jouleloop; do not trust it",
                )
            files = {name: _read(archive, name, path) for name in manifest["files"]}
            for name, content in files.items():
                if hashlib.sha256(content).hexdigest() != manifest["files"][name]["sha256"]:
                    raise BundleError(
                        f"{name} in {path} is not the file that was exported (SHA-256 differs)",
                        hint="export the model again, or fetch the bundle again",
                    )
            return Bundle(
                manifest["name"],
                manifest["device"],
                manifest["family"],
                manifest["rounding"],
                manifest["producer"],
                tuple(map(TensorSpec.from_record, manifest["inputs"])),
                tuple(map(TensorSpec.from_record, manifest["outputs"])),
                manifest["card"],
                files,
            )
    except _UNREADABLE as error:
        raise BundleError(
            f"{path} is not a readable bundle: {error}",
            hint="export the model again, or fetch the bundle again",
        ) from error


def _read(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    entry = archive.getinfo(name)
    if entry.file_size > MAX_FILE_BYTES:
        raise BundleError(
            f"{name} in {path} unpacks to {entry.file_size} bytes; at most {MAX_FILE_BYTES}"
        )
    return archive.read(entry)
