"""The bundle file: whole or one clear error, whatever happened to its bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.wire.bundle import read_bundle, write_bundle
from jouleloop.errors import BundleError
from tests.edge_runtime.tiny_bundle import tiny_bundle

pytestmark = pytest.mark.pure


def test_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    path, bundle = tmp_path / "whole.jlb", tiny_bundle()
    write_bundle(bundle, path)
    assert read_bundle(path) == bundle


@pytest.mark.parametrize("flip", [0x01, 0x55, 0xFF])
def test_an_altered_byte_is_refused_or_changes_nothing(flip: int, tmp_path: Path) -> None:
    path, bundle = tmp_path / "altered.jlb", tiny_bundle()
    write_bundle(bundle, path)
    content, refused = path.read_bytes(), 0
    places = np.unique(np.linspace(0, len(content) - 1, 1500).astype(int))
    for place in places:
        altered = bytearray(content)
        altered[place] ^= flip
        path.write_bytes(altered)
        try:
            read = read_bundle(path)
        except BundleError:
            refused += 1
        else:
            assert read == bundle, place
    assert refused > 0.8 * len(places)


def test_a_folder_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="it is a folder"):
        write_bundle(tiny_bundle(), tmp_path)
    assert not [*tmp_path.parent.glob("*.partial")]
