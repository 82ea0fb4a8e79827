"""The `spliced` threshold: its twins, its refusals, and whether it keeps its word."""

from __future__ import annotations

import numpy as np
import pytest
from naive.spliced import counts, score

from clipdetect import testing
from clipdetect.components import Params, Rows
from clipdetect.jit import Engine, available
from clipdetect.testing import check_component
from clipdetect.thresholds import spliced
from clipdetect.thresholds.spliced import Spliced

FAST = "numba" if available() else "python"


def make(kind="residual", rate=1e-3, engine=FAST, **params):
    threshold = Spliced(**params)
    bound = Params(engine=Engine(engine), rate=rate, raw_kind=kind)
    threshold.check(bound)
    threshold.bind(["x"], bound)
    return threshold, {n: np.zeros((1, *shape), dtype) for n, (shape, dtype) in threshold.state_spec(1).items()}


def step(threshold, state, raw, learn=True):
    raw = np.array(raw, np.float64)
    n = len(raw)
    rows = Rows(np.zeros((n, 1)), np.full(n, np.nan), np.full(n, np.nan), np.full(n, learn), np.zeros(n, bool))
    return threshold.step(state, np.zeros(n, np.int64), raw, rows)


def test_laws():
    check_component(Spliced, compiled=False)


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", ["residual", "distance", "level"])
def test_compiled_and_interpreted_agree_bit_for_bit(kind):
    rng = np.random.default_rng(3)
    for x in (rng.standard_t(3, 900), np.where(rng.random(900) < 0.3, rng.choice(testing.NASTY, 900), 1.0), [0.0] * 99):
        found = []
        for engine in ("python", "numba"):
            threshold, state = make(kind, engine=engine)
            given, flag = step(threshold, state, x)
            found.append((given.tobytes(), flag.tobytes(), [a.tobytes() for a in state.values()]))
        assert found[0] == found[1]


def test_counts_and_scores_equal_those_of_the_twin():
    sizes = np.abs(np.random.default_rng(1).standard_t(3, 500))
    bins = np.zeros((1, 2, 32))
    for y in sizes:
        spliced.count(y, 0, 1, bins)
    np.testing.assert_allclose(bins[0, 1], counts(sizes), atol=1e-9)
    for law in ((1.9, 0.3, 0.7), (2.0, -0.4, 0.5), (0.125, 0.0, 0.2)):
        tails = np.zeros((1, 2, 4))
        tails[0, 1] = (*law, 0.05)
        probe = np.linspace(0.0, 30.0, 333)
        found = [spliced.read(y, 0, 1, bins, tails) for y in probe]
        np.testing.assert_allclose(found, [score(y, bins[0, 1], *law, 0.05) for y in probe], rtol=1e-9, atol=1e-12)
        assert (np.diff(found) > 0).all()


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("name", ["gaussian", "t(3)", "laplace"])
def test_share_of_flags_is_the_rate_asked_for(name):
    rng = np.random.default_rng(9)
    n = 100_000
    x = {"gaussian": rng.normal(size=n), "t(3)": rng.standard_t(3, n), "laplace": rng.laplace(size=n)}[name]
    for rate, factor in ((0.01, 1.5), (0.001, 2.4)):
        given, flag = step(*make(rate=rate), x)
        assert 1 / factor < np.mean(flag) / rate < factor
        assert np.array_equal(flag == 1, given >= -np.log10(rate))


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_five_percent_gross_records_are_flagged_and_the_rest_is_not(sign):
    rng = np.random.default_rng(10)
    x, gross = rng.laplace(size=50_000), rng.random(50_000) < 0.05
    x[gross] += 30.0 * sign
    _, flag = step(*make(), x)
    assert np.mean(flag[500:][gross[500:]]) > 0.99
    assert np.mean(flag[500:][~gross[500:]]) < 0.003


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_scale_that_changes_for_good_is_followed(factor):
    x = np.random.default_rng(4).normal(size=60_000)
    x[20_000:] *= factor
    _, flag = step(*make(), x)
    assert flag[20_000:20_500].sum() < 400
    assert 0.2e-3 < np.mean(flag[22_000:]) < 2e-3


@pytest.mark.parametrize("raw", [[0.0], [7.0], [1.0, -1.0], [1.0, 2.0, 1.0]])
def test_repeating_residuals_are_never_flagged(raw):
    assert not step(*make(), np.resize(raw, 3000))[1].any()


@pytest.mark.parametrize("kind", ["residual", "level"])
@pytest.mark.parametrize("rate", [0.2, 0.01, 0.001])
def test_limits_are_where_the_flag_flips(kind, rate):
    threshold, state = make(kind, rate)
    base = 1000.0 if kind == "level" else 0.0
    step(threshold, state, base + np.random.default_rng(6).standard_t(3, 2000))
    low, high = threshold.limits(state, np.zeros(1, np.int64))
    base = state["location"][0, 0] if kind == "level" else 0.0
    for limit in [high[0]] if kind == "level" else [low[0], high[0]]:
        probe = [base + (limit - base) * 0.998, base + (limit - base) * 1.002]
        assert step(threshold, state, probe, learn=False)[1].tolist() == [0, 1]
    assert np.isnan(low[0]) == (kind == "level")


def test_refusals_say_what_to_do():
    make(rate=5e-4)
    with pytest.raises(ValueError, match=r"rate 0.0001 is beyond .* a rate from 0.0005 on"):
        make(rate=1e-4)
    with pytest.raises(ValueError, match=r"rate 0.001 cannot be resolved with peaks=50 .* give peaks=100"):
        make(rate=1e-3, peaks=50)
    make(rate=1e-3, peaks=100)
    for bad in ({"tail": 0.5}, {"peaks": 3}, {"horizon": 10}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Spliced(**bad)
