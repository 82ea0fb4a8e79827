"""Conditions on one field of a record: `failed`, `method=POST`, `status>=400`, `error~Denied`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clipdetect.numerics.hashing import category

_FORM = re.compile(r"(.*?)(<=|>=|!=|==|=|<|>)(.*)", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """What a record must meet. kind : how the field is taken. number, categories : what it is compared with."""

    field: str
    operator: str
    kind: Literal["number", "category"]
    number: float = 0.0
    categories: tuple[int, ...] = ()

    def met(self, column: np.ndarray) -> np.ndarray:
        """(n,) bool; a record without the field meets nothing, `!=` neither."""
        if self.kind == "number":
            compare = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}[self.operator]
            return np.asarray(compare(column, self.number))  # false for NaN
        present = column >= 0
        if not self.operator:
            return np.asarray(present)
        same = np.isin(column, np.array(self.categories, np.int64))
        return np.asarray(same if self.operator == "=" else present & ~same)


def parse(text: str, name: str = "where") -> Condition:
    """A condition from its text: NAME (the record has it), NAME=TEXT, NAME!=TEXT, NAME<NUMBER, <=, >, >=.

    NAME~REGEX: the regular expression is found in the value's text.
    TEXT may be several, as GET|HEAD: one of them, with `!=` none of them.
    `=` and `!=` compare the text of the value: 500 and "500" are the same, 500 and 500.0 are not.
    name : the parameter, for the message. Raises ValueError saying what is wrong.
    """
    field, found, expression = (part.strip() for part in text.partition("~"))
    if found and field and expression and not _FORM.fullmatch(field):
        try:
            re.compile(expression)
        except re.error as error:
            raise ValueError(f"{name}: not a regular expression: {error}, in {expression!r}") from None
        return Condition(f"{field}~{expression}", "", "category")  # the format looks, and gives a category or none
    form = _FORM.fullmatch(text.strip())
    if form is None:
        if not text.strip():
            raise ValueError(f"{name} must be a condition such as failed, method=POST or status>=400, got {text!r}")
        return Condition(text.strip(), "", "category")
    field, operator, wanted = (part.strip() for part in form.groups())
    if not field:
        raise ValueError(f"{name} needs the name of a field before {operator!r}, got {text!r}")
    if not wanted:
        raise ValueError(f"{name} needs a value after {operator!r}, got {text!r}")
    if operator in ("=", "==", "!="):
        # a JSON number, true and false are categories by their JSON text behind a NUL
        options = [each.strip() for each in wanted.split("|")]
        own = tuple(category(prefix + each) for each in options for prefix in ("", "\x00"))
        return Condition(field, "!=" if operator == "!=" else "=", "category", categories=own)
    try:
        number = float(wanted)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ValueError(f"{name} needs a number after {operator!r}, got {wanted!r}; texts are compared with = and !=")
    return Condition(field, operator, "number", number)
