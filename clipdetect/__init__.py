"""clipdetect: records in, the same records out with an anomaly score appended.

The Python API is the command's own machinery on arrays:

>>> import numpy as np, clipdetect
>>> detector = clipdetect.Detector("level", "tail", engine="python")
>>> noise = np.random.default_rng(0).normal(size=500)
>>> result = detector.step(np.append(noise, 40.0))
>>> bool(result.flag[-1]), round(float(result.expected[-1, 0]))
(True, 0)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["ClipdetectError", "Detector", "Scored", "__version__"]

if TYPE_CHECKING:
    from clipdetect.detector import Detector
    from clipdetect.errors import ClipdetectError
    from clipdetect.scored import Scored

_HOMES = {"Detector": "detector", "Scored": "scored", "ClipdetectError": "errors"}


def __getattr__(name: str) -> Any:
    """Import what is asked for, and nothing heavy before."""
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(f"clipdetect.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'clipdetect' has no attribute {name!r}")
