"""The `fixed` threshold: a limit given by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike

from clipdetect.components import Params, RawKind, Rows
from clipdetect.jit import Engine, EngineName, available
from clipdetect.thresholds.fixed import Fixed

RAW = [0.0, 5.999, 6.0, -6.0, -7.1234567, np.nan, 1e20, 5e-324]


def make(limit: float = 6.0, kind: RawKind = "residual", engine: EngineName = "python") -> Fixed:
    fixed = Fixed(limit)
    fixed.bind(["x"], Params(engine=Engine(engine), raw_kind=kind))
    return fixed


def step(fixed: Fixed, raw: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    values = np.array(raw, dtype=np.float64)
    n = len(values)
    rows = Rows(np.zeros((n, 1)), np.full(n, np.nan), np.full(n, np.nan), np.ones(n, bool), np.zeros(n, bool))
    return fixed.step({}, np.zeros(n, np.int64), values, rows)


def test_residual_is_flagged_by_its_size() -> None:
    score, flag = step(make(), RAW)
    np.testing.assert_array_equal(score, [0.0, 5.999, 6.0, 6.0, 7.12346, np.nan, 1e20, 0.0])
    assert flag.tolist() == [0, 0, 1, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("kind", ["distance", "level"])
def test_other_raw_scores_are_flagged_on_the_upper_side_only(kind: RawKind) -> None:
    _, flag = step(make(kind=kind), RAW)
    assert flag.tolist() == [0, 0, 1, 0, 0, 0, 1, 0]


def test_missing_score_stays_missing() -> None:
    score, flag = step(make(), [np.nan])
    assert np.isnan(score[0])
    assert flag[0] == 0


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", ["residual", "level"])
def test_compiled_and_interpreted_agree_bit_for_bit(kind: RawKind) -> None:
    raw = np.concatenate([RAW, [1e300, np.inf, -np.inf, 1.7e308], np.random.default_rng(2).standard_cauchy(300)])
    one, other = step(make(kind=kind, engine="python"), raw), step(make(kind=kind, engine="numba"), raw)
    assert one[0].tobytes() == other[0].tobytes()
    assert one[1].tobytes() == other[1].tobytes()


@pytest.mark.parametrize("limit", [0.5, 6.0, 1234.5])
def test_limits_are_where_the_flag_flips(limit: float) -> None:
    fixed = make(limit)
    low, high = fixed.limits({}, np.zeros(2, np.int64))
    assert (low.tolist(), high.tolist()) == ([-limit] * 2, [limit] * 2)
    assert step(fixed, [low[0] * 0.999, low[0], high[0] * 0.999, high[0]])[1].tolist() == [0, 1, 0, 1]
    assert np.isnan(make(limit, "level").limits({}, np.zeros(1, np.int64))[0]).all()


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_limit_that_is_not_positive_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        Fixed(limit)
