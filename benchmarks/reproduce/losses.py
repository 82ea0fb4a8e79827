"""Other losses than the mean's: a line with outliers, and labels some of which are wrong, both with abrupt changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reproduce.bank import followed
from benchmarks.reproduce.cells import Cell
from benchmarks.reproduce.page import number, table, verdicts
from benchmarks.reproduce.streams import CLEAN, directions, noise
from clipdetect.components import Estimator, Params, Rows, State
from clipdetect.jit import Engine
from clipdetect.registry import build

TITLE = "Other losses: a line, and labels"
SEEDS = (0, 1, 2, 3)
RECORDS = 20_000
CHANGES = tuple(RECORDS * (i + 1) // 5 for i in range(4))
FIELDS = 5
PUBLISHED = f"clipped_sgd:horizon={RECORDS}"
BANK = "bank of clipped steps, begun again"
LINES = {
    "SGD, T^-2/3": f"{PUBLISHED},loss=linear,clip=none",
    "clipped SGD, T^-2/3": f"{PUBLISHED},loss=linear,clip=oracle:1.5",
    "clipped SGD, doubling epochs": "clipped_sgd:loss=linear",
    "clipped SGD, one step of .02": "clipped_sgd:loss=linear,horizon=354",
    BANK: "",
    "linear": "linear:target=f0",
}
LABELS = {
    "SGD, T^-2/3": f"{PUBLISHED},loss=logistic,clip=none",
    "clipped SGD, T^-2/3": f"{PUBLISHED},loss=logistic",
    "clipped SGD, doubling epochs": "clipped_sgd:loss=logistic",
    "clipped SGD, one step of .2": "clipped_sgd:loss=logistic,horizon=11",
    BANK: "",
    "logistic": "logistic",
}
LONG = {"lines": 4.0, "labels": 3.0}  # of a step of the slopes, in noise scales; of the weights
PROBES = 40  # at which a logistic model is compared with the truth
FAR = {"lines": 1.0, "labels": 0.1}
LIMITS = {"lines": (0.216, 77), "labels": (0.017, 60)}


def changes(rng: np.random.Generator, length: float) -> np.ndarray:
    """(records, fields): a vector that takes a step of this length in a random direction at each change."""
    path = np.tile(rng.normal(size=FIELDS), (RECORDS, 1))
    for at, direction in zip(CHANGES, directions(rng, len(CHANGES), FIELDS), strict=True):
        path[at:] += length * direction
    return path


def line(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(records, 6), the target first, and the true slopes (records, 5)."""
    rng = np.random.default_rng(seed)
    off = noise(rng, "t", RECORDS, 1)[:, 0]
    X, slopes = rng.normal(size=(RECORDS, FIELDS)), changes(rng, LONG["lines"])
    y = (X * slopes).sum(axis=1) + off / (np.median(np.abs(off)) / 0.6745)
    y[CLEAN:][rng.random(RECORDS - CLEAN) < 0.05] = 30.0
    return np.column_stack([y, X]), slopes


