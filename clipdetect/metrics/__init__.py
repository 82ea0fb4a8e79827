"""How good a ranking and a set of flags are, against the truth."""

from clipdetect.metrics.evaluation import Evaluation, evaluate
from clipdetect.metrics.events import RangeMeasures, range_measures
from clipdetect.metrics.ranking import average_precision, roc_auc
from clipdetect.metrics.volume import MOST_BUFFER, Volume, volume

__all__ = [
    "MOST_BUFFER",
    "Evaluation",
    "RangeMeasures",
    "Volume",
    "average_precision",
    "evaluate",
    "range_measures",
    "roc_auc",
    "volume",
]
