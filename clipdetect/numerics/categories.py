"""Categories among the columns of numbers: a text field is a column of codes, under its marked name."""

from __future__ import annotations

import numpy as np

MARK = "\0"  # before the name of a column that holds codes of texts


def column_of(field: str) -> str:
    """The column of a text field's codes."""
    return MARK + field


def is_text(column: str) -> bool:
    """Whether a column holds codes of texts."""
    return column[:1] == MARK


def field_of(column: str) -> str:
    """The field of a column, of codes or of numbers."""
    return column.removeprefix(MARK)


def code(category: int) -> float:
    """53 bits of a category's 62, which a double holds exactly; NaN for none."""
    return float(category >> 9) if category >= 0 else float("nan")


def values(codes: np.ndarray, missing: int) -> np.ndarray:
    """Codes, any shape, as whole numbers; NaN as `missing`."""
    gone = np.isnan(codes)
    return np.where(gone, missing, np.where(gone, 0.0, codes).astype(np.int64))
