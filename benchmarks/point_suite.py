"""Spikes, level shifts and variance bursts in 30 synthetic streams: what is found at each stream's own 0.1% false rows.

    python benchmarks/point_suite.py [--estimator forecast,level,zscore] [--jitter 20] [--seed 7] [--records 20000]

Six noises by five drifts, 20,000 records each, in all 1,650 spikes of 5 to 10 standard deviations (of the noise), 180
level shifts of 4 to 8 (found within 20 records) and 120 bursts of fourfold spread (within 50). "Dirty" streams have
gross outliers of 50 to 1,000 besides, in runs of 1 to 3 from 0.3% of the positions, which count neither as an event
nor as a false row. The oracle knows the noise law, the drift and every shift before it; it ranks by its p-value.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import product

import numpy as np
from common import perturbed, table

from clipdetect import Detector, registry
from clipdetect.components import Estimator

SPIKES, SHIFTS, BURSTS = 55, 6, 4  # a stream
SPIKE, SHIFT, GROSS = (5.0, 10.0), (4.0, 8.0), (50.0, 1000.0)  # standard deviations
LONG, TIMES = 50, 4.0  # of a burst of variance
WITHIN = {"spike": 1, "shift": 20, "burst": LONG}
DIRTY, RUN = 0.003, 3
SETTLED = 500  # records before the first event
APART = 60  # records between events
FALSE = 1e-3
NOISES = ("Gaussian", "Laplace", "t(3)", "lognormal", "AR .8", "AR .95 t(4)")
DRIFTS = ("none", "trend", "walk", "day", "scale")
EVERY = 300.0  # seconds between records: a day is 288


@dataclass
class Stream:
    """One stream: x (n,), time (n,), starts of events by kind, rows that cannot be false (n,), the oracle's p (n,)."""

    name: str
    x: np.ndarray
    time: np.ndarray
    events: dict[str, np.ndarray]
    excused: np.ndarray
    oracle: np.ndarray


def _innovations(noise: str, rng: np.random.Generator, n: int) -> tuple[np.ndarray, float, object]:
    """Innovations of standard deviation 1, the autoregression, and the frozen law of an innovation."""
    from scipy import stats

    laws = {
        "Gaussian": (stats.norm(), 0.0),
        "Laplace": (stats.laplace(scale=np.sqrt(0.5)), 0.0),
        "t(3)": (stats.t(3, scale=np.sqrt(1 / 3)), 0.0),
        "lognormal": (stats.lognorm(1.0, loc=-np.exp(0.5)), 0.0),
        "AR .8": (stats.norm(), 0.8),
        "AR .95 t(4)": (stats.t(4, scale=np.sqrt(0.5)), 0.95),
    }
    law, rho = laws[noise]
    return law.rvs(n, random_state=rng), rho, law


