"""What one connection holds at the door: at most one enrolment, and the call that is under way.

A door's methods block for as long as the networks need, so each runs in a thread; the event loop goes on
serving the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from janusd.control.events import EventQueue
from janusd.core.types import Image
from janusd.door import Door, Event, Scene, Told
from janusd.errors import EnrolmentBusy

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(slots=True)
class Desk:
    """One connection's place at the door."""

    door: Door
    threads: Executor
    shows_scores: bool
    shows_duress: Callable[[], bool] = lambda: False
    """Asked at each request, as rights are."""
    hears: Callable[[], frozenset[str]] = frozenset
    """What an observer is told besides codes: "names", "duress". Asked each time."""
    token: str | None = None
    """The enrolment this connection began; nobody else's token is worth anything here."""
    parcel: str = ""
    """People in base64 text, as far as this connection has sent them."""
    _unsubscribe: list[Callable[[], None]] = field(default_factory=list)

    async def ask(self, method: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call a blocking method of the door from a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, lambda: method(*args, **kwargs))

    async def begin(self, name: str, hours: str) -> str:
        """Begin an enrolment and keep its token."""
        if self.token is not None:
            raise EnrolmentBusy("this connection is enrolling somebody already", "commit or abandon it first")
        self.token = await self.ask(self.door.begin_enrolment, name, hours)
        return self.token

    async def reinforce(self, name: str) -> str:
        """Begin to add samples to somebody, and keep the token."""
        if self.token is not None:
            raise EnrolmentBusy("this connection is enrolling somebody already", "commit or abandon it first")
        self.token = await self.ask(self.door.begin_reinforcement, name)
        return self.token

    def view(self) -> EventQueue[tuple[Scene, Image]]:
        """What the camera shows from now on, until `leave`; only the newest frame is kept."""
        queue: EventQueue[tuple[Scene, Image]] = EventQueue(asyncio.get_running_loop(), limit=1)
        self._unsubscribe.append(self.door.view(lambda scene, image: queue.put((scene, image))))
        return queue

    def watch(self) -> EventQueue[Event]:
        """The door's decisions from now on, until `leave`. Does not wait: nothing could lose the listener."""
        queue: EventQueue[Event] = EventQueue(asyncio.get_running_loop())
        self._unsubscribe.append(self.door.subscribe(queue.put))
        return queue

    def follow(self) -> EventQueue[Told]:
        """What the door tells observers from now on, until `leave`."""
        queue: EventQueue[Told] = EventQueue(asyncio.get_running_loop())
        self._unsubscribe.append(self.door.follow(queue.put))
        return queue

    async def leave(self) -> None:
        """Give back all that this connection held."""
        while self._unsubscribe:
            self._unsubscribe.pop()()
        await self.abandon()

    async def abandon(self) -> None:
        """Drop the enrolment, if there is one."""
        token, self.token = self.token, None
        if token is not None:
            await self.ask(self.door.abandon_enrolment, token)
