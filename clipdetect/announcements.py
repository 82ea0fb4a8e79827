"""What a run tells people once, when it comes about: compiled kernels, evicted keys, columns not watched, news."""

from __future__ import annotations

from clipdetect import cache
from clipdetect.config import Config
from clipdetect.detector import Detector
from clipdetect.display import Talk
from clipdetect.formats.select import Selection


class Announcements:
    """Tells each thing once."""

    def __init__(self, config: Config, talk: Talk) -> None:
        self.config, self.talk = config, talk
        self._told: set[str] = set()
        self._engine = self._eviction = False

    def after_block(self, detector: Detector, selection: Selection, records: int) -> None:
        """What a block has brought about; records : so far."""
        talk, engine = self.talk, detector.engine
        if not self._engine and engine.switched:
            self._engine = True
            talk.detail(f"kernels are compiled from record {records + 1} on")
            talk.detail(cache.trouble())
        elif not self._engine and engine.error is not None:
            self._engine = True
            talk.note(f"the compiler failed, going on interpreted: {engine.error}")
        if detector.evicted and not self._eviction:
            self._eviction = True
            talk.note(f"more than {self.config.max_keys:,} keys: the least recently used are evicted (--max-keys)")
        for text in (*selection.drain(), *detector.news()):
            if text not in self._told:
                self._told.add(text)
                talk.note(text)