def made(noise: str, drift: str, kind: str, n: int, seed: int) -> Stream:
    """One stream of the suite; its dirty twin has the same noise and events, its calm one no event."""
    from scipy.signal import lfilter

    rng = np.random.default_rng([seed, NOISES.index(noise), DRIFTS.index(drift)])
    innovation, rho, law = _innovations(noise, rng, n)
    unit = float(law.std())  # type: ignore[attr-defined]
    innovation, step = innovation / unit, np.sqrt(1.0 - rho * rho)
    t = np.arange(n)
    starts = _places(rng, n)
    events = {"spike": starts[:SPIKES], "shift": starts[SPIKES : SPIKES + SHIFTS], "burst": starts[SPIKES + SHIFTS :]}
    events = {what: np.sort(at) for what, at in events.items()} if kind != "calm" else {}
    growth = np.ones(n)
    for at in events.get("burst", ()):
        growth[at : at + LONG] = TIMES
    scale = np.exp(0.7 * np.sin(2.0 * np.pi * t / 9000.0)) if drift == "scale" else np.ones(n)
    noise_part = lfilter([step], [1.0, -rho], innovation * growth)
    drifts = {
        "trend": 10.0 * t / n,
        "walk": 0.02 * np.cumsum(rng.standard_normal(n)),
        "day": 3.0 * np.sin(2.0 * np.pi * t * EVERY / 86400.0),
    }
    x = scale * noise_part + drifts.get(drift, np.zeros(n))
    sign = rng.choice([-1.0, 1.0], n)
    bump, jump = np.zeros(n), np.zeros(n)
    if events:
        bump[events["spike"]] = rng.uniform(*SPIKE, SPIKES)
        jump[events["shift"]] = rng.uniform(*SHIFT, SHIFTS)
    bump, jump = bump * sign * scale, jump * sign * scale
    seen = innovation * growth + bump / scale / step
    upper = law.sf(seen * unit)  # type: ignore[attr-defined]
    oracle = -np.log10(np.maximum(np.minimum(upper, 1.0 - upper), 1e-300))
    x = x + bump + np.cumsum(jump)
    excused = np.zeros(n, bool)
    excused[: SETTLED // 2] = True
    for what, at in events.items():
        for start in at:
            excused[start : start + WITHIN[what] + (0 if what == "spike" else LONG)] = True
    if kind == "dirty":
        own = np.random.default_rng([seed, NOISES.index(noise), DRIFTS.index(drift), 1])
        for start in np.flatnonzero(own.random(n) < DIRTY):
            run = np.arange(start, min(start + own.integers(1, RUN + 1), n))
            run = run[~np.isin(run, events["spike"])]
            x[run] += own.choice([-1.0, 1.0]) * scale[run] * own.uniform(*GROSS, len(run))
            excused[run] = True
    return Stream(f"{noise}, {drift}", x, 1.7e9 + EVERY * t, events, excused, oracle)


def _places(rng: np.random.Generator, n: int) -> np.ndarray:
    """Starts of all events in random order, APART records from each other at least."""
    count = SPIKES + SHIFTS + BURSTS
    free = n - SETTLED - (count + 1) * 2 * APART
    gaps = np.sort(rng.integers(0, free, count))
    return rng.permutation(SETTLED + gaps + 2 * APART * np.arange(count))


def suite(kind: str, n: int, seed: int) -> list[Stream]:
    """The 30 streams, `clean` (of gross outliers), `dirty` or `calm` (no event at all)."""
    return [made(noise, drift, kind, n, seed) for noise, drift in product(NOISES, DRIFTS)]


def found(streams: list[Stream], scores: list[np.ndarray], pooled: bool) -> dict[str, float]:
    """Recall in % by kind of event, at the score that 0.1% of the rows that can be false pass."""
    calm = [np.where(np.isnan(s), -np.inf, s)[~stream.excused] for stream, s in zip(streams, scores, strict=True)]
    common = np.quantile(np.concatenate(calm), 1.0 - FALSE)
    hits: dict[str, list[bool]] = {kind: [] for kind in WITHIN}
    for stream, score, own in zip(streams, scores, calm, strict=True):
        limit = common if pooled else np.quantile(own, 1.0 - FALSE)
        for kind, at in stream.events.items():
            hits[kind] += [bool((score[start : start + WITHIN[kind]] > limit).any()) for start in at]
    return {kind: 100.0 * float(np.mean(hit)) for kind, hit in hits.items()}


def run(
    streams: list[Stream], estimator: str, jitter: np.random.Generator | None = None
) -> tuple[list[np.ndarray], list[np.ndarray], list[float]]:
    """|raw|, score and the flag rate at 1e-3 over the asked-for, by stream."""
    raws, scores, rates = [], [], []
    part = registry.build("estimator", estimator)
    assert isinstance(part, Estimator)
    if jitter is not None:
        for name in ("constants", "tail_constants"):
            setattr(part, name, perturbed(getattr(part, name), jitter, 0.25))
    keys = [str(i) for i, stream in enumerate(streams) for _ in stream.x]
    detector = Detector(part, "tail", fields=["x"], rate=FALSE, engine="numba")
    x, time = np.concatenate([s.x for s in streams]), np.concatenate([s.time for s in streams])
    scored = detector.step(x[:, None], keys, time=time)
    at = 0
    for stream in streams:
        own = slice(at, at + len(stream.x))
        at += len(stream.x)
        raws.append(np.abs(scored.raw[own]) if part.raw_kind == "residual" else scored.raw[own])
        scores.append(scored.score[own])
        rates.append(float((scored.flag[own][~stream.excused] == 1).mean() / FALSE))
    return raws, scores, rates


def shown(figures: dict[str, float]) -> str:
    """Three recalls in a cell."""
    return " / ".join(f"{figures[kind]:.1f}" for kind in WITHIN)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--estimator", default="forecast,forecast:shifts=false,level,zscore", help="specs with commas")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--jitter", type=int, default=0, help="repeat with each constant times exp N(0, .25)")
    parser.add_argument("--each", action="store_true", help="a line a stream too")
    asked = parser.parse_args()
    both = {kind: suite(kind, asked.records, asked.seed) for kind in ("clean", "dirty")}
    calm = suite("calm", asked.records, asked.seed)
    lines = []
    for kind, streams in both.items():
        oracle = [stream.oracle for stream in streams]
        lines.append(["oracle", kind, shown(found(streams, oracle, False)), shown(found(streams, oracle, True)), ""])
    for spec in asked.estimator.split(","):
        rates = run(calm, spec)[2]
        lines.append([f"`{spec}`", "calm", "", "", f"{min(rates):.2f} {np.median(rates):.2f} {max(rates):.2f}"])
        if asked.each:
            print(spec, "calm", " ".join(f"{rate:.2f}" for rate in rates))
        for kind, streams in both.items():
            raws, scores, rates = run(streams, spec)
            span = f"{min(rates):.2f} {np.median(rates):.2f} {max(rates):.2f}"
            for what, values in (("raw", raws), ("score", scores)):
                cells = [shown(found(streams, values, pooled)) for pooled in (False, True)]
                lines.append([f"`{spec}`, {what}", kind, *cells, span if what == "score" else ""])
            if asked.each:
                for stream, raw, score, rate in zip(streams, raws, scores, rates, strict=True):
                    cells = [shown(found([stream], [v], False)) for v in (stream.oracle, raw, score)]
                    print(f"{spec:24} {kind} {stream.name:20} {'   '.join(cells)}   {rate:.2f}")
    header = ["detector", "streams", "own 0.1%: spike / shift / burst", "pooled", "flags x: least median most"]
    table(f"Recall in %, 30 streams of {asked.records:,}, seed {asked.seed}", header, lines)
    if asked.jitter:
        jittered(both, asked.estimator.split(",")[0], asked.jitter)


def jittered(both: dict[str, list[Stream]], spec: str, times: int) -> None:
    """Mean, standard deviation, least and most of the recalls over jittered constants."""
    got: dict[tuple[str, str], list[float]] = {}
    for seed in range(times):
        for kind, streams in both.items():
            _, scores, _ = run(streams, spec, np.random.default_rng([seed, 99]))
            for event, value in found(streams, scores, False).items():
                got.setdefault((kind, event), []).append(value)
    lines = [
        [kind, event, f"{np.mean(v):.1f}", f"{np.std(v):.1f}", f"{min(v):.1f}", f"{max(v):.1f}"]
        for (kind, event), v in got.items()
    ]
    title = f"`{spec}`: recall of the score at own 0.1%, {times} times with jittered constants"
    table(title, ["streams", "event", "mean", "spread", "least", "most"], lines)


if __name__ == "__main__":
    main()
