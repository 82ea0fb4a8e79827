"""Slow, obvious clipped SGD of one key: vectors as arrays, the windows of norms sorted anew for every record."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from naive.combine import Record

Row = list[float]


def readable(x: float) -> bool:
    return abs(x) < 1e150


class Schedule:
    """What all losses share: the step, the clip level, the ball."""

    def __init__(self, alpha: float, horizon: int | None, clip: str, radius: float | None) -> None:
        self.alpha, self.horizon, self.clip, self.radius = alpha, horizon, clip, radius
        self.norms: dict[object, deque[float]] = {}

    def step(self, t: int) -> float:
        T = self.horizon if self.horizon else 2 ** int(math.log2(t))
        return float(T**-self.alpha)

    def factor(self, norm: float, kind: object, q: float, times: float) -> float:
        window = self.norms.setdefault(kind, deque(maxlen=128))
        window.append(norm)
        if self.clip == "none" or norm == 0:
            return 1.0
        if self.clip == "auto":
            limit = times * float(np.quantile(window, q))
        else:
            limit = 2 * float(self.clip.split(":")[1])
        return min(1.0, limit / norm)

    def back(self, theta: np.ndarray, start: np.ndarray) -> np.ndarray:
        far = float(np.linalg.norm(theta - start))
        if self.radius is None or far <= self.radius:
            return theta
        return start + (theta - start) * self.radius / far


def mean(
    rows: list[Row], alpha: float = 2 / 3, horizon: int | None = None, clip: str = "auto", radius: float | None = None
) -> tuple[list, list, list]:
    """raw (n,), expected (n, d), scale (n, d) of loss=mean."""
    schedule, record = Schedule(alpha, horizon, clip, radius), Record()
    d = len(rows[0])
    first: list[list[float]] = [[] for _ in range(d)]
    theta, start, scale = np.zeros(d), np.zeros(d), np.zeros(d)
    t = 0
    answers: tuple[list, list, list] = ([], [], [])
    for row in rows:
        there = np.array([readable(x) for x in row])
        started = np.array([len(each) == 8 for each in first])
        x = np.where(there, row, 0.0)
        z = [math.nan] * d
        for j in range(d):
            if there[j] and started[j]:
                gap = x[j] - theta[j]
                sigma = 1.27 * scale[j]
                z[j] = 0.0 if gap == 0 else (gap / sigma if sigma > 0 else math.copysign(100, gap))
        seen = sum(bool(each) or bool(ok) for each, ok in zip(first, there, strict=True))
        answers[0].append(record.judge(z, seen))
        answers[1].append(np.where(started, theta, np.nan).tolist())
        answers[2].append(np.where(started, 1.27 * scale, np.nan).tolist())
        if not there.any():
            continue
        t += 1
        g = np.where(there & started, x - theta, 0.0)
        if (there & started).any():
            theta = theta + schedule.step(t) * schedule.factor(float(np.linalg.norm(g)), None, 0.5, 2.0) * g
        for j in range(d):
            if there[j] and started[j]:
                size = abs(g[j])
                if scale[j] == 0:
                    scale[j] = size
                elif size > 0:
                    scale[j] *= math.exp(0.01 * (min(size / scale[j], 2.5) - 1))
            elif there[j]:
                first[j].append(x[j])
                if len(first[j]) == 8:
                    start[j] = theta[j] = np.median(first[j])
                    scale[j] = 0.545 * (sorted(first[j])[5] - sorted(first[j])[2])
        theta = schedule.back(theta, start)
    return answers


class Column:
    """Clipped running centre of a regressor, which stands in where it is missing."""

    def __init__(self) -> None:
        self.n, self.centre, self.spread, self.last = 0, 0.0, 0.0, math.nan

    def learn(self, x: float) -> None:
        self.n += 1
        d = x - self.centre
        if self.n == 1:
            self.centre = x
        elif x != self.last and self.spread > 0:
            rate = max(0.01, 1 / self.n)
            z = d / self.spread
            self.centre += rate * self.spread * max(-2.5, min(2.5, z))
            self.spread *= math.exp(0.5 * min(rate, 0.1) * (min(abs(z), 2.5) - 1))
        elif x != self.last and d != 0:
            self.spread = abs(d)
            self.centre += d / 2
        self.last = x


class Regression:
    """loss=linear (`target`: index of a field) and loss=logistic (`target`: None)."""

    def __init__(self, d: int, target: int | None, delay: int = 0, **schedule: object) -> None:
        self.schedule = Schedule(**schedule)  # type: ignore[arg-type]
        self.target, self.delay = target, delay
        self.columns = [Column() for _ in range(d)]
        self.theta, self.start = np.zeros(d + 1), np.zeros(d + 1)
        self.t = 0
        self.first: list[float] = []
        self.residuals: deque[float] = deque(maxlen=128)
        self.waiting: deque[tuple[Row, float]] = deque()

    def regressors(self, row: Row) -> np.ndarray:
        z = [1.0]
        for j, (x, column) in enumerate(zip(row, self.columns, strict=True)):
            known = j != self.target and column.n > 0
            z.append((x if readable(x) else column.centre) if known else 0.0)
        return np.array(z)

    def judge(self, row: Row, label: float) -> tuple[float, float, float]:
        """raw, expected, scale; then the record is learned."""
        value = float(self.theta @ self.regressors(row))
        raw = expected = scale = math.nan
        self.surprise = abs(row[self.target] - value) if self.target is not None else math.nan
        usable = any(map(readable, row)) if self.target is None else readable(row[self.target])
        y = label if self.target is None else row[self.target]
        if self.t >= 8 and self.target is None:
            raw = value if usable else math.nan
        elif self.t >= 8:
            moved = [r for r in self.residuals if r > 0]
            expected, scale = value, 1.4826 * float(np.median(moved)) if moved else 0.0
            if usable:
                raw = (y - value) / scale if y != value else 0.0
        if usable:
            for j, x in enumerate(row):
                if j != self.target and readable(x):
                    self.columns[j].learn(x)
            self.waiting.append((row, y))
            if len(self.waiting) > self.delay:
                self.learn(*self.waiting.popleft())
        return raw, expected, scale

    def learn(self, row: Row, y: float) -> None:
        if math.isnan(y):
            return
        self.t += 1
        if self.target is not None and self.t <= 8:
            self.first.append(y)
            if self.t == 8:
                self.theta[0] = self.start[0] = np.median(self.first)
                self.residuals.extend(abs(v - self.theta[0]) for v in self.first)
            return
        z = self.regressors(row)
        value = float(self.theta @ z)
        step = self.schedule.step(self.t)
        if self.target is None:
            error = y - 1 / (1 + math.exp(-value))
            step *= self.schedule.factor(abs(error) * float(np.linalg.norm(z)), y, 0.9, 1.0)
            ridge = 1e-4 * np.append(0.0, self.theta[1:])
        else:
            error = y - value
            self.residuals.append(self.surprise)
            step *= self.schedule.factor(abs(error) * float(np.linalg.norm(z)), None, 0.5, 2.0)
            ridge = np.zeros(1)
        self.theta = self.schedule.back(self.theta + step * (error * z - ridge), self.start)
