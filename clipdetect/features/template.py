"""Feature `template`: how rare the shape of a text is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clipdetect.components import Feature, Input, Rows, Spec, State
from clipdetect.numerics.rarity import RarityRows, RarityState, growth, one_in, rarities
from clipdetect.numerics.words import cut, whose

__all__ = ["Template"]


class Template(Feature):
    """Surprise of a message's shape: the text without numbers, addresses, paths and other variable parts.

    For log lines: a kind of line that was rare, or never there, before. The shape depends on the text alone, so it
    is the same in every run. Otherwise as `rare`; a shape tells nothing of a message's numbers.

    Parameters
    ----------
    field : the text.
    half_life : after how many records one counts half, 0 = none is forgotten. [records]
    buckets : shapes remembered, a multiple of 8, >= 64. [16 bytes each, per key]
    per : a field; count apart by its values within the key.
    name : of the column; `template` by default, `template(FIELD)` for another text than `message`.

    Cost
    ----
    O(1) a record: compiled .06 us, interpreted 5 us, besides the shape itself, about 2.5 us.

    State
    -----
    2 * buckets + 9 numbers: 16 KB.
    """

    upward = True
    decades = True
    state_class = RarityState

    def __init__(
        self,
        field: str = "message",
        half_life: float = 20000.0,
        buckets: int = 1024,
        per: str = "",
        name: str = "",
    ) -> None:
        if not field:
            raise ValueError("field must name a text, got ''")
        if not half_life >= 0.0:
            raise ValueError(f"half_life must be >= 0, got {half_life}")
        if buckets < 64 or buckets % 8:
            raise ValueError(f"buckets must be a multiple of 8, at least 64, got {buckets}")
        self.field, self.half_life, self.buckets, self.per, self.name = field, half_life, buckets, per, name

    def inputs(self) -> list[Input]:
        return [Input(f"shape({self.field})", "category")]

    def names(self) -> list[str]:
        return [self.name or ("template" if self.field == "message" else f"template({self.field})")]

    def state_spec(self, n_features: int) -> Spec:
        return {
            "tags": ((self.buckets,), np.int64),
            "counts": ((self.buckets,), np.float64),
            "weight": ((), np.float64),
            "known": ((4,), np.int64),
            "totals": ((4,), np.float64),
        }

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        n = len(slots)
        out = np.full((n, 1), np.nan)
        self.run(
            rarities, n, RarityRows(columns[0], np.zeros(n, np.int64), slots, rows.learn), growth(self.half_life),
            self.state_arrays(state), out[:, 0],
        )  # fmt: skip
        return out

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        shape = texts.get(self.inputs()[0].field, "")
        return f"{self.field} like {cut(shape)!r}{whose(self.per, texts)}: {one_in(value)}"
