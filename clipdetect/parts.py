"""The components that a plan names, built once; those that stay when the plan changes are the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import msgspec

from clipdetect import registry
from clipdetect.components import Component, Estimator, Feature, Params, Threshold
from clipdetect.derive import Derivation
from clipdetect.errors import FieldsError
from clipdetect.plan import Plan

C = TypeVar("C", bound=Component)


class Parts(msgspec.Struct, frozen=True):
    """What judges by a plan. params : what the components are told of the run."""

    plan: Plan
    features: Derivation
    estimator: Estimator
    threshold: Threshold
    params: Params

    @classmethod
    def of(cls, plan: Plan, params: Params, max_keys: int, hidden: Sequence[str]) -> Parts:
        """Those of a first plan."""
        features = Derivation([component("feature", each, Feature) for each in plan.features], max_keys, hidden)
        estimator = component("estimator", plan.estimator, Estimator)
        return cls(
            plan, features, estimator, component("threshold", plan.threshold, Threshold), _told(params, estimator)
        )

    def by(self, plan: Plan) -> Parts:
        """Those of another plan. Features that have learned have to keep their places."""
        features, estimator, threshold, params = self.features, self.estimator, self.threshold, self.params
        if plan.features != self.plan.features:
            have = list(zip(self.plan.features, features.features, strict=True))
            made = [next((own for spec, own in have if spec == each), each) for each in plan.features]
            features = features.having([component("feature", each, Feature) for each in made])
        if (plan.estimator, plan.threshold) != (self.plan.estimator, self.plan.threshold):
            estimator = component("estimator", plan.estimator, Estimator)
            threshold = component("threshold", plan.threshold, Threshold)
            params = _told(params, estimator)
            estimator.check(params)
            threshold.check(params)
        return Parts(plan, features, estimator, threshold, params)

    def are(self, other: Parts) -> bool:
        """Whether the components are the same."""
        mine, theirs = (msgspec.structs.astuple(each)[1:4] for each in (self, other))
        return all(a is b for a, b in zip(mine, theirs, strict=True))


def component(kind: str, spec: Any, base: type[C]) -> C:
    """A component from its spec, or itself. Raises ValueError where it is none of this kind."""
    made = spec if isinstance(spec, Component) else registry.build(kind, spec)
    if not isinstance(made, base):
        raise ValueError(f"{type(made).__name__} is no {kind}")
    return made


def bind(component: Component, columns: Sequence[str], params: Params) -> None:
    """Tell a component its columns. Raises FieldsError where they do not suit it."""
    try:
        component.bind(columns, params)
    except ValueError as error:
        raise FieldsError(str(error)) from error


def _told(params: Params, estimator: Estimator) -> Params:
    return replace(params, raw_kind=estimator.raw_kind, steady=estimator.steady)