def labelled(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X (records, 5), the true weights (records, 5), and labels 0 and 1, 5% of them wrong."""
    rng = np.random.default_rng(seed)
    X, weights = rng.normal(size=(RECORDS, FIELDS)), np.empty((RECORDS, FIELDS))
    for at, direction in zip((0, *CHANGES), directions(rng, len(CHANGES) + 1, FIELDS), strict=True):
        weights[at:] = LONG["labels"] * direction
    label = (rng.random(RECORDS) < probability((X * weights).sum(axis=1))).astype(np.float64)
    wrong = rng.random(RECORDS) < 0.05
    label[wrong] = 1.0 - label[wrong]
    return X, weights, label


def probability(margin: np.ndarray) -> np.ndarray:
    """Logistic, away from 0 and 1."""
    return np.clip(1.0 / (1.0 + np.exp(-margin)), 1e-9, 1.0 - 1e-9)


def fresh(spec: str, d: int) -> tuple[Estimator, State]:
    """An estimator and the arrays of one key."""
    estimator = build("estimator", spec)
    assert isinstance(estimator, Estimator)
    params = Params(engine=Engine("numba"), labelled=True)
    estimator.check(params)
    estimator.bind([f"f{j}" for j in range(d)], params)
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in estimator.state_spec(d).items()}
    estimator.reset(state, np.zeros(1, np.int64), np.ones(1, np.int64))
    return estimator, state


def predictions(spec: str, X: np.ndarray, label: np.ndarray, learn: np.ndarray) -> np.ndarray:
    """raw (n,) of an estimator that learns the rows marked."""
    estimator, state = fresh(spec, X.shape[1])
    n = len(X)
    rows = Rows(X, np.full(n, np.nan), label, learn, np.zeros(n, bool))
    return estimator.step(state, np.zeros(n, np.int64), rows)[0]


def slopes(spec: str, Z: np.ndarray) -> np.ndarray:
    """(n, 5) slopes before each record, in the fields' own units."""
    estimator, state = fresh(spec, Z.shape[1])
    slot, found = np.zeros(1, np.int64), np.zeros((len(Z), FIELDS))
    nothing, yes, no = np.full(len(Z), np.nan), np.ones(len(Z), bool), np.zeros(len(Z), bool)
    rows = Rows(Z, nothing, nothing, yes, no)
    for i in range(len(Z)):
        if spec.startswith("linear"):
            found[i] = np.nan_to_num(estimator.coefficients(state, slot)[1][0, 1:])  # type: ignore[attr-defined]
        else:
            found[i] = state["theta"][0, 2:]
        estimator.step(state, slot, rows.part(i, i + 1, Z.shape[1]))
    return found


def lines(method: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Error of the slopes, and records a change with an error over 1."""
    found: dict[str, Any] = {"error": [], "back": []}
    for seed in seeds:
        Z, truth = line(seed)
        own = slopes(LINES[method], Z) if LINES[method] else followed(np.ascontiguousarray(Z[:, 1:]), Z[:, 0], False)
        error = np.sqrt(((own - truth) ** 2).sum(axis=1))
        found["error"].append(error.mean())
        found["back"].append(np.mean([(error[at : at + CHANGES[0]] > FAR["lines"]).sum() for at in CHANGES]))
    return found


def labels(method: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Divergence of the probabilities at fixed points, and records after a change until it is small."""
    found: dict[str, Any] = {"error": [], "back": []}
    probes = np.random.default_rng(1).normal(size=(PROBES, FIELDS))
    for seed in seeds:
        X, weights, label = labelled(seed)
        truth = probability(weights @ probes.T)
        if LABELS[method]:
            own = probability(margins(LABELS[method], X, label, probes))
        else:
            own = probability(followed(X, label, True) @ probes.T)
        error = (truth * np.log(truth / own) + (1.0 - truth) * np.log((1.0 - truth) / (1.0 - own))).mean(axis=1)
        found["error"].append(error.mean())
        for at in CHANGES:
            near = error[at : at + CHANGES[0]] < FAR["labels"]
            found["back"].append(int(np.argmax(near)) if near.any() else CHANGES[0])
    return found


def margins(spec: str, X: np.ndarray, label: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """(n, probes) margins before each record: the probes are scored and not learned, then the record is."""
    n, m = len(X), len(probes)
    Z = np.concatenate([np.tile(probes, (n, 1)).reshape(n, m, FIELDS), X[:, None]], axis=1).reshape(-1, FIELDS)
    learn = np.tile(np.arange(m + 1) == m, n)
    raw = predictions(spec, Z, np.repeat(label, m + 1), learn).reshape(n, m + 1)[:, :m]
    if spec.startswith("logistic"):  # its raw score is exp(margin / 2)
        raw = 2.0 * np.log(raw)
    return np.nan_to_num(raw)


def cells(data: Path | None) -> list[Cell]:
    """A method each."""
    found = [Cell(f"line {method}", lines, (method, SEEDS)) for method in LINES]
    return found + [Cell(f"label {method}", labels, (method, SEEDS)) for method in LABELS]


def entry(found: dict[str, Any]) -> list[str]:
    """Mean and spread of the error; records to come back."""
    back = float(np.mean(found["back"]))
    spread = float(np.std(found["error"], ddof=1))
    return [f"{number(float(np.mean(found['error'])))} ± {number(spread)}", f"{back:.0f}" if back < 4000 else "never"]


def report(results: dict[str, Any], pictures: Path) -> str:
    """The section."""
    parts = [INTRO]
    claims = []
    for kind, methods, own, head in (
        ("line", LINES, "linear", ["error of the slopes", "records with an error over 1, a change"]),
        ("label", LABELS, "logistic", ["divergence", "records until it is under .1"]),
    ):
        rows = [[method, *entry(results[f"{kind} {method}"])] for method in methods if f"{kind} {method}" in results]
        if rows:
            parts.append(f"### {'A line' if kind == 'line' else 'Labels'}\n\n{table(['method', *head], rows)}")
        if f"{kind} {own}" in results:
            error, back = LIMITS[kind + "s"]
            mine = results[f"{kind} {own}"]
            has, took = float(np.mean(mine["error"])), float(np.mean(mine["back"]))
            told = f"`{own}`: error at most {number(error)} and back within {back} records"
            claims.append((f"{told} ({number(has)}, {took:.0f})", has <= error and took <= back))
        if f"{kind} {own}" in results and f"{kind} {BANK}" in results:
            theirs = float(np.mean(results[f"{kind} {BANK}"]["error"]))
            claims.append(
                (f"`{own}` beats the bank on the same streams ({number(has)} against {number(theirs)})", has < theirs)
            )
    parts.append(f"### Verdict\n\n{verdicts(claims)}")
    return "\n".join(parts)


INTRO = f"""The article's estimator is clipped SGD on any convex loss; here the square loss of a line and the
logistic loss. {RECORDS:,} records with {FIELDS} standard normal fields a stream, four abrupt changes,
{len(SEEDS)} streams. A line: the slopes take a step of length {LONG["lines"]:g} in a random direction at each
change, the noise is t(2.1) in units of its scale, 5% of the targets are +30. Labels: weights of length
{LONG["labels"]:g}, anew at each change, 5% of the labels wrong; the divergence is that of Kullback and Leibler
from the true probabilities, at {PROBES} fixed points. Sizes of the paper's own streams are not known.

    python -m benchmarks.reproduce --only losses
"""
