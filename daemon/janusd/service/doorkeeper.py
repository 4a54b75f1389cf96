"""Who decides about evidence and moves the latch: policy, tally of tries, door log, latch, in this order.

One lock guards a decision together with its act. Rules are swapped under it, so that nobody forgotten is let
in by a frame in flight.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from janusd.core import limiter, policy
from janusd.core.code import MOST_PRESSES
from janusd.core.limiter import Limits, Tally
from janusd.core.types import Decision, Evidence
from janusd.errors import InstallerError, JanusError, LatchError
from janusd.journal.ledger import Ledger
from janusd.ports import Latch
from janusd.service.notes import Notes
from janusd.service.rules import Rules

_BACK_OFF_S, _BACK_OFF_MAX_S = 1.0, 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision, and what became of it."""

    decision: Decision
    name: str
    """Whom it speaks of, or empty."""
    is_done: bool
    """Whether the lock did as decided."""
    number: int = 0
    """Of its entry in the door log, where it is an unlock; 0 where that could not be written."""


class Doorkeeper:
    """Of one door."""

    def __init__(
        self,
        *,
        latch: Latch,
        ledger: Ledger,
        notes: Notes,
        rules: Rules,
        now_s: float,
        report: Callable[[JanusError], None],
    ) -> None:
        """Begin with what the ledger says; `report` is told of a latch that will not release."""
        self._latch = latch
        self._ledger = ledger
        self._notes = notes
        self._report = report
        self._deciding = threading.Lock()
        self._rules = rules
        self._state = policy.State(limits=limiter.resume(ledger.tally, now_s))
        self._presses_s = deque[float](maxlen=MOST_PRESSES + 1)
        self._again_s, self._back_off_s = -math.inf, _BACK_OFF_S
        """When a lock that refused is asked again, in the frames' time."""
        self._latch_fault = ""
        self.ledger_fault = ""
        """Why the tally cannot be kept on disk; empty while it can."""
        self.unlocks = 0
        """As often as the lock released."""
        self.refusals = 0
        """As often as they were written down."""

    @property
    def rules(self) -> Rules:
        """What decisions rest on; immutable, swapped whole."""
        return self._rules

    @property
    def limits(self) -> Limits:
        """What the door remembers of tries."""
        return self._state.limits

    def replace(self, rules: Rules) -> None:
        """From now on decide by these rules; when this returns, no decision by the old ones is under way."""
        with self._deciding:
            self._rules = rules

    def decide(self, evidence: Evidence, wall: datetime | None) -> Verdict:
        """Decide about a frame, and do it."""
        with self._deciding:
            rules = self._rules  # as it is now: somebody may have been forgotten meanwhile
            while self._presses_s:
                self._state = policy.press(self._state, self._presses_s.popleft())
            if self._state.released_for is not None and not self._latch.is_released:  # the lock knows better
                self._state = replace(self._state, released_for=None, released_until_s=-math.inf)
            before, self._state = self._state, policy.admit(rules.policy, self._state, evidence)
            if self._state.limits.is_charged and not before.limits.is_charged:
                self._write_down(self._state.limits.tally)  # before the verdict: see `ledger`
            charged = self._state.limits
            self._state, decision = policy.judge(rules.policy, rules.gallery, self._state, evidence, wall)
            template = rules.gallery.person(decision.person_id) if decision.person_id else None
            name = template.name if template else ""
            is_done = self._act(decision, name)
            if self._state.limits.tally != charged.tally:  # given back, or switched on again
                self._write_down(self._state.limits.tally)
        return Verdict(decision, name, is_done, self._notes.decision_number if decision.unlocks else 0)

    def press(self, at_s: float) -> None:
        """The button for codes was pressed; the next decision knows. Never waits for one.

        The lock's own thread tells of it, and a decision under way may be waiting for that thread.
        """
        self._presses_s.append(at_s)

    def confirm(self, person_id: str, now_s: float) -> None:
        """A local program gives its word for somebody."""
        with self._deciding:
            self._state = policy.confirm(self._rules.policy, self._state, person_id, now_s)

    def forgive(self) -> None:
        """Forget all failed tries, on disk first."""
        with self._deciding:
            self._ledger.write(Tally())
            self._state = policy.State(
                released_for=self._state.released_for, released_until_s=self._state.released_until_s
            )

    def leave(self, now_s: float) -> None:
        """Lock, and write the tally down as it is to be found at the next start."""
        self._latch.lock()
        tally = limiter.settled(self._state.limits, now_s)
        if tally != self._ledger.tally:
            self._write_down(tally)

    def watch_latch(self) -> None:
        """Write down when something begins or ceases to be wrong with the lock, or with the door on it."""
        fault = self._latch.fault
        if fault != self._latch_fault:
            self._latch_fault = fault
            self._notes.write("fault", note=fault or "the lock is well again")

    def _act(self, decision: Decision, name: str) -> bool:
        """Write the decision down, then do it: an unlock that cannot be told later must not come first.

        Observers hear of it last, when the door is open. A lock that refuses is asked again after a second,
        as janus-latchd may want one between two holds, then later and later.
        """
        if not decision.unlocks:
            self.refusals += self._notes.decision(decision, name)
            return True
        if self._again_s - _BACK_OFF_MAX_S <= decision.captured_s < self._again_s:
            if decision.is_duress:  # who calls for help is heard whatever the lock does
                self._notes.decision(decision, name, is_again=True)
            self._state = policy.State(limits=self._state.limits)
            return False
        self._notes.decision(decision, name)
        try:
            self._latch.release(decision.hold_s, f"{decision.reason} {name}")
        except LatchError as error:
            self._state = policy.State(limits=self._state.limits)
            self._again_s = decision.captured_s + self._back_off_s
            self._back_off_s = min(2 * self._back_off_s, _BACK_OFF_MAX_S)
            self._report(error)
            return False
        self._back_off_s = _BACK_OFF_S
        self.unlocks += 1
        self._notes.granted(decision, name)
        return True

    def _write_down(self, tally: Tally) -> None:
        """Keep the tally of tries on disk. Where the disk will not, it is kept in memory, and said once."""
        try:
            self._ledger.write(tally)
            fault = ""
        except InstallerError as error:
            fault = str(error)
        if fault and fault != self.ledger_fault:
            self._notes.write("fault", note=fault)
        self.ledger_fault = fault
