"""`jouleloop bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from jouleloop.cli.output import JsonFlag, console, print_json, print_wide

bundle_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

BundleArgument = Annotated[Path, typer.Argument(help="A bundle, NAME.jlb.")]


@bundle_app.callback()
def bundle() -> None:
    """Look into a bundle, or take it apart for other tools.

    Example: jouleloop bundle show out/policy.jlb
    """


@bundle_app.command()
def show(bundle: BundleArgument, json_output: JsonFlag = False) -> None:
    """Print what a bundle holds: model, target, signer, security counter and files.

    Every file's hash and the module's signature are verified; a bundle that was altered is refused.

    Example: jouleloop bundle show out/policy.jlb
    """
    from edge_runtime.wire.bundle import read_bundle
    from edge_runtime.wire.bundle_contents import describe_bundle

    record = {"bundle": str(bundle)} | describe_bundle(read_bundle(bundle))
    if json_output:
        print_json(record)
    else:
        _print(record)


def _print(record: dict[str, Any]) -> None:
    facts = Table("what", "value", box=SIMPLE_HEAD, pad_edge=False)
    for name in ("name", "device", "family", "rounding", "producer"):
        facts.add_row(name, str(record[name]))
    for name, value in (record["module"] or {"module": "none"}).items():
        facts.add_row(name.replace("_", " "), str(value))
    print_wide(facts)
    files = Table("file", "bytes", "SHA-256", box=SIMPLE_HEAD, pad_edge=False)
    for name, file in record["files"].items():
        files.add_row(name, f"{file['bytes']:,}", file["sha256"])
    print_wide(files)


@bundle_app.command()
def extract(
    bundle: BundleArgument,
    folder: Annotated[Path, typer.Argument(help="Folder for the files; made when missing.")],
    force: Annotated[
        bool, typer.Option("--force", help="Replace files of the same names in the folder.")
    ] = False,
    json_output: JsonFlag = False,
) -> None:
    """Write every file of a bundle into a folder.

    Among them are the module as a signed image and the signer's public key, for
    `imgtool verify -k FOLDER/public.pem FOLDER/model.PROFILE.bin`.

    Example: jouleloop bundle extract out/policy.jlb out/policy-files
    """
    from edge_runtime.wire.bundle import read_bundle
    from edge_runtime.wire.bundle_contents import extract_bundle

    files = extract_bundle(read_bundle(bundle), folder, replace=force)
    if json_output:
        print_json({"folder": str(folder), "files": [file.name for file in files]})
    else:
        for file in files:
            console.print(str(file), markup=False, highlight=False, soft_wrap=True)
