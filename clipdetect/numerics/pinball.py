"""Following a quantile by the slope of the pinball loss."""

from __future__ import annotations

from clipdetect.jit import kernel


@kernel
def pinball(at: float, beyond: bool, level: float, step: float) -> float:
    """One step of a value with the share `level` beyond it: up by step (1 - level), or down by step level.

    The steps add up to step times (records beyond - level times records), so whatever keeps the value within a
    range of width w keeps the share beyond it within w / (step T) of `level` after T records.
    """
    return at + step * ((1.0 if beyond else 0.0) - level)
