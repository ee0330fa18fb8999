"""The firmware's parsers under libFuzzer, and the inputs that it found, saved.

`python -m tests.edge_runtime.fuzz.targets` makes the saved inputs again: it fuzzes from the seeds
of `seeds.py` and what is saved, and keeps the smallest inputs that reach every edge.
"""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.firmware.build import FOLDER, WARNINGS
from edge_runtime.firmware.trusted_keys import render_trusted_keys
from jouleloop.programs import require_program
from tests.edge_runtime.fuzz.seeds import SEEDS
from tests.edge_runtime.host_board import SANITIZERS, build_shims
from tests.keys import KEY, OTHER_KEY

HERE = Path(__file__).parent
MAX_INPUT_BYTES = 700
SEARCH_S = 6


@dataclass(frozen=True)
class Target:
    """A parser: its function is in `fuzz_NAME.c`, a name that no source of the firmware has.

    Args:
        name: of the file, and of its saved inputs.
        sources: of the firmware, below `src`; none: all of them.
        has_shims: whether it runs the cryptography of the boards.
    """

    name: str
    sources: tuple[str, ...] = ()
    has_shims: bool = False

    @property
    def saved(self) -> Path:
        """The saved inputs, a zip file."""
        return HERE / "inputs" / f"{self.name}.zip"

    def build(self, folder: Path, compiler: str, *flags: str) -> Path:
        """Compile it in a folder; returns the program."""
        (folder / "trusted_keys.c").write_text(
            render_trusted_keys([KEY.public, OTHER_KEY.public]), encoding="utf-8"
        )
        sources = [FOLDER / "src" / f"{source}.c" for source in self.sources]
        sources = sources or sorted(FOLDER.glob("src/*.c"))
        objects = build_shims(folder) if self.has_shims else []
        command = [
            require_program(compiler),
            *("-std=c11", "-O1", "-g", '-DJL_FIRMWARE_VERSION="1"', *WARNINGS, *flags),
            *(f"-I{FOLDER}/include", f"-I{FOLDER}/port", f"-I{HERE}"),
            *map(str, [HERE / f"fuzz_{self.name}.c", *sources]),
            *("trusted_keys.c", *objects, "-o", self.name),
        ]
        subprocess.run(command, cwd=folder, check=True)
        return folder / self.name

    def build_replay(self, folder: Path) -> Path:
        """A program that takes input files, by gcc with sanitizers."""
        return self.build(folder, "gcc", *SANITIZERS, str(HERE / "replay.c"))

    def build_fuzzer(self, folder: Path) -> Path:
        """A libFuzzer program."""
        return self.build(
            folder,
            "clang-14",
            "-fsanitize=fuzzer,address,undefined",
            "-fno-sanitize-recover=all",
        )

    def unpack(self, folder: Path) -> Path:
        """Write the saved inputs into a folder of this one; returns it."""
        inputs = folder / "inputs"
        inputs.mkdir()
        with zipfile.ZipFile(self.saved) as saved:
            saved.extractall(inputs)
        return inputs


TARGETS = (
    Target("cbor", ("cbor_read",)),
    Target("console", ("console_receive", "console_send", "crc")),
    Target("image", ("image", "crc")),
    Target("module", ("model", "crc")),
    Target("smp", has_shims=True),
)


def save(target: Target, folder: Path) -> int:
    """Search, and write the smallest set of inputs that reaches the same; returns how many."""
    fuzzer = target.build_fuzzer(folder)
    found, least = folder / "found", folder / "least"
    found.mkdir()
    least.mkdir()
    for index, seed in enumerate(SEEDS[target.name]()):
        (found / f"seed{index}").write_bytes(seed)
    if target.saved.exists():
        target.unpack(folder).rename(found / "saved")
    limits = [f"-max_len={MAX_INPUT_BYTES}", "-seed=1"]
    search = [str(fuzzer), str(found), *limits, f"-max_total_time={SEARCH_S}"]
    subprocess.run(search, cwd=folder, check=True)
    subprocess.run([fuzzer, "-merge=1", *limits, least, found], cwd=folder, check=True)
    inputs = sorted(path.read_bytes() for path in least.iterdir())
    target.saved.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(target.saved, "w", zipfile.ZIP_DEFLATED) as saved:
        for index, content in enumerate(inputs):
            # A fixed date: the same inputs give the same file.
            saved.writestr(zipfile.ZipInfo(f"{index:03}"), content, zipfile.ZIP_DEFLATED)
    return len(inputs)


def main() -> None:
    """Make the saved inputs of every target again."""
    for target in TARGETS:
        with tempfile.TemporaryDirectory(prefix="jouleloop-fuzz-") as folder:
            print(f"{target.name}: {save(target, Path(folder))} inputs")


if __name__ == "__main__":
    main()
