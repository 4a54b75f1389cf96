"""What a door writes down: the door log, and beside it the service's own log.

A full disk must not stop the door: what cannot be written is said, and the door goes on.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from janusd.core.reason import Reason
from janusd.core.types import Decision
from janusd.door import DURESS, Told
from janusd.errors import JanusError
from janusd.escape import escape
from janusd.journal import Journal, journald

log = logging.getLogger("janusd")

_NOTEWORTHY = frozenset(
    {
        Reason.MATCHED,
        Reason.UNKNOWN,
        Reason.AMBIGUOUS,
        Reason.TWO_FACES,
        Reason.GUARDED,
        Reason.NOT_NOW,
        Reason.NOT_VALID,
        Reason.SUSPENDED,
        Reason.SECOND_FACTOR,
        Reason.WRONG_FACTOR,
        Reason.SECOND_PERSON,
        Reason.CLOCK_UNTRUSTED,
        Reason.STEP_AWAY,
        Reason.LOCKED_OUT,
        Reason.FACE_OFF,
        Reason.FACE_ON,
        Reason.FROZEN,
        Reason.LOOPED,
        Reason.STALE,
        Reason.FLAT,
        Reason.NOT_GENUINE,
        Reason.NOT_IN_NIR,
        Reason.CHALLENGE_FAILED,
    }
)
_WAITING = frozenset({Reason.SECOND_FACTOR, Reason.SECOND_PERSON})
_REPEAT_AFTER_S = 10.0
"""The door log holds one line for a reason that lasts, not one a frame."""
_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


class Notes:
    """The written side of one door."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._said_s: dict[tuple[Reason, str | None, bool], float] = {}
        """When each decision was last written down: reason, person, whether it called for help."""
        self._keeps_house_s = -math.inf
        self._followers: tuple[Callable[[Told], None], ...] = ()
        self.decision_number = 0
        """Of the newest decision that was written down."""

    def write(
        self,
        kind: str,
        reason: str = "",
        *,
        person_id: str = "",
        name: str = "",
        note: str = "",
        is_told: bool = True,
    ) -> int:
        """Write a line to the door log and to the service's log; its number, 0 where it could not be.

        Followers are told where that `is_told`.
        """
        number, tag = 0, b""
        try:
            line = self._journal.append(kind, reason, person_id=person_id, name=name, note=note)
            number, tag = line.number, line.tag
        except (JanusError, OSError) as error:
            log.error("the door log cannot be written: %s", error)
        # Whoever follows decisions there must not miss one, or a lamp that stays dark tells of the call.
        for told in ("decision", DURESS) if kind == DURESS else (kind,):
            # systemd's journal lies in the clear: it gets no names. Elsewhere this is a developer's terminal.
            if not (journald.is_there() and journald.tell(told, reason, number, tag)):
                level = logging.CRITICAL if told == DURESS else logging.INFO
                log.log(
                    level, "%s %s %s %s", told, reason or "-", escape(name) or "-", escape(note, 200) or "-"
                )
            if is_told:
                self._tell(told, reason, number, name)
        return number

    def follow(self, listener: Callable[[Told], None]) -> Callable[[], None]:
        """Call `listener` on decisions and alarms as they are written; the returned function ends that."""
        self._followers = (*self._followers, listener)

        def leave() -> None:
            self._followers = tuple(kept for kept in self._followers if kept is not listener)

        return leave

    def _tell(self, kind: str, reason: str, number: int, name: str) -> None:
        what = _told_as(kind, reason)
        if not what or not self._followers:
            return
        code, at = journald.code(kind, reason), datetime.now(UTC).isoformat(timespec="milliseconds")
        told = Told(number, at, what, code, reason, journald.codes()[code], name)
        for follower in self._followers:
            follower(told)

    def decision(self, decision: Decision, name: str, *, is_again: bool = False) -> bool:
        """Write a decision down if it is worth a line; give whether it was.

        One that lasts, or comes and goes with others, gets a line in ten seconds, until somebody is let in;
        so does an unlock that `is_again` what the lock refused a moment ago. A call for help is one line too,
        in the same place: only its kind tells. Of an unlock, followers hear from `granted`; of a call at
        once, whatever the lock does.
        """
        if decision.reason not in _NOTEWORTHY:
            return False
        what, now_s = (decision.reason, decision.person_id, decision.is_duress), decision.captured_s
        lately = {said: at_s for said, at_s in self._said_s.items() if 0 <= now_s - at_s < _REPEAT_AFTER_S}
        begins_anew = decision.unlocks and not is_again
        if what in lately and not begins_anew:
            return False
        self._said_s = {what: now_s} if begins_anew else lately | {what: now_s}
        self.decision_number = self.write(
            DURESS if decision.is_duress else "decision",
            decision.reason,
            person_id=decision.person_id or "",
            name=name,
            note=_coarse(decision.score),
            is_told=decision.is_duress or not decision.unlocks,
        )
        return True

    def granted(self, decision: Decision, name: str) -> None:
        """Tell followers of the unlock that was written down last: the lock did it."""
        if not decision.is_duress:
            self._tell("decision", decision.reason, self.decision_number, name)

    def keep_house(self, now_s: float, wall: datetime | None, keep_days: int) -> None:
        """Drop what the door log need not keep, once a day, while the date is to be believed."""
        if now_s < self._keeps_house_s:
            return
        self._keeps_house_s = now_s + (_DAY_S if wall else _HOUR_S)
        if wall is None:
            return
        try:
            dropped = self._journal.prune(wall - timedelta(days=keep_days))
        except (JanusError, OSError) as error:
            log.error("old entries of the door log cannot be dropped: %s", error)
            return
        if dropped:
            self.write("pruned", note=f"{dropped} entries older than {keep_days} days")


def _told_as(kind: str, reason: str) -> str:
    """What an observer is told that an entry is; empty for what is none of theirs."""
    if kind != "decision":
        return kind if kind in ("alarm", DURESS) else ""
    if reason == Reason.FACE_ON:
        return ""  # nobody was let in or kept out
    return "granted" if reason == Reason.MATCHED else "waiting" if reason in _WAITING else "refused"


def _coarse(score: float | None) -> str:
    """Give a score in steps of a tenth: enough to see a pattern, too little to climb by."""
    return "" if score is None else f"score {math.floor(score * 10) / 10:.1f}"
