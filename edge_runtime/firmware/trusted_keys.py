"""The table of keys that a board trusts, as C: `jl_trusted_keys` of include/jl_keys.h."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jouleloop.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.wire.keys import PublicKey

# JL_MAX_TRUSTED_KEYS
MAX_KEYS = 4


def render_trusted_keys(keys: Sequence[PublicKey]) -> str:
    """The C file of the table.

    Args:
        keys: 1 to 4, no two alike.

    Raises:
        InputError: more than a board has room for, or none.
    """
    distinct = tuple(dict.fromkeys(keys))
    if not 1 <= len(distinct) <= MAX_KEYS:
        raise InputError(
            f"firmware trusts 1 to {MAX_KEYS} keys, not {len(distinct)}",
            hint="leave some of --trust out",
        )
    entries = "".join(
        f"        {{.key = {_bytes(key.raw)},\n         .hash = {_bytes(key.key_hash)}}},\n"
        for key in distinct
    )
    return (
        '#include "jl_keys.h"\n\n'
        "const struct jl_trusted_keys jl_trusted_keys = {\n"
        f"    .count = {len(distinct)},\n"
        f"    .keys = {{\n{entries}    }},\n"
        "};\n"
    )


def _bytes(content: bytes) -> str:
    return "{" + ", ".join(f"0x{byte:02x}" for byte in content) + "}"
