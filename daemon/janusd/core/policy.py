"""The only place where a score meets a threshold: evidence and state in, state and decision out.

A door opens for a person when `agree` usable frames in a row name them, all within the last `window` frames
and `window_s` seconds. Frames that say nothing (blurred, turned away, nobody) only let time pass; a frame
that names somebody else, nobody enrolled, or shows two people ends the streak.

A stranger who keeps looking is a failed try, at most one each `try_s`; after `failures` of them the door
waits `lockout_s`, and twice as long each time. Absent and unusable faces are never charged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from janusd.core.gallery import Gallery
from janusd.core.reason import Reason
from janusd.core.types import Candidate, Decision, Evidence


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
    failures: int = 5
    try_s: float = 3.0
    lockout_s: float = 30.0
    lockout_max_s: float = 3600.0
    forgive_s: float = 900.0
    """After so long without a failed try, earlier ones no longer count."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Frames in a row that named one person, or that named nobody."""

    person_id: str | None = None
    times_s: tuple[float, ...] = ()
    frames_since: int = 0
    """Frames seen since the first of them, usable or not."""


@dataclass(frozen=True, slots=True)
class State:
    """What a door remembers between frames."""

    streak: Streak = Streak()
    released_for: str | None = None
    released_until_s: float = float("-inf")
    failed: int = 0
    failed_at_s: float = float("-inf")
    lockouts: int = 0
    locked_until_s: float = float("-inf")


def decide(
    policy: Policy, gallery: Gallery, state: State, evidence: Evidence, wall: datetime | None
) -> tuple[State, Decision]:
    """Give the next state and the decision about one frame.

    `wall` is the local time schedules are read against, None while it is not to be trusted.
    """
    now_s = evidence.captured_s
    state = _let_time_pass(policy, state, now_s)
    if now_s < state.locked_until_s:
        return replace(state, streak=Streak()), Decision(now_s, Reason.LOCKED_OUT)
    if evidence.refused is not None:
        if evidence.refused is Reason.TWO_FACES:
            state = replace(state, streak=Streak())
        return state, Decision(now_s, evidence.refused)
    if evidence.best is None:
        return replace(state, streak=Streak()), Decision(now_s, Reason.NOBODY_ENROLLED)
    if not is_match(evidence.best, policy.threshold):
        return _stranger(policy, state, now_s)
    if evidence.second is not None and evidence.best.score - evidence.second.score < policy.margin:
        return state, Decision(now_s, Reason.AMBIGUOUS)
    return _known(policy, gallery, state, evidence.best, now_s, wall)


def is_match(candidate: Candidate, threshold: float) -> bool:
    """Whether a score is high enough; the comparison of the whole house."""
    return candidate.score >= threshold


def _let_time_pass(policy: Policy, state: State, now_s: float) -> State:
    streak = state.streak
    times_s = tuple(t for t in streak.times_s if now_s - t <= policy.window_s)
    frames_since = streak.frames_since + 1
    if not times_s or frames_since >= policy.window:
        streak = Streak()
    else:
        streak = replace(streak, times_s=times_s, frames_since=frames_since)
    if state.failed and now_s - max(state.failed_at_s, state.locked_until_s) > policy.forgive_s:
        state = replace(state, failed=0, lockouts=0)
    return replace(state, streak=streak)


def _stranger(policy: Policy, state: State, now_s: float) -> tuple[State, Decision]:
    streak = _extend(state.streak, None, now_s)
    state = replace(state, streak=streak)
    unknown = Decision(now_s, Reason.UNKNOWN)
    if len(streak.times_s) < policy.agree or now_s - state.failed_at_s < policy.try_s:
        return state, unknown
    state = replace(state, failed=state.failed + 1, failed_at_s=now_s)
    if state.failed % policy.failures:
        return state, unknown
    wait_s = min(policy.lockout_s * 2.0**state.lockouts, policy.lockout_max_s)
    state = replace(state, lockouts=state.lockouts + 1, locked_until_s=now_s + wait_s, streak=Streak())
    return state, Decision(now_s, Reason.LOCKED_OUT)


def _known(
    policy: Policy, gallery: Gallery, state: State, best: Candidate, now_s: float, wall: datetime | None
) -> tuple[State, Decision]:
    def decision(reason: Reason, hold_s: float = 0.0) -> Decision:
        return Decision(now_s, reason, best.person_id, best.score, hold_s)

    if now_s < state.released_until_s and state.released_for == best.person_id:
        return replace(state, streak=Streak()), decision(Reason.ALREADY_OPEN)
    streak = _extend(state.streak, best.person_id, now_s)
    state = replace(state, streak=streak)
    if len(streak.times_s) < policy.agree:
        return state, decision(Reason.GATHERING)
    template = gallery.person(best.person_id)
    if template is None:  # forgotten between the comparison and now
        return replace(state, streak=Streak()), Decision(now_s, Reason.UNKNOWN)
    if not template.schedule.allows(wall):
        return state, decision(Reason.NOT_NOW)
    state = State(released_for=best.person_id, released_until_s=now_s + policy.hold_s)
    return state, decision(Reason.MATCHED, policy.hold_s)


def _extend(streak: Streak, person_id: str | None, now_s: float) -> Streak:
    if not streak.times_s or streak.person_id != person_id:
        return Streak(person_id, (now_s,), 0)
    return replace(streak, times_s=(*streak.times_s, now_s))
