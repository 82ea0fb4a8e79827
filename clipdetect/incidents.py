"""Incidents: flags that belong together are reported once.

A flag opens an incident. Further flags of the same key (with `--group`, of any key of the group), of
the same field and direction, join it instead of being reported again, until the key (the group) has
had so many records, or so much time, without one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from clipdetect.records import Reason
from clipdetect.settings import Silence

GROUP_SILENCE = Silence(records=100)  # of a group, where only `--group` is given
Scope = str | int


class Open(NamedTuple):
    """An incident that may still grow.

    left : records until it is over. last : time of its last flag, NaN unknown. number : of the
    record that was reported, among the readable ones of the stream, from 1.
    """

    left: int
    last: float
    number: int


class Incidents:
    """The open incidents of all keys, or of all groups.

    silence : what ends one. most : keys or groups with open incidents at most; the first ones leave.
    seen : records so far. joined, opened : flags taken back, and incidents reported, in this run.
    """

    def __init__(self, silence: Silence, most: int) -> None:
        self.silence, self.most = silence, most
        self.open: dict[Scope, dict[tuple[str, int], Open]] = {}
        self.seen = self.joined = self.opened = 0

    def join(
        self,
        anomaly: np.ndarray,
        why: dict[int, list[Reason]],
        scopes: Sequence[Scope],
        time: np.ndarray | None,
    ) -> np.ndarray:
        """Take back the flags of n records that join an incident; (n,) int64 its number, 0 for none.

        scopes : key or group of each record, -1 for none. time : epoch seconds.
        """
        found = np.zeros(len(scopes), np.int64)
        flagged = anomaly.tolist()
        counts = self.silence.records > 0
        for i, scope in enumerate(scopes):
            if scope == -1 or not (flagged[i] or (counts and scope in self.open)):
                continue
            own = self.open.get(scope, {})
            if counts:
                own = {each: open._replace(left=open.left - 1) for each, open in own.items() if open.left > 1}
            if flagged[i]:
                now = np.nan if time is None else float(time[i])
                kind = _kind(why[i])
                known = own.get(kind)
                if known is None or now - known.last >= self.silence.seconds > 0.0:
                    known = Open(0, now, self.seen + i + 1)
                    self.opened += 1
                else:
                    anomaly[i] = False
                    del why[i]
                    self.joined += 1
                last = known.last if np.isnan(now) else now
                own = {**own, kind: Open(self.silence.records, last, known.number)}
                found[i] = known.number
            self._put(scope, own)
        self.seen += len(scopes)
        return found

    def _put(self, scope: Scope, own: dict[tuple[str, int], Open]) -> None:
        if own:
            self.open[scope] = own
        else:
            self.open.pop(scope, None)
        while len(self.open) > self.most:
            del self.open[next(iter(self.open))]

    # -- going back, saving -------------------------------------------------------------------

    def mark(self) -> Any:
        """This moment, for `back`."""
        return dict(self.open), (self.seen, self.joined, self.opened)  # the values of `open` are only ever replaced

    def back(self, mark: Any) -> None:
        """Go back to the moment of a mark."""
        self.open, (self.seen, self.joined, self.opened) = dict(mark[0]), mark[1]

    def dump(self) -> dict[str, Any]:
        """Plain JSON values."""
        found = [
            [scope, *kind, open.left, None if np.isnan(open.last) else open.last, open.number]
            for scope, own in self.open.items()
            for kind, open in own.items()
        ]
        return {"silence": list(self.silence), "seen": self.seen, "open": found}

    def load(self, saved: dict[str, Any]) -> None:
        """Continue from a `dump`, where it was made with the same silence."""
        self.seen = saved.get("seen", 0)
        if saved.get("silence") == list(self.silence):
            for scope, field, direction, left, last, number in saved.get("open", []):
                own = self.open.setdefault(scope, {})
                own[field, direction] = Open(left, np.nan if last is None else last, number)


def _kind(why: Sequence[Reason]) -> tuple[str, int]:
    """Field and direction of a flag, by the first of its reasons."""
    if not why:
        return "", 0
    change = why[0].value - why[0].expected
    return why[0].field, 0 if np.isnan(change) else int(np.sign(change))
