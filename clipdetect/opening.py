"""The first records of a run, kept until its plan is made.

A plan that is still open waits for a handful of records. Each of them is answered at once, with no opinion, which is
what it gets from any plan; the model learns them when it is chosen, before the record that decided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from clipdetect.clocks import may_count
from clipdetect.components import Rows
from clipdetect.numerics.categories import is_text
from clipdetect.plan import FIRST, Choose, First, Plan, look
from clipdetect.scored import Scored

NAMES = ("time", "label", "learn", "restart", "widen")  # what a row has beside its values


class Decision(msgspec.Struct, frozen=True):
    """What rows decide.

    plan : as it is now. first : what they have shown. kept : those of the block to be kept. waits : how many wait.
    """

    plan: Plan
    first: First
    kept: list[int]
    waits: int


def nothing() -> Rows:
    """No rows."""
    return Rows(np.empty((0, 0)), np.empty(0), np.empty(0), np.empty(0, bool), np.empty(0, bool), np.empty(0))


def decide(
    choose: Choose, kept: Rows, X: np.ndarray, columns: Sequence[str], base: Sequence[str], keyed: bool
) -> Decision:
    """What some more rows X (n, d) decide. base : the columns that are fields, not made of them.

    A row without a number tells nothing and teaches nothing, so it is not kept.
    """
    first = First(keyed=keyed)
    plan = choose(first)
    some: list[int] = []
    if keyed:
        return Decision(plan, first, [], 0)
    fields = [j for j, name in enumerate(columns) if name in base]
    texts = len(columns) > len(fields) and any(map(is_text, base))
    seen = [[float(row[j]) if j < len(row) else math.nan for j in fields] for row in kept.X]
    for i in np.flatnonzero(np.isfinite(X).any(axis=1)).tolist():
        seen.append(X[i, fields].tolist())
        first = look([columns[j] for j in fields], seen, texts)
        plan = choose(first)
        if not plan.open:
            return Decision(plan, first, some, i)
        some.append(i)
    return Decision(plan, first, some, len(X))


def keep(kept: Rows, rows: Rows, X: np.ndarray, some: Sequence[int]) -> Rows:
    """The rows that are kept already and some more, with the values X (n, d); copies."""
    n, d = X.shape
    wide = np.full((len(kept.X), d), np.nan)
    wide[:, : kept.X.shape[1]] = kept.X
    more = replace(rows, widen=np.ones(n) if rows.widen is None else rows.widen)
    own = {name: np.concatenate([getattr(kept, name), getattr(more, name)[some]]) for name in NAMES}
    return Rows(np.concatenate([wide, X[some]]), **own)


def hidden(X: np.ndarray, columns: Sequence[str], plan: Plan, waits: int) -> np.ndarray:
    """The rows (n, d) as they are judged and told: without clocks, and where they wait without what may be one."""
    clocks = [columns.index(name) for name in plan.clocks]
    unsure = [j for j, name in enumerate(columns) if may_count(name)] if waits and plan.every else []
    if clocks or unsure:
        X = X.copy()
        X[:waits, unsure] = np.nan
        X[waits:, clocks] = np.nan
    return X


def unjudged(X: np.ndarray, bands: bool) -> Scored:
    """What rows (n, d) get that have to wait."""
    none = np.full((4, *X.shape), np.nan)
    score, flag = np.full(len(X), np.nan), np.zeros(len(X), np.int8)
    edges = (np.full(X.shape, np.nan), np.full(X.shape, np.nan)) if bands else (None, None)
    return Scored(score, flag, score.copy(), X, none[0], none[1], none[2], *edges)


def dump(kept: Rows) -> dict[str, np.ndarray]:
    """Arrays for a checkpoint."""
    return {f"kept/{name}": getattr(kept, name) for name in ("X", *NAMES)} if len(kept.X) else {}


def is_kept(name: str) -> bool:
    """Whether an array of a checkpoint is one of these."""
    return name.startswith("kept/")


def load(arrays: Mapping[str, np.ndarray]) -> Rows:
    """The rows of a `dump`. Raises ValueError where they are not whole."""
    found = {name.removeprefix("kept/"): each for name, each in arrays.items() if is_kept(name)}
    if not found:
        return nothing()
    n = len(found["X"]) if "X" in found and found["X"].ndim == 2 else 0
    types = dict.fromkeys(("X", *NAMES), np.float64) | dict.fromkeys(("learn", "restart"), np.bool_)
    if {name: each.dtype for name, each in found.items()} != {name: np.dtype(each) for name, each in types.items()}:
        raise ValueError("the rows that it has kept are not whole")
    if not 0 < n <= FIRST or any(found[name].shape != (n,) for name in NAMES):
        raise ValueError("the rows that it has kept are not whole")
    return Rows(**found)
