"""A component's arrays by name: what its kernels are given is what its spec says, in the same order."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import clipdetect
from clipdetect import registry
from clipdetect.components import Params

FOLDERS = ("changepoints", "estimators", "features", "numerics", "thresholds")
KINDS = ("feature", "changepoint", "estimator", "threshold")
SPECS = [
    *[(kind, name) for kind in KINDS for name in registry.names(kind)],
    ("changepoint", "clipped_mean:constants=guaranteed"),
    ("estimator", "clipped_sgd:loss=linear"),
    ("estimator", "neighbours:project=8"),
    ("feature", "rate:shape=decay"),
]


@pytest.mark.parametrize(("kind", "spec"), SPECS)
def test_kernels_get_the_arrays_of_the_spec_in_its_order(kind, spec):
    component = registry.build(kind, spec)
    component.bind(["a", "b", "c"], Params())
    assert component.state_class._fields == tuple(component.state_spec(3))


@pytest.mark.parametrize(("kind", "spec"), SPECS)
def test_the_classes_can_be_found_by_their_names(kind, spec):
    """So that a compiled kernel, which is kept on disk by its types, is found again."""
    component = registry.build(kind, spec)
    for each in (component.state_class, component.shared_class):
        module = __import__(each.__module__, fromlist=[each.__name__])
        assert getattr(module, each.__name__) is each


def test_a_tuple_of_arrays_has_a_name_of_its_own():
    """The compiler tells tuples apart by the names of class and fields; where two are alike, each call takes .4 ms."""
    found = {}
    root = Path(clipdetect.__file__).parent
    for path in [
        root / "components.py",
        *(path for folder in FOLDERS for path in sorted((root / folder).glob("*.py"))),
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and "NamedTuple" in [getattr(base, "id", "") for base in node.bases]:
                found.setdefault(node.name, []).append(path.name)
    assert [(name, files) for name, files in found.items() if len(files) > 1] == []
