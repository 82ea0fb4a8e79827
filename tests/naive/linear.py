"""Slow, obvious `linear`: one key, matrices, every window sorted anew.

Five weighted recursive least squares with memories of 2 * 4^e records per coefficient, mixed by the
likelihood of a Student distribution with two degrees, in the units of each column.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from naive.clipped_sgd import Column, readable

Row = list[float]


class Regressor(Column):
    """A column with the origin and unit in which its coefficient is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.origin = self.unit = 0.0

    def units(self, x: float) -> float:
        if self.n == 0 or self.unit == 0:
            return 0.0
        value = x if readable(x) else self.centre
        return max(-1e6, min(1e6, (value - self.origin) / self.unit))

    def far(self, x: float) -> float:
        return abs(x - self.centre) / self.spread if readable(x) and self.n > 0 and self.spread > 0 else 0.0


class Expert:
    def __init__(self, p: int) -> None:
        self.theta, self.P = np.zeros(p), np.zeros((p, p))

    def forget(self, j: int) -> None:
        self.theta[j] = 0.0
        self.P[j, :] = self.P[:, j] = 0.0
        self.P[j, j] = 100.0

    def variance(self, z: np.ndarray) -> float:
        return max(0.0, float(z @ self.P @ z))

    def learn(self, z: np.ndarray, y: float, weight: float, memory: float) -> None:
        g = self.P @ z
        share = weight / (memory + weight * self.variance(z))
        self.theta = self.theta + share * (y - self.theta @ z) * g
        self.P = (self.P - share * np.outer(g, g)) / memory
        for j in range(len(z)):
            if self.P[j, j] > 100:
                shrink = math.sqrt(100 / self.P[j, j])
                self.P[j, :] *= shrink
                self.P[:, j] *= shrink


def in_units(errors: np.ndarray, unit: float) -> np.ndarray:
    """At most a thousand million of them; as many where there is no unit."""
    if unit > 0:
        return np.clip(errors / unit, -1e9, 1e9)
    return np.where(errors == 0, 0.0, np.copysign(1e9, errors))


