"""`jouleloop keys`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jouleloop.cli.output import JsonFlag, console, print_json, progress_console

if TYPE_CHECKING:
    from edge_runtime.wire.keys import PublicKey

keys_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@keys_app.callback()
def keys() -> None:
    """Make and change the key that signs models and firmware.

    Private keys lie in ~/.config/jouleloop/keys, readable by you alone. The last one signs;
    firmware that is built here trusts it, and the one before it.

    Example: jouleloop keys show
    """


@keys_app.command()
def new(
    out: Annotated[
        Path | None, typer.Option(help="Make a key in this file instead of the key folder.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Make the first signing key, or a key in a file of its own.

    No key is ever overwritten. A key outside the key folder signs by `jouleloop export --key`, and
    a board trusts it by `jouleloop board --trust`.

    Example: jouleloop keys new
    """
    from edge_runtime.key_folder import key_folder, write_signing_key
    from edge_runtime.wire.keys import SigningKey

    if out is None:
        out = key_folder().new()
    else:
        write_signing_key(out, SigningKey.new())
    _print(out, json_output)


@keys_app.command()
def rotate(json_output: JsonFlag = False) -> None:
    """Make the next signing key; firmware built from now on trusts it and the last one.

    Boards that run already do not trust the new key until they run such firmware: docs/security.md
    says how a fleet moves. A key that leaked is trusted no more after rotating twice.

    Example: jouleloop keys rotate
    """
    from edge_runtime.key_folder import key_folder

    _print(key_folder().rotate(), json_output)


@keys_app.command()
def show(
    file: Annotated[
        Path | None, typer.Argument(help="A key file; default: the key that signs.")
    ] = None,
    json_output: JsonFlag = False,
) -> None:
    """Print a key's public half and the hash by which images name their signer.

    Example: jouleloop keys show
    """
    from edge_runtime.key_folder import key_folder

    _print(file or key_folder().signing_file(), json_output)


def _print(file: Path, json_output: bool) -> None:
    from edge_runtime.key_folder import key_folder, read_signing_key

    public = read_signing_key(file).public
    trusted = key_folder().trusted() if key_folder().files() else ()
    if json_output:
        print_json(_record(file, public, trusted))
        return
    console.print(public.pem.decode().strip(), markup=False, highlight=False)
    _say(f"key hash: {public.key_hash.hex()}")
    _say(f"private key: {file}")
    _say(f"firmware built here trusts it: {'yes' if public in trusted else 'no'}")


def _record(file: Path, public: PublicKey, trusted: tuple[PublicKey, ...]) -> dict[str, Any]:
    return {
        "file": str(file),
        "public_key": public.pem.decode(),
        "key_hash": public.key_hash.hex(),
        "is_trusted": public in trusted,
        "trusted": [key.key_hash.hex() for key in trusted],
    }


def _say(text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def make_first_key() -> None:
    """Make this user's first signing key where there is none, and say so on standard error."""
    from edge_runtime.key_folder import key_folder

    folder = key_folder()
    if not folder.files():
        folder.current()
        progress_console.print(
            f"made a signing key: {folder.signing_file()} (jouleloop keys show)",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def read_trusted(files: list[Path]) -> tuple[PublicKey, ...]:
    """The keys of --trust.

    Raises:
        KeyFileError: a file is missing, or no public Ed25519 key.
    """
    from edge_runtime.key_folder import read_public_key

    return tuple(map(read_public_key, files))


TrustOption = Annotated[
    list[Path] | None,
    typer.Option(help="Public key file (PEM) whose images the board takes too; repeatable."),
]
