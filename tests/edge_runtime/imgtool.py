"""MCUboot's own tool, which signs and verifies images without a line of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.wire.keys import SigningKey

IMGTOOL = str(Path(sys.executable).with_name("imgtool"))
# As `Target(kernel_class=2, isa_features=7)` packs.
TARGET_HEX = "0102010007000000"


def imgtool_sign(
    folder: Path, payload: bytes, key: SigningKey, *, counter: int, target_hex: str = TARGET_HEX
) -> bytes:
    """An image of version 1.2.3+4 with the target TLV, made by `imgtool sign`."""
    (folder / "key.pem").write_bytes(key.pem)
    (folder / "payload.bin").write_bytes(payload)
    subprocess.run(
        [
            *(IMGTOOL, "sign", "--key", folder / "key.pem", "--version", "1.2.3+4"),
            *("--header-size", "32", "--pad-header", "--slot-size", "262144", "--align", "4"),
            *("--security-counter", str(counter), "--custom-tlv", "0x00a0", f"0x{target_hex}"),
            *(folder / "payload.bin", folder / "signed.bin"),
        ],
        check=True,
        capture_output=True,
    )
    return (folder / "signed.bin").read_bytes()
