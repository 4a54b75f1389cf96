"""Indicators without hardware: one that shows nothing, and one that remembers what it was to show."""

from __future__ import annotations

import threading

from janusd.ports import Sign


class NoIndicator:
    """Shows nothing: the door has neither lamp nor display."""

    name = "none"

    def show(self, sign: Sign, words: str) -> None:
        """Do nothing."""


class RecordingIndicator:
    """An `Indicator` whose signs can be read afterwards, for tests."""

    name = "recording"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown: list[tuple[Sign, str]] = []

    @property
    def shown(self) -> tuple[tuple[Sign, str], ...]:
        """All signs so far with their words, the oldest first."""
        with self._lock:
            return tuple(self._shown)

    def show(self, sign: Sign, words: str) -> None:
        """Remember the sign."""
        with self._lock:
            self._shown.append((sign, words))
