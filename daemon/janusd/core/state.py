"""What a door decides by, and what it remembers between two frames."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import tzinfo

from janusd.core.attack import Asks, Level
from janusd.core.code import GIVEN_UP_S, MOST_PRESSES
from janusd.core.limiter import Admission, Budget, Limits
from janusd.core.schedule import NO_HOLIDAYS, Holidays


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one door."""

    threshold: float
    """Scores at or above it match; from the model's calibration and the gallery's size."""
    margin: float = 0.05
    """By how much the best person must beat the second."""
    agree: int = 3
    window: int = 8
    window_s: float = 3.0
    hold_s: float = 5.0
    budget: Budget = field(default_factory=Budget)
    zone: tzinfo | None = None
    """Schedules are read in it; None takes the wall clock's own."""
    holidays: Holidays = NO_HOLIDAYS
    two_people: bool = False
    """Whether everybody needs a second person."""
    two_people_s: float = 30.0
    """Within which two people must be recognised."""
    level: Level = Level.OFF
    """What is asked of a face besides being known; a door's rules say, and its floor is PASSIVE."""
    challenge: Asks = Asks.NEVER
    patience_s: float = 2.0
    """After so long without life shown, a door that may asks for turns of the head."""
    second_s: float = 30.0
    """Within which a second factor must follow the face, and for how long a confirmation counts."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Frames in a row that named one person, or that named nobody."""

    person_id: str | None = None
    times_s: tuple[float, ...] = ()
    frames_since: int = 0
    """Frames seen since the first of them, usable or not."""


@dataclass(frozen=True, slots=True)
class Held:
    """A try that waits for a second factor."""

    person_id: str
    until_s: float
    wait_s: float
    """What it costs where nothing comes of it."""


@dataclass(frozen=True, slots=True)
class State:
    """What a door remembers between frames."""

    streak: Streak = Streak()
    released_for: str | None = None
    released_until_s: float = float("-inf")
    limits: Limits = field(default_factory=Limits)
    admission: Admission = Admission.UNUSABLE
    """Whether the present frame may be compared."""
    held: Held | None = None
    presses_s: tuple[float, ...] = ()
    """When the button was pressed, as far as it was not made use of yet."""
    confirmed: tuple[tuple[str, float], ...] = ()
    """Of whom a local program said that it knows them, and until when that counts."""
    seen: tuple[tuple[str, float], ...] = ()
    """Who was recognised and gave all that is asked of them alone, and when."""


def press(state: State, at_s: float) -> State:
    """The button at the door was pressed. After a long pause it begins a code anew."""
    goes_on = bool(state.presses_s) and at_s - state.presses_s[-1] < GIVEN_UP_S
    before_s = state.presses_s[-MOST_PRESSES:] if goes_on else ()
    return replace(state, presses_s=(*before_s, at_s))


def confirm(policy: Policy, state: State, person_id: str, now_s: float) -> State:
    """A local program gives its word for that person."""
    others = tuple(one for one in state.confirmed if one[0] != person_id)
    return replace(state, confirmed=(*others, (person_id, now_s + policy.second_s)))
