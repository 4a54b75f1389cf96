"""The demo's story: three residents are enrolled, then a street of residents and strangers walks past.

Everything between camera and latch is the product: the daemon in a process of its own, its networks, its
vault, its socket. The story knows the truth and holds the daemon's decisions against it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from janusd.cli.remote import RemoteDoor
from janusd.core.reason import Reason
from janusd.demo.album import Person
from janusd.demo.running import Pulse, RunningDoor
from janusd.demo.street import Visit, spans, write
from janusd.door import Event, Feedback

FPS = 8.0
"""Frames a second that the street is shown at; a machine that cannot keep up sees every frame, only later."""
_EMPTY_FRAMES = 16
"""How long the street is empty before the first visit: two seconds."""
_PULSE_S = 2.0
"""Longer than a pulse of the demo's latch."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One visit and what the door made of it."""

    visit: Visit
    events: Sequence[Event]
    pulses: Sequence[Pulse]
    """Releases of the latch during the visit."""

    @property
    def unlocked_for(self) -> str:
        """Whom the door opened for, or nobody."""
        return next((event.name for event in self.events if event.unlocks), "")

    @property
    def reason(self) -> str:
        """The most telling decision: an unlock, else what was said most often about a face in view."""
        told = [event.reason for event in self.events if event.reason != Reason.NO_FACE]
        if self.unlocked_for:
            return Reason.MATCHED.value
        return max(set(told), key=told.count) if told else Reason.NO_FACE.value

    @property
    def best_score(self) -> float | None:
        """The highest score an enrolled person reached, where one was named."""
        return max((event.score for event in self.events if event.score is not None), default=None)

    @property
    def is_right(self) -> bool:
        """Whether the door opened exactly for whom it should, and the latch did what was decided."""
        wanted = self.visit.person or ""
        pulsed_for = {pulse.why for pulse in self.pulses}
        return self.unlocked_for == wanted and pulsed_for == ({f"matched {wanted}"} if wanted else set())

    @property
    def is_wrong_unlock(self) -> bool:
        """The one thing that must never happen."""
        opened_for = {event.name for event in self.events if event.unlocks}
        opened_for |= {pulse.why.removeprefix("matched ") for pulse in self.pulses}
        return not opened_for <= {self.visit.person}


def enrol(door: RunningDoor, person: Person, hours: str = "") -> Iterator[Feedback]:
    """Enrol somebody from their photographs, giving the daemon's word on each."""
    with door.connect() as client:
        remote = RemoteDoor(client)
        token = remote.begin_enrolment(person.name, hours)
        for view in person.enrol:
            yield remote.add_image(token, view.path.read_bytes())
        remote.commit_enrolment(token)


def play(door: RunningDoor, street: Path, visits: Sequence[Visit]) -> Iterator[Outcome]:
    """Start the door before a street that `street.write` wrote, and give each visit's outcome as it ends.

    Which visit a decision belongs to is told by its frame's number, not by the clock.
    """
    door.look_at(street)
    door.start()
    try:
        with door.connect() as client:
            events = _Ahead(event for event, _ in RemoteDoor(client).watch())
            for visit, span in zip(visits, spans(street), strict=True):
                seen_pulses = len(door.pulses())
                seen = list(events.until(span.stop - 1))
                yield Outcome(visit, seen, _ended_pulses(door, seen_pulses))
    finally:
        door.stop()


def write_street(folder: Path, visits: Sequence[Visit], seed: int) -> None:
    """Write the frames of these visits, with an empty street before the first."""
    write(folder, seed, visits, empty_frames=_EMPTY_FRAMES)


class _Ahead:
    """Events in order, with the one that was read too far kept for the next visit."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._kept: Event | None = None

    def until(self, last: int) -> Iterator[Event]:
        """Events up to frame `last`, which is always looked at: somebody has only just left."""
        while True:
            event = self._kept or next(self._events)
            self._kept = None
            if event.sequence > last:
                self._kept = event
                return
            yield event
            if event.sequence == last:
                return


def _ended_pulses(door: RunningDoor, first: int) -> list[Pulse]:
    end_s = time.monotonic() + _PULSE_S
    while any(pulse.held_s is None for pulse in door.pulses()[first:]) and time.monotonic() < end_s:
        time.sleep(0.02)
    return door.pulses()[first:]
