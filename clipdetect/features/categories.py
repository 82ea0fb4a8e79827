"""Feature `categories`: how rare the values of all watched texts are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clipdetect.components import Feature, Input, Rows, Spec, State
from clipdetect.numerics.categories import field_of, is_text, values
from clipdetect.numerics.hashing import category
from clipdetect.numerics.rarity import RarityRows, RarityState, growth, one_in, rarities
from clipdetect.numerics.words import cut, matching

__all__ = ["Categories"]

NONE = category("none") >> 9  # what a missing text counts as
PLACES = 4  # for the one total of each table


class Categories(Feature):
    """Surprise of every text field that is watched as a category: -log10 of its value's share before, as `rare`.

    What `--categories` makes: the fields are found in the stream, and each gets a column of its own beside the
    numbers. A record without the field has the value "none" there, so that an error code is rare where most have
    none. Where values hardly repeat (identifiers, messages with numbers in them) it tells nothing: such fields are
    left out when they are found by `--categories auto`.

    Parameters
    ----------
    field : names or shell-style patterns of text fields, with + between them.
    half_life : after how many records one counts half, 0 = none is forgotten. [records]
    buckets : values remembered of each field, a multiple of 8, >= 64. [16 bytes each, per key and field]

    Cost
    ----
    O(1) a field and record: as `rare`.

    State
    -----
    2 * buckets + 9 numbers a field: 16 KB, per key. Counts are those of `rare`.
    """

    decades = True
    state_class = RarityState
    replaces = True
    texts = True  # it is bound to the columns of codes too

    def __init__(self, field: str = "*", half_life: float = 20000.0, buckets: int = 1024) -> None:
        if not field:
            raise ValueError("field must name a text, or be a pattern such as *")
        if not half_life >= 0.0:
            raise ValueError(f"half_life must be >= 0, got {half_life}")
        if buckets < 64 or buckets % 8:
            raise ValueError(f"buckets must be a multiple of 8, at least 64, got {buckets}")
        self.field, self.half_life, self.buckets = field, half_life, buckets

    def inputs(self) -> list[Input]:
        texts = [name for name in self.fields if is_text(name)]
        wanted = {name for each in self.field.split("+") for name in matching(each, [field_of(text) for text in texts])}
        return [Input(text, "number") for text in texts if field_of(text) in wanted]

    def names(self) -> list[str]:
        return [f"rare({field_of(each.field)})" for each in self.inputs()]

    def state_spec(self, n_features: int) -> Spec:
        m = n_features
        return {
            "tags": ((m, self.buckets), np.int64),
            "counts": ((m, self.buckets), np.float64),
            "weight": ((m,), np.float64),
            "known": ((m, PLACES), np.int64),
            "totals": ((m, PLACES), np.float64),
        }

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        n, m = len(slots), len(columns)
        out = np.full((n, m), np.nan)
        if m:  # a field of a key is one table, as a key is for `rare`
            tables = (slots[:, None] * m + np.arange(m)).ravel()
            own = self.state_arrays(state)
            of_fields = RarityState(*[array.reshape(-1, *array.shape[2:]) for array in own])
            each = values(np.stack(columns, axis=1), NONE).ravel()
            block = RarityRows(each, np.zeros(n * m, np.int64), tables, np.repeat(rows.learn, m))
            self.run(rarities, n * m, block, growth(self.half_life), of_fields, out.reshape(-1))
        return out

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        name = self.inputs()[column].field
        return f"{field_of(name)} {cut(texts.get(name) or 'none')}: {one_in(value).replace('1', 'one', 1)} records"
