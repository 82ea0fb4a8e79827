"""From scores to what is said of records: events known in advance, incidents reported once, reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clipdetect import events
from clipdetect.config import Config
from clipdetect.detector import Detector
from clipdetect.errors import ConfigError
from clipdetect.explain import Texts, annotation
from clipdetect.incidents import GROUP_SILENCE, Incidents
from clipdetect.records import Annotation, Batch, Order, Reason
from clipdetect.scored import Scored


class Verdicts:
    """What a run says of its records; the open incidents are its state."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.events = events.read(config.events) if config.events else events.Events()
        wanted = bool(config.group or config.episode)
        self.incidents = Incidents(config.episode or GROUP_SILENCE, config.max_keys) if wanted else None
        self.muted = 0

    def check(self, detector: Detector, timed: bool) -> None:
        """Raises ConfigError where the records or the estimator do not give what is needed; timed : with times."""
        if self.events.widens and detector.estimator.raw_kind == "level":
            raise ConfigError(
                f"{self.config.events}: this estimator's raw scores start nowhere, so widen has no meaning"
            )
        if not timed and self.config.events:
            raise ConfigError("--events needs the time of each record; name its field with --time")
        if not timed and self.config.episode and self.config.episode.seconds:
            raise ConfigError("--episode with a time needs that of each record; name its field with --time")

    def categories(self) -> list[str]:
        """What is to be read from each record."""
        return [*self.events.categories(), *filter(None, [self.config.group])]

    def how(self, batch: Batch, learn: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Whether each record may be learned, and by what raw scores are divided; for `Detector.step`."""
        event = self.events.of(batch.time, batch.categories)
        learns = np.full(len(batch.rows), learn)
        if event is None:
            return learns, None
        return learns & ~event.freeze, event.widen if self.events.widens else None

    def annotation(self, batch: Batch, detector: Detector, scored: Scored, texts: Texts, writing: bool) -> Annotation:
        """What is appended to a block; where nothing is written nothing is muted, and no incident begins."""
        event = self.events.of(batch.time, batch.categories)
        if event is not None and writing:
            self.muted += scored.mute(event.mute)
        incidents = self.incidents
        if incidents is None or not writing:
            return annotation(self.config, detector, scored, texts)
        if self.config.group:
            scopes: Sequence[Any] = batch.categories[self.config.group].tolist()
        else:
            scopes = [""] * len(batch.rows) if batch.keys is None else batch.keys

        def join(anomaly: np.ndarray, why: dict[int, list[Reason]]) -> np.ndarray:
            return incidents.join(anomaly, why, scopes, batch.time)

        return annotation(self.config, detector, scored, texts, join)

    def told(self, detector: Detector, order: Order, records: int, flagged: int) -> list[str]:
        """What there is to say of a run so far."""
        evicted = f", {detector.evicted:,} evicted" if detector.evicted else ""
        found = [f"{records:,} records, {flagged:,} flagged, {len(detector.keys):,} keys{evicted}"]
        found += [f"{self.muted:,} flags muted by {self.config.events}"] if self.muted else []
        if self.incidents is not None and self.incidents.opened:
            found.append(f"{self.incidents.opened:,} incidents, with {self.incidents.joined:,} further flags in them")
        if order.steps_back:
            found.append(f"{order.steps_back:,} records are earlier than the one before; they count as of its time")
        return found

    # -- going back, saving -------------------------------------------------------------------

    def mark(self) -> Any:
        """This moment, for `back`."""
        return self.muted, None if self.incidents is None else self.incidents.mark()

    def back(self, mark: Any) -> None:
        """Go back to the moment of a mark."""
        self.muted, incidents = mark
        if self.incidents is not None:
            self.incidents.back(incidents)

    def dump(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {} if self.incidents is None else self.incidents.dump()

    def load(self, saved: dict[str, Any]) -> None:
        """Continue from a `dump`."""
        if self.incidents is not None:
            self.incidents.load(saved)
