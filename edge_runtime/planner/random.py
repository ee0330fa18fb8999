"""Random numbers by counter, with the same bits on a desktop, a node and a microcontroller.

Philox4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011) gives four words
for a key and a counter; each pair of words gives two Gaussians by Box and Muller. The Gaussians use
no library function: float32 sums, products and quotients in a fixed order, which IEEE 754 rounds
alike everywhere. export/planner/jl_random.c mirrors this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]
    Singles = NDArray[np.float32]

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF
SEED_BITS = 64

_ONE = np.float32(1.0)
_LN_2 = np.float32(0.6931472)
_ROOT_HALF_BITS = 0x3F3504F3  # of sqrt(1/2)
_QUARTER_TURN = np.float32(1.5707964)
# Of 2 artanh(s) = log((1 + s) / (1 - s)), of sin and of cos, highest power first.
_LOG = tuple(map(np.float32, (0.22222222, 0.2857143, 0.4, 0.6666667, 2.0)))
_SIN = tuple(map(np.float32, (2.7557319e-6, -1.984127e-4, 8.333334e-3, -0.16666667, 1.0)))
_COS = tuple(map(np.float32, (2.4801587e-5, -1.3888889e-3, 4.1666668e-2, -0.5, 1.0)))


def philox(counter: NDArray[Any], key: tuple[int, int]) -> Words:
    """Four random words for each counter.

    Args:
        counter: uint32 [..., 4].
        key: two words.
    """
    words = [np.asarray(counter)[..., i].astype(np.uint64) for i in range(4)]
    first, second = key
    for _ in range(ROUNDS):
        left, right = (np.uint64(m) * words[i] for m, i in zip(MULTIPLIERS, (0, 2), strict=True))
        words = [
            (right >> np.uint64(32)) ^ words[1] ^ np.uint64(first),
            right & np.uint64(MASK),
            (left >> np.uint64(32)) ^ words[3] ^ np.uint64(second),
            left & np.uint64(MASK),
        ]
        first, second = (first + KEY_STEPS[0]) & MASK, (second + KEY_STEPS[1]) & MASK
    return np.stack(words, axis=-1).astype(np.uint32)


def gaussians(seed: int, samples: NDArray[Any], size: int) -> Singles:
    """Standard normal numbers, float32 [n, size]; a sample's are the same whichever others are.

    Args:
        seed: 0..2**64 - 1.
        samples: indices of samples, [n], below 2**32.
        size: numbers of a sample.
    """
    blocks = -(-size // 4)
    counter = np.zeros((len(samples), blocks, 4), np.uint32)
    counter[..., 0] = np.asarray(samples, np.uint32)[:, None]
    counter[..., 1] = np.arange(blocks, dtype=np.uint32)
    words = philox(counter, (seed & MASK, seed >> 32))
    pairs = [box_muller(words[..., i], words[..., i + 1]) for i in (0, 2)]
    numbers = np.stack([*pairs[0], *pairs[1]], axis=-1)
    return numbers.reshape(len(samples), 4 * blocks)[:, :size]


def box_muller(first: Words, second: Words) -> tuple[Singles, Singles]:
    """Two independent standard normal numbers from two random words."""
    uniform = ((first >> np.uint32(8)) + np.uint32(1)).astype(np.float32) * np.float32(2.0**-24)
    radius = _root(np.float32(-2.0) * _logarithm(uniform))
    part = (second >> np.uint32(6)) & np.uint32(0xFFFFFF)
    turn = part.astype(np.float32) * np.float32(2.0**-24) - np.float32(0.5)
    angle = turn * _QUARTER_TURN
    square = angle * angle
    sine, cosine = _polynomial(_SIN, square) * angle, _polynomial(_COS, square)
    quadrant = second >> np.uint32(30)
    is_odd = (quadrant & np.uint32(1)) == 1
    across = np.where(is_odd, -sine, cosine)
    along = np.where(is_odd, cosine, sine)
    is_far = quadrant >= 2
    return radius * np.where(is_far, -across, across), radius * np.where(is_far, -along, along)


def _logarithm(values: Singles) -> Singles:
    """Natural logarithm of normal positive numbers: 2^exponent * mantissa around 1."""
    bits = values.view(np.uint32).astype(np.int64)
    exponent = (bits - _ROOT_HALF_BITS) >> 23
    mantissa = (bits - (exponent << 23)).astype(np.uint32).view(np.float32)
    ratio = (mantissa - _ONE) / (mantissa + _ONE)
    square = ratio * ratio
    return exponent.astype(np.float32) * _LN_2 + _polynomial(_LOG, square) * ratio


def _root(values: Singles) -> Singles:
    """Square root by three steps of Newton for its inverse."""
    guess = (np.uint32(0x5F3759DF) - (values.view(np.uint32) >> np.uint32(1))).view(np.float32)
    half = np.float32(0.5) * values
    for _ in range(3):
        guess = guess * (np.float32(1.5) - half * guess * guess)
    return values * guess


def _polynomial(factors: tuple[np.float32, ...], values: Singles) -> Singles:
    total = np.full_like(values, factors[0])
    for factor in factors[1:]:
        total = total * values + factor
    return total
