"""Columns that come in the middle of a stream, and that the components cannot take: they are left out, and named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clipdetect.detector import Detector
from clipdetect.formats.select import Selection
from clipdetect.records import Batch


def admitted(detector: Detector, selection: Selection, batch: Batch) -> Batch:
    """The batch without the new columns that are refused: called like a derived one, one more than can be taken.

    Of the first record of a stream only what is called like a derived column is left out: what else it has is a matter
    of the configuration, and said as such.
    """
    before, d = len(detector.base), batch.X.shape[1]
    if d == before:
        return batch
    names, kept = selection.columns[:d], list(range(before))
    for row, columns in batch.opened or [(0, d)]:
        for j in range(max(before, kept[-1] + 1 if kept else 0), columns):
            if names[j] not in selection.columns:
                continue  # refused already
            first = not detector.keys.clock and row == 0 and names[j] not in detector.features.makers
            problem = "" if first else detector.refusal([names[i] for i in (*kept, j)])
            if problem:
                selection.refuse(names[j], problem)
            else:
                kept.append(j)
    if len(kept) == d:
        return batch
    opened = [(row, int(np.searchsorted(kept, columns))) for row, columns in batch.opened]
    left = set(names) - {names[j] for j in kept}
    values = [each for each in batch.values if each.field not in left]
    return replace(batch, X=np.ascontiguousarray(batch.X[:, kept]), opened=opened, values=values)
