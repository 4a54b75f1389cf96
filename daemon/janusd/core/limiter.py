"""How many guesses a door grants: tries, their charges, and what they cost.

A try is at most `frames` compared frames within `try_s`, of faces that do not leave. It is charged before its
verdict can be known: at the frame that could be its `agree`-th, before that frame is compared. Success gives
the charge back.

    spent    charges not given back; one drains each `forgive_s`; at `off_after` face unlock is off until
             somebody who may switches it on
    failed   charges since somebody was let in; each time `failures` more are reached the door waits
             `lockout_s`, twice as long each time

So in any stretch of T seconds no sequence of faces gets more than off_after + T / forgive_s failed tries out
of a door, and a try cannot hold more than frames // agree faces that were compared often enough to open.

A try that waits for a second factor is held: its charge stays spent, and is given back when the factor comes
or answered with a wait when it does not.

A track is a face that does not leave for `track_gap_s`. It gets `track_tries` and is then asked to step
away, uncompared and uncharged: who lingers before a door does not spend what belongs to everybody. Nobody
in view, or a face not fit for comparison, costs nothing.

Time is seconds on a clock that never goes back and also runs while the board sleeps. It may begin anew when
the board does, so what is kept across a restart is `Tally`, which holds no moment: a wait that was owed is
then served again in full.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum, auto

CODE_REST_S = 3600.0
"""While face unlock is off, no code is taken for so long after a wrong one, nor after a start: 24 a day."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a door grants."""

    failures: int = 5
    lockout_s: float = 30.0
    lockout_max_s: float = 3600.0
    off_after: int = 20
    forgive_s: float = 900.0
    try_s: float = 3.0
    blanks: int = 2
    """So many frames in a row with nobody in view end a try: the next face is another try, at once."""
    track_tries: int = 5
    track_gap_s: float = 2.0

    def wait_s(self, failed: int) -> float:
        """How long the door waits once that many tries have failed in a row; 0 between the steps."""
        if failed == 0 or failed % self.failures:
            return 0.0
        return min(self.lockout_s * 2.0 ** (failed // self.failures - 1), self.lockout_max_s)


@dataclass(frozen=True, slots=True)
class Tally:
    """What outlives a restart."""

    spent: int = 0
    failed: int = 0
    wait_s: float = 0.0
    """The wait that the last charge leads to unless its try succeeds."""
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a door remembers of tries between frames."""

    tally: Tally = Tally()
    drained_s: float = math.inf
    """When the last charge drained, or the first one was spent."""
    locked_until_s: float = -math.inf
    try_s: float = -math.inf
    """When the present try began; none is under way where it is infinite."""
    compared: int = 0
    """Frames compared in it."""
    is_charged: bool = False
    """Whether it is charged and still undecided."""
    seen_s: float = -math.inf
    """When a face was last in view."""
    track_tries: int = 0
    blanks: int = 0
    """Frames in a row with nobody in view."""
    codes_from_s: float = -math.inf
    """While face unlock is off: from when on a code is taken again."""

    @property
    def is_off(self) -> bool:
        """Whether faces open nothing; while the last granted try is under way they still may."""
        return self.tally.is_off and not self.is_charged


class Admission(Enum):
    """Whether a frame may be compared."""

    COMPARE = auto()
    UNUSABLE = auto()
    """There is nothing in it to compare."""
    PAUSE = auto()
    """The try has had its frames; the next one begins when its time is over."""
    STEP_AWAY = auto()
    LOCKED_OUT = auto()
    OFF = auto()


def resume(tally: Tally, now_s: float) -> Limits:
    """The limits after a restart: a wait that was owed begins anew."""
    locked_until_s = now_s + tally.wait_s if tally.wait_s > 0 else -math.inf
    drained_s = now_s if tally.spent else math.inf
    return Limits(tally, drained_s, locked_until_s, codes_from_s=now_s + CODE_REST_S)


def admit(
    budget: Budget, limits: Limits, now_s: float, *, agree: int, frames: int, has_face: bool, is_fit: bool
) -> tuple[Limits, Admission]:
    """Whether this frame may be compared. Where `is_charged` has become true, write the tally down first."""
    limits = _pass_time(budget, limits, now_s, has_face=has_face)
    if limits.is_off:
        return limits, Admission.OFF
    if now_s < limits.locked_until_s:
        return limits, Admission.LOCKED_OUT
    if not is_fit:
        return limits, Admission.UNUSABLE
    if not math.isfinite(limits.try_s):
        if limits.track_tries >= budget.track_tries:
            return limits, Admission.STEP_AWAY
        limits = replace(limits, try_s=now_s, compared=0)
    if limits.compared >= frames:
        return limits, Admission.PAUSE
    limits = replace(limits, compared=limits.compared + 1)
    if limits.compared == agree:
        limits = _charge(budget, limits, now_s)
    return limits, Admission.COMPARE


def succeed(limits: Limits, *, frames: int, clears: bool) -> Limits:
    """Give the present try's charge back and end the try.

    `clears` where somebody was let in, and may look again at once; else the rest of `try_s` is a pause.
    """
    if not limits.is_charged:
        return limits
    tally = limits.tally
    tally = Tally(max(tally.spent - 1, 0), 0 if clears else max(tally.failed - 1, 0))
    limits = replace(limits, tally=tally, is_charged=False, compared=frames)
    return replace(limits, try_s=-math.inf, compared=0, track_tries=0) if clears else limits


def lose(limits: Limits, now_s: float) -> Limits:
    """The present try has failed; the wait it leads to begins."""
    if not limits.is_charged:
        return limits
    wait_s = limits.tally.wait_s
    locked_until_s = now_s + wait_s if wait_s > 0 else limits.locked_until_s
    return replace(limits, is_charged=False, locked_until_s=locked_until_s)


def hold(limits: Limits, *, frames: int) -> Limits:
    """End the present try without a verdict: its charge stays spent until `give_back` or `let_go`."""
    return replace(limits, is_charged=False, compared=frames)


def give_back(budget: Budget, limits: Limits) -> Limits:
    """What was held has succeeded: its charge comes back, and failures in a row are forgotten."""
    spent = max(limits.tally.spent - 1, 0)
    tally = Tally(spent, 0, is_off=limits.tally.is_off and spent >= budget.off_after)
    return replace(limits, tally=tally, try_s=-math.inf, compared=0, track_tries=0)


def let_go(limits: Limits, wait_s: float, now_s: float) -> Limits:
    """What was held has failed: the wait that its charge led to begins."""
    until_s = now_s + wait_s if wait_s > 0 else limits.locked_until_s
    return replace(limits, locked_until_s=max(limits.locked_until_s, until_s))


def settled(limits: Limits, now_s: float) -> Tally:
    """What to write down when the door stops in good order: only the part of a wait that is left."""
    if limits.is_charged:
        return limits.tally
    return replace(limits.tally, wait_s=max(limits.locked_until_s - now_s, 0.0))


def _charge(budget: Budget, limits: Limits, now_s: float) -> Limits:
    spent, failed = limits.tally.spent + 1, limits.tally.failed + 1
    tally = Tally(spent, failed, budget.wait_s(failed), spent >= budget.off_after)
    drained_s = limits.drained_s if math.isfinite(limits.drained_s) else now_s
    return replace(
        limits, tally=tally, drained_s=drained_s, is_charged=True, track_tries=limits.track_tries + 1
    )


def _pass_time(budget: Budget, limits: Limits, now_s: float, *, has_face: bool) -> Limits:
    blanks = 0 if has_face else limits.blanks + 1
    limits = replace(limits, blanks=blanks)
    if blanks >= budget.blanks or not 0 <= now_s - limits.try_s < budget.try_s:
        limits = replace(lose(limits, max(now_s, limits.try_s)), try_s=-math.inf)
    if has_face:
        stays = now_s - limits.seen_s <= budget.track_gap_s
        limits = replace(limits, seen_s=now_s, track_tries=limits.track_tries if stays else 0)
    return _drain(budget, limits, now_s)


def _drain(budget: Budget, limits: Limits, now_s: float) -> Limits:
    tally = limits.tally
    if tally.spent == 0:
        return replace(limits, drained_s=math.inf)
    drops = int(max(now_s - limits.drained_s, 0.0) // budget.forgive_s)
    if drops == 0 or limits.is_charged:
        return limits
    tally = replace(tally, spent=max(tally.spent - drops, 0), failed=max(tally.failed - drops, 0))
    drained_s = limits.drained_s + drops * budget.forgive_s if tally.spent else math.inf
    return replace(limits, tally=tally, drained_s=drained_s)
