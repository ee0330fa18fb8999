"""Random numbers by counter: the published words, and Gaussians that are such."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from edge_runtime.planner.random import gaussians, philox

pytestmark = pytest.mark.pure

# Known answers of Random123, philox4x32-10: word of every counter and key -> words.
KNOWN = {
    0: (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    0xFFFFFFFF: (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
}


@pytest.mark.parametrize("word", KNOWN)
def test_philox_gives_the_published_words(word: int) -> None:
    found = philox(np.full(4, word, np.uint32), (word, word))
    assert tuple(found.tolist()) == KNOWN[word]


def test_gaussians_are_standard_normal_and_independent() -> None:
    drawn = gaussians(11, np.arange(5000), 18)
    assert kstest(drawn.ravel(), "norm").pvalue > 0.001
    correlation = np.corrcoef(drawn.T) - np.eye(18)
    assert np.abs(correlation).max() < 0.07
    assert np.isfinite(drawn).all()


def test_a_sample_does_not_depend_on_the_others() -> None:
    alone, together = gaussians(3, np.array([5]), 7), gaussians(3, np.arange(9), 10)
    np.testing.assert_array_equal(alone[0], together[5, :7])
    assert not np.array_equal(gaussians(2**40 + 3, np.array([5]), 7), alone)
