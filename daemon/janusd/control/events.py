"""What the vision thread has to say, on its way to one watcher, who may be slower than the door."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, TypeVar

_T = TypeVar("_T")


class EventQueue(Generic[_T]):
    """The newest events a watcher has not read. Never blocks the thread that puts them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int = 64) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._events: deque[_T] = deque()
        self._limit = limit
        self._missed = 0
        self._woken = False
        """Whether a wake-up is on its way; one at a time, so that a busy loop collects no backlog."""
        self._news = asyncio.Event()

    def put(self, event: _T) -> None:
        """Add one, dropping the oldest when the watcher is too far behind. From any thread."""
        with self._lock:
            if len(self._events) == self._limit:
                self._events.popleft()
                self._missed += 1
            self._events.append(event)
            wake, self._woken = not self._woken, True
        if wake:
            try:
                self._loop.call_soon_threadsafe(self._news.set)
            except RuntimeError:  # the loop has closed: the daemon is stopping and nobody watches
                return

    async def get(self) -> tuple[_T, int]:
        """The oldest one kept, and how many were dropped before it since the last call."""
        while True:
            with self._lock:
                self._woken = False
                if self._events:
                    missed, self._missed = self._missed, 0
                    return self._events.popleft(), missed
                self._news.clear()
            await self._news.wait()
