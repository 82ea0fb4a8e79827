"""A detector as plain arrays and back: what is saved of it, and how it is known to be the same detector.

Kernels get a component's arrays in the order of its `state_spec`, so two names exchanged there would
put every number in the wrong place without a word. So the layout is saved too: of each component the
names in order, with type and shape, `d` being the number of its fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from clipdetect.components import Component, Feature, Spec, full_spec

if TYPE_CHECKING:
    from clipdetect.detector import Detector

OWN: Spec = {"given": ((), np.int64), "pending": ((), np.int64), "moved": ((), np.float64)}  # the detector's


def specs(detector: Detector) -> tuple[Spec, Spec]:
    """All arrays with a row for each key, and all that keys share, in order."""
    keyed: Spec = dict(OWN)
    shared: Spec = {}
    for prefix, component in detector.stages().items():
        d = len(component.inputs()) if isinstance(component, Feature) else len(detector.columns)
        keyed.update({f"{prefix}/{name}": each for name, each in full_spec(component, d).items()})
        shared.update({f"{prefix}/{name}": each for name, each in full_spec(component, d, True).items()})
    return keyed, shared


def layout(detector: Detector) -> dict[str, list[str]]:
    """The layout of each component: `window (21, d) float64`."""
    return {prefix: _layout(component) for prefix, component in detector.stages().items()}


def _layout(component: Component) -> list[str]:
    found = []
    for shared in (False, True):
        two, three = (full_spec(component, d, shared) for d in (2, 3))
        for name, (shape, dtype) in two.items():
            axes = ", ".join(_axis(a, b) for a, b in zip(shape, three[name][0], strict=True))
            found.append(f"{'shared ' if shared else ''}{name} ({axes}) {np.dtype(dtype).name}")
    return found


def _axis(two: int, three: int) -> str:
    """The length of an axis by its lengths for two and three fields: `21`, `d`, `2d+1`."""
    slope = three - two
    rest = two - 2 * slope
    if not slope:
        return str(rest)
    return (str(slope) if slope > 1 else "") + "d" + (f"{rest:+d}" if rest else "")


def dump(detector: Detector) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
    """Everything to save: a JSON-able head, the key texts (least recently used first), the arrays."""
    order = {name: table.in_order() for name, table in detector.tables().items()}
    arrays = {f"key/{name}": array[order[detector.table_of(name)][1]] for name, array in detector.state.items()}
    arrays.update({f"shared/{name}": array for name, array in detector.shared.items()})
    arrays.update({f"entity/{name}": np.array(texts, np.int64) for name, (texts, _) in order.items() if name})
    head = {
        "columns": detector.columns,
        "base": detector.base,
        "evicted": {name: table.evicted for name, table in detector.tables().items()},
        "layout": layout(detector),
    }
    return head, order[""][0], arrays


def load(detector: Detector, head: dict[str, Any], texts: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
    """Continue from a `dump`; of more keys than `max_keys`, the most recently used are kept.

    Raises ValueError where the arrays are not those of these components.
    """
    detector.base, detector.columns = [], list(head["columns"])
    detector.state, detector.shared, detector.capacity = {}, {}, {}
    detector.open_columns(head["base"])
    _compare_columns(detector, head)
    _compare_layouts(head["layout"], layout(detector))
    own = {"": list(texts)}
    for name in detector.features.tables:
        entities = arrays.get(f"entity/{name}", np.empty(0))
        if entities.dtype != np.int64 or entities.ndim != 1 or len(np.unique(entities)) != len(entities):
            raise ValueError(f"it has no list of different values of {name!r}")
        own[name] = entities.tolist()
    _compare_arrays(detector, own, arrays)
    surplus = {}
    for name, table in detector.tables().items():
        surplus[name] = max(0, len(own[name]) - table.max_keys)
        table.fill(own[name][surplus[name] :], head["evicted"][name] + surplus[name])
    detector.resize({name: len(table) for name, table in detector.tables().items()})
    for name, array in detector.state.items():
        array[...] = arrays[f"key/{name}"][surplus[detector.table_of(name)] :]
    for name, array in detector.shared.items():
        array[...] = arrays[f"shared/{name}"]


def _compare_columns(detector: Detector, head: dict[str, Any]) -> None:
    for names in (head["columns"], head["base"]):
        if len(set(names)) != len(names):
            raise ValueError("it has a column twice")
    if detector.columns != list(head["columns"]):
        raise ValueError("its columns are not those that its fields give")
    if head["evicted"].keys() != detector.tables().keys():
        raise ValueError("it is not of these features")


def _compare_layouts(old: dict[str, list[str]], new: dict[str, list[str]]) -> None:
    """Raises ValueError that names the first difference."""
    for stage in dict.fromkeys((*old, *new)):
        for was, now in zip_longest(old.get(stage, ()), new.get(stage, ()), fillvalue="nothing"):
            if was != now:
                raise ValueError(
                    f"its arrays are not those of the components: {stage} has {was} where {now} is expected; "
                    "use the release that wrote it, or start afresh"
                )


def _compare_arrays(detector: Detector, own: dict[str, list[Any]], arrays: dict[str, np.ndarray]) -> None:
    keyed, shared = specs(detector)
    expected = [(f"key/{name}", (len(own[detector.table_of(name)]), *each[0]), each[1]) for name, each in keyed.items()]
    expected += [(f"shared/{name}", each[0], each[1]) for name, each in shared.items()]
    expected += [(f"entity/{name}", (len(each),), np.int64) for name, each in own.items() if name]
    for was, now in zip_longest(arrays.items(), expected):
        if was is None or now is None or (was[0], was[1].shape, was[1].dtype) != (*now[:2], np.dtype(now[2])):
            name = now[0] if was is None and now is not None else was[0] if was is not None else ""
            raise ValueError(f"its arrays are not those of the components: {name!r} is missing, or has another shape")
