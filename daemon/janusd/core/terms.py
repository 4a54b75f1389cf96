"""On what terms a person may come in: role, hours, dates, a second factor, a second person.

`describe` writes terms down for the door log, and `read` takes them from it again: so that an owner can be
told later by which rules a decision fell. No code is ever part of that text. `without_duress` gives it as it
may be shown to whoever is not to know that somebody can call for help.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from janusd.core import code as codes
from janusd.core.reason import Reason
from janusd.core.schedule import NO_HOLIDAYS, Holidays, Schedule

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Role(StrEnum):
    """What a person is to the door. The value is stored."""

    OWNER = "owner"
    """Whom the door belongs to. The last one cannot be suspended, nor made anything less."""
    RESIDENT = "resident"
    GUEST = "guest"
    """Comes until a day that is set beforehand; their second factor does not switch face unlock on again."""


class Second(StrEnum):
    """What a person must give besides their face. The value is stored."""

    NONE = "none"
    CODE = "code"
    """A code on the button at the door, see `code`."""
    CONFIRM = "confirm"
    """The word of a local program that may give it (docs/adr/0011)."""


class Duress(StrEnum):
    """How a person calls for help at the door without a sign of it there. The value is stored."""

    NONE = "none"
    CODE = "code"
    """By another code than their own, see `code`."""
    ALWAYS = "always"
    """By coming: wherever they are let in, it is an emergency."""


@dataclass(frozen=True, slots=True)
class Terms:
    """One person's, but for their hours."""

    role: Role = Role.RESIDENT
    is_suspended: bool = False
    valid_from: datetime | None = None
    """With its zone. Before it they are not welcome."""
    valid_until: datetime | None = None
    """With its zone. From it on they are not welcome."""
    second: Second = Second.NONE
    code: str = field(default="", repr=False)
    needs_two: bool = False
    """Whether somebody else who is welcome must have been seen just before."""
    duress: Duress = Duress.NONE
    duress_code: str = field(default="", repr=False)

    def check(self) -> Terms:
        """These terms. Raises ValueError where they contradict themselves."""
        for moment in (self.valid_from, self.valid_until):
            if moment is not None and moment.tzinfo is None:
                raise ValueError("a date needs its zone")
        if self.valid_from and self.valid_until and self.valid_from >= self.valid_until:
            raise ValueError("they would be welcome until before they are welcome")
        if self.role is Role.GUEST and self.valid_until is None:
            raise ValueError("a guest needs a day until which they are welcome")
        if self.second is Second.CODE:
            codes.check(self.code)
        elif self.code:
            raise ValueError("a code is of use only as the second factor 'code'")
        if self.duress is Duress.CODE:
            if self.second is not Second.CODE:
                raise ValueError("a code for duress goes beside an ordinary one, the second factor 'code'")
            codes.check(self.duress_code)
            codes.check_apart(self.code, self.duress_code)
        elif self.duress_code:
            raise ValueError("a code for duress is of use only where duress is 'code'")
        return self


ALWAYS = Terms()


def unwelcome(
    schedule: Schedule, terms: Terms, wall: datetime | None, holidays: Holidays = NO_HOLIDAYS
) -> Reason | None:
    """Why a person with these terms may not come in at that local time; None where they may.

    `wall` is None while the time is not to be trusted; it has a zone where the terms have dates.
    """
    if terms.is_suspended:
        return Reason.SUSPENDED
    has_dates = terms.valid_from is not None or terms.valid_until is not None
    if wall is None:
        return Reason.CLOCK_UNTRUSTED if has_dates or schedule.windows else None
    if terms.valid_from is not None and wall < terms.valid_from:
        return Reason.NOT_VALID
    if terms.valid_until is not None and wall >= terms.valid_until:
        return Reason.NOT_VALID
    return None if schedule.allows(wall, holidays) else Reason.NOT_NOW


@dataclass(frozen=True, slots=True)
class Step:
    """One of the questions that `unwelcome` asks, and what the answer is."""

    check: str
    holds: bool
    says: str


def steps(
    hours: str, terms: Terms, wall: datetime, holidays: Holidays, door_needs_two: bool
) -> tuple[Step, ...]:
    """What speaks for and against a person at that local time, in the order in which it is asked."""
    schedule = Schedule.parse(hours)
    begun = terms.valid_from is None or wall >= terms.valid_from
    over = terms.valid_until is not None and wall >= terms.valid_until
    dates = _dates(terms) or "no dates"
    day = "a holiday" if wall.date() in holidays else f"a {_WEEKDAYS[wall.weekday()]}"
    second = "none asked" if terms.second is Second.NONE else f"asked: {terms.second}"
    two = "two people asked" if terms.needs_two or door_needs_two else "one person is enough"
    return (
        Step("suspended", not terms.is_suspended, "suspended" if terms.is_suspended else "not suspended"),
        Step("dates", begun and not over, dates),
        Step("hours", schedule.allows(wall, holidays), f"{hours or 'always'}; that was {day}"),
        Step("second factor", True, second),
        Step("two people", True, two),
    )


def describe(hours: str, terms: Terms) -> str:
    """Hours and terms in words that `read` reads again, all but the codes."""
    words = [f"role {terms.role}", f"hours {hours or 'always'}"]
    words += [_dates(terms)] if _dates(terms) else []
    words += [f"second {terms.second}"] if terms.second is not Second.NONE else []
    words += ["two people"] if terms.needs_two else []
    words += ["suspended"] if terms.is_suspended else []
    words += [f"duress {terms.duress}"] if terms.duress is not Duress.NONE else []
    return "; ".join(words)


def without_duress(text: str) -> str:
    """The same words without those about duress."""
    return "; ".join(part for part in text.split("; ") if part.partition(" ")[0] != "duress")


def read(text: str) -> tuple[str, Terms]:
    """Hours and terms that `describe` wrote down. Raises ValueError for any other text."""
    hours, terms = "", ALWAYS
    for part in text.split("; "):
        word, _, value = part.partition(" ")
        match word:
            case "role":
                terms = replace(terms, role=Role(value))
            case "hours":
                hours = "" if value == "always" else value
                Schedule.parse(hours)
            case "from":
                terms = replace(terms, valid_from=datetime.fromisoformat(value))
            case "until":
                terms = replace(terms, valid_until=datetime.fromisoformat(value))
            case "second":
                terms = replace(terms, second=Second(value))
            case "two":
                terms = replace(terms, needs_two=True)
            case "suspended":
                terms = replace(terms, is_suspended=True)
            case "duress":
                terms = replace(terms, duress=Duress(value))
            case _:
                raise ValueError(f"{part!r} is no part of anybody's terms")
    return hours, terms


def parse_moment(text: str) -> datetime | None:
    """A moment with its zone, kept in UTC; None for an empty text. Raises ValueError."""
    if not text.strip():
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time with its zone, as 2026-12-24T18:00+01:00") from None


def _dates(terms: Terms) -> str:
    parts = (("from", terms.valid_from), ("until", terms.valid_until))
    return "; ".join(f"{word} {moment.isoformat()}" for word, moment in parts if moment is not None)
