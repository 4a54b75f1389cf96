"""The only place where a score meets a threshold: evidence and state in, state and decision out.

A door opens for a person when `agree` usable frames in a row name them, all within the last `window` frames
and `window_s` seconds. Frames that say nothing (blurred, turned away, nobody) only let time pass; a frame
that names somebody else, nobody enrolled, or shows two people ends the streak.

How often anybody may try is `limiter`'s to say: `admit` charges, the caller writes the charge down, and only
then does `judge` compare. Until a try is charged, each of its frames reads "gathering", whoever is seen: a
glance too short to be charged tells nothing. Absent and unusable faces are never charged.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from janusd.core import limiter
from janusd.core.gallery import Gallery
from janusd.core.limiter import Admission, Budget, Limits
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
    budget: Budget = field(default_factory=Budget)


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
    limits: Limits = field(default_factory=Limits)
    admission: Admission = Admission.UNUSABLE
    """Whether the present frame may be compared."""


def decide(
    policy: Policy, gallery: Gallery, state: State, evidence: Evidence, wall: datetime | None
) -> tuple[State, Decision]:
    """Give the next state and the decision about one frame: `admit`, then `judge`.

    `wall` is the local time schedules are read against, None while it is not to be trusted. A door whose
    charges must survive a restart calls the two itself, and writes the charge down in between.
    """
    return judge(policy, gallery, admit(policy, state, evidence), evidence, wall)


def admit(policy: Policy, state: State, evidence: Evidence) -> State:
    """Whether the frame may be compared, and what it costs. No score meets the threshold of a closed door."""
    now_s = evidence.captured_s
    if _is_open_for(policy, state, evidence):
        return replace(state, admission=Admission.COMPARE)
    limits, admission = limiter.admit(
        policy.budget,
        state.limits,
        now_s,
        agree=policy.agree,
        frames=policy.window,
        has_face=evidence.refused is not Reason.NO_FACE,
        is_fit=evidence.refused is None and evidence.best is not None,
    )
    is_new = limits.compared == 1 and admission is Admission.COMPARE
    streak = Streak() if is_new else state.streak  # frames of an uncharged try must not count in the next
    return replace(state, limits=limits, admission=admission, streak=streak)


def judge(
    policy: Policy, gallery: Gallery, state: State, evidence: Evidence, wall: datetime | None
) -> tuple[State, Decision]:
    """Give the next state and the decision about a frame that was put before `admit`."""
    now_s = evidence.captured_s
    state = _let_time_pass(policy, state, now_s)
    match state.admission:
        case Admission.LOCKED_OUT:
            return replace(state, streak=Streak()), Decision(now_s, Reason.LOCKED_OUT)
        case Admission.OFF:
            return replace(state, streak=Streak()), Decision(now_s, Reason.FACE_OFF)
        case Admission.STEP_AWAY:
            return replace(state, streak=Streak()), Decision(now_s, Reason.STEP_AWAY)
        case Admission.PAUSE:
            return replace(state, streak=Streak()), Decision(now_s, Reason.PAUSED)
        case Admission.UNUSABLE:
            return _refuse(state, evidence)
        case Admission.COMPARE:
            return _compare(policy, gallery, state, evidence, wall)


def _refuse(state: State, evidence: Evidence) -> tuple[State, Decision]:
    if evidence.refused is None:
        return replace(state, streak=Streak()), Decision(evidence.captured_s, Reason.NOBODY_ENROLLED)
    if evidence.refused is Reason.TWO_FACES:
        state = replace(state, streak=Streak())
    return state, Decision(evidence.captured_s, evidence.refused)


def _compare(
    policy: Policy, gallery: Gallery, state: State, evidence: Evidence, wall: datetime | None
) -> tuple[State, Decision]:
    now_s, best, second = evidence.captured_s, evidence.best, evidence.second
    if best is None:
        return _refuse(state, evidence)
    if not is_match(best, policy.threshold):
        state = replace(state, streak=_extend(state.streak, None, now_s))
        decision = Decision(now_s, Reason.UNKNOWN)
    elif second is not None and best.score - second.score < policy.margin:
        decision = Decision(now_s, Reason.AMBIGUOUS)
    else:
        state, decision = _known(policy, gallery, state, best, now_s, wall)
    if decision.reason in (Reason.UNKNOWN, Reason.AMBIGUOUS) and state.limits.compared < policy.agree:
        decision = Decision(now_s, Reason.GATHERING)
    if state.limits.compared >= policy.window:
        state = replace(state, limits=limiter.lose(state.limits, now_s))
    return state, decision


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
    return replace(state, streak=streak)


def _is_open_for(policy: Policy, state: State, evidence: Evidence) -> bool:
    """Whether the door stands open for whom this frame shows; they are not trying, they are coming in."""
    return (
        evidence.refused is None
        and evidence.best is not None
        and evidence.captured_s < state.released_until_s
        and state.released_for == evidence.best.person_id
        and is_match(evidence.best, policy.threshold)
    )


def _known(
    policy: Policy, gallery: Gallery, state: State, best: Candidate, now_s: float, wall: datetime | None
) -> tuple[State, Decision]:
    def decision(reason: Reason, hold_s: float = 0.0) -> Decision:
        return Decision(now_s, reason, best.person_id, best.score, hold_s)

    if now_s < state.released_until_s and state.released_for == best.person_id:
        return replace(state, streak=Streak()), decision(Reason.ALREADY_OPEN)
    streak = _extend(state.streak, best.person_id, now_s)
    state = replace(state, streak=streak)
    if len(streak.times_s) < policy.agree or not state.limits.is_charged:
        return state, decision(Reason.GATHERING)
    template = gallery.person(best.person_id)
    if template is None:  # forgotten between the comparison and now
        return replace(state, streak=Streak()), Decision(now_s, Reason.UNKNOWN)
    if not template.schedule.allows(wall):
        state = replace(state, limits=limiter.succeed(state.limits, frames=policy.window, clears=False))
        return state, decision(Reason.CLOCK_UNTRUSTED if wall is None else Reason.NOT_NOW)
    state = State(
        released_for=best.person_id,
        released_until_s=now_s + policy.hold_s,
        limits=limiter.succeed(state.limits, frames=policy.window, clears=True),
    )
    return state, decision(Reason.MATCHED, policy.hold_s)


def _extend(streak: Streak, person_id: str | None, now_s: float) -> Streak:
    if not streak.times_s or streak.person_id != person_id:
        return Streak(person_id, (now_s,), 0)
    return replace(streak, times_s=(*streak.times_s, now_s))