class Linear:
    def __init__(self, d: int, target: int = 0) -> None:
        self.d, self.target = d, target
        self.columns = [Regressor() for _ in range(d)]
        self.experts = [Expert(d + 1) for _ in range(5)]
        self.weights = np.full(5, 0.2)
        self.rows: deque[Row] = deque(maxlen=48)
        self.residuals: deque[float] = deque(maxlen=64)
        self.strange: deque[bool] = deque(maxlen=8)
        self.seen = 0
        self.zero = 0.0

    def design(self, row: Row) -> np.ndarray:
        z = [c.units(x) if j != self.target else 0.0 for j, (c, x) in enumerate(zip(self.columns, row, strict=True))]
        return np.array([1.0, *z])

    def coefficients(self) -> int:
        return 1 + sum(c.n > 0 for j, c in enumerate(self.columns) if j != self.target)

    def spacing(self, y: float, guess: float, z: np.ndarray) -> float:
        """What rounding may make of numbers as large as these."""
        parts = np.abs(z * self.experts[4].theta)[1:].sum()
        return 1e-15 * (abs(y) + abs(self.zero) + abs(guess)) + 1e-13 * float(parts)

    def noise(self) -> float:
        moved = [r for r in self.residuals if r > 0]
        return 1.4826 * float(np.median(moved)) if moved else 0.0

    def judge(self, row: Row) -> tuple[float, float, float]:
        """raw, expected, scale; then the record is learned."""
        raw = expected = scale = math.nan
        y = row[self.target]
        if self.seen >= 8:
            z = self.design(row)
            guess = sum(w * float(e.theta @ z) for w, e in zip(self.weights, self.experts, strict=True))
            doubt = sum(w * e.variance(z) for w, e in zip(self.weights, self.experts, strict=True))
            expected, scale = self.zero + guess, self.noise() * math.sqrt(1 + doubt)
            if readable(y):
                residual = y - self.zero - guess
                if abs(residual) <= self.spacing(y, guess, z):
                    residual = 0.0
                raw = 0.0 if residual == 0 else residual / scale if scale > 0 else math.copysign(100.0, residual)
                self.learn(row, z, residual)
        if readable(y) and self.seen < 8:
            self.rows.append(row)
            self.follow(row)
            self.seen += 1
            if self.seen == 8:
                self.begin()
        return raw, expected, scale

    def learn(self, row: Row, z: np.ndarray, residual: float) -> None:
        self.rows.append(row)
        self.seen += 1
        noise = self.noise()
        far = max([c.far(x) for j, (c, x) in enumerate(zip(self.columns, row, strict=True)) if j != self.target] + [0])
        self.residuals.append(abs(residual))
        self.absorb(row, z, noise, (6 / far) ** 2 if far > 6 else 1.0)
        self.strange.append(abs(residual) > 2.5 * noise)
        if sum(self.strange) >= 4:
            self.fit_anew(noise)
        if (self.weights < 0.01 / 5).any():
            theta, P = self.mixture()
            for e in range(5):
                if self.weights[e] < 0.01 / 5:
                    self.experts[e].theta, self.experts[e].P = theta.copy(), P.copy()
        self.follow(row)

    def absorb(self, row: Row, z: np.ndarray, noise: float, importance: float) -> None:
        y = row[self.target] - self.zero
        errors = [y - float(e.theta @ z) for e in self.experts]
        variances = np.array([e.variance(z) for e in self.experts])
        squares = in_units(np.array(errors), noise) ** 2
        logs = -0.5 * np.log(1 + variances) - 1.5 * np.log(1 + squares / (1 + variances) / 2)
        weights = self.weights * np.exp(logs - logs.max())
        self.weights = 0.999 * weights / weights.sum() + 0.001 / 5
        for e, expert in enumerate(self.experts):
            memory = 1 - 1 / (2 * self.coefficients() * 4**e)
            expert.learn(z, y, importance * 3 / (2 + squares[e]), memory)

    def mixture(self) -> tuple[np.ndarray, np.ndarray]:
        pairs = list(zip(self.weights, self.experts, strict=True))
        return sum(w * e.theta for w, e in pairs), sum(w * e.P for w, e in pairs)

    def fit_anew(self, noise: float) -> None:
        """Ridge-like least squares around the mixture, then reweighted; the normal equations solved each time."""
        p = self.coefficients()
        rows = list(self.rows)[-max(4 * p, 16) :]
        if len(rows) < 3 * p:
            return
        mean, _ = self.mixture()
        Z = np.array([self.design(row) for row in rows])
        y = np.array([row[self.target] - self.zero for row in rows])
        used = np.flatnonzero(self.experts[0].P.diagonal() != 0)
        weights = np.ones(len(rows))
        for _ in range(5):
            A = Z[:, used].T @ (weights[:, None] * Z[:, used]) + np.eye(len(used)) / 100
            b = Z[:, used].T @ (weights * (y - Z @ mean))
            theta, P = mean.copy(), np.zeros_like(self.experts[0].P)
            theta[used] += np.linalg.solve(A, b)
            P[np.ix_(used, used)] = np.linalg.inv(A)
            weights = 1 / np.maximum(np.abs(in_units(y - Z @ theta, noise)), 0.5)
        self.experts[0].theta, self.experts[0].P = theta, P

    def begin(self) -> None:
        for j, column in enumerate(self.columns):
            values = sorted(row[j] for row in self.rows if readable(row[j]))
            if not values:
                continue
            half = float(np.median(values))
            if j == self.target:
                self.zero = half
                continue
            quarter = len(values) // 4
            inner = 0.5 * (values[-1 - quarter] - values[quarter])
            column.centre = column.origin = half
            column.spread = column.unit = inner if inner > 0 else float(np.mean(np.abs(np.array(values) - half)))
        for expert in self.experts:
            expert.forget(0)
            for j, column in enumerate(self.columns):
                if j != self.target and column.n > 0:
                    expert.forget(j + 1)
        self.residuals.extend(abs(row[self.target] - self.zero) for row in self.rows)
        for row in self.rows:
            self.absorb(row, self.design(row), self.noise(), 1.0)

    def follow(self, row: Row) -> None:
        for j, (column, x) in enumerate(zip(self.columns, row, strict=True)):
            if j != self.target and readable(x):
                column.learn(x)
                if self.seen > 8:
                    self.move(j + 1, column)

    def move(self, j: int, column: Regressor) -> None:
        """The same functions, with the column's coefficient in a new unit and from a new origin."""
        if column.n == 1:
            column.origin, column.unit = column.centre, 0.0
            for expert in self.experts:
                expert.forget(j)
        if column.spread == 0:
            return
        if column.unit == 0:
            column.unit = column.spread
        T = np.eye(self.d + 1)
        if not 0.5 <= column.spread / column.unit <= 2:
            T[j, j] = column.spread / column.unit
            column.unit = column.spread
        by = (column.centre - column.origin) / column.unit
        if abs(by) > 1:
            T[0, j] = by * T[j, j]
            column.origin = column.centre
        for expert in self.experts:
            expert.theta, expert.P = T @ expert.theta, T @ expert.P @ T.T
