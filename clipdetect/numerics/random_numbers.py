"""The minimal standard generator of random numbers: x <- 48271 x mod 2^31 - 1, one state per key.

S. K. Park, K. W. Miller, P. K. Stockmeyer, "Technical correspondence", Communications of the ACM 36(7), 1993. The
states (K,) int64 lie in [1, 2^31 - 2]; products stay below 2^47, so that both engines reckon alike.
"""

from __future__ import annotations

import numpy as np

from clipdetect.jit import kernel

MULTIPLIER, MODULUS = 48271, 2147483647


@kernel
def uniform(k: int, random: np.ndarray) -> float:
    """A number in (0, 1), and the next state of key k's generator. random: (K,)."""
    random[k] = random[k] * MULTIPLIER % MODULUS
    return random[k] / 2147483647.0


@kernel
def draw(k: int, n: int, random: np.ndarray) -> int:
    """A number in 0..n-1, n < 2^24, and the next state of key k's generator. random: (K,)."""
    random[k] = random[k] * MULTIPLIER % MODULUS
    return random[k] * n // MODULUS
