"""What a door writes down: the door log, and beside it the service's own log.

A full disk must not stop the door: what cannot be written is said, and the door goes on.
"""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta

from janusd.core.reason import Reason
from janusd.core.types import Decision
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
_REPEAT_AFTER_S = 10.0
"""The door log holds one line for a reason that lasts, not one a frame."""
_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


class Notes:
    """The written side of one door."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._last: tuple[str, str | None, float] = ("", None, -math.inf)
        self._keeps_house_s = -math.inf
        self.decision_number = 0
        """Of the newest decision that was written down."""

    def write(
        self, kind: str, reason: str = "", *, person_id: str = "", name: str = "", note: str = ""
    ) -> int:
        """Write a line to the door log and to the service's log; its number, 0 where it could not be."""
        number, tag = 0, b""
        try:
            number = self._journal.append(kind, reason, person_id=person_id, name=name, note=note).number
            tag = self._journal.newest_tag
        except (JanusError, OSError) as error:
            log.error("the door log cannot be written: %s", error)
        # systemd's journal lies in the clear: it gets no names. Elsewhere this is a developer's terminal.
        if not (journald.is_there() and journald.tell(kind, reason, number, tag)):
            log.info("%s %s %s %s", kind, reason or "-", escape(name) or "-", escape(note, 200) or "-")
        return number

    def decision(self, decision: Decision, name: str) -> bool:
        """Write a decision down if it is worth a line; give whether it was."""
        if decision.reason not in _NOTEWORTHY:
            return False
        reason, person_id, noted_s = self._last
        lasts = (reason, person_id) == (decision.reason, decision.person_id)
        if not decision.unlocks and lasts and decision.captured_s - noted_s < _REPEAT_AFTER_S:
            return False
        self._last = (decision.reason, decision.person_id, decision.captured_s)
        self.decision_number = self.write(
            "decision",
            decision.reason,
            person_id=decision.person_id or "",
            name=name,
            note=_coarse(decision.score),
        )
        return True

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


def _coarse(score: float | None) -> str:
    """Give a score in steps of a tenth: enough to see a pattern, too little to climb by."""
    return "" if score is None else f"score {math.floor(score * 10) / 10:.1f}"
