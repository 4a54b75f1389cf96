"""The only place where a score meets a threshold: evidence and state in, state and decision out.

A door opens for a person when `agree` usable frames in a row name them, all within the last `window` frames
and `window_s` seconds. Frames that say nothing (blurred, turned away, nobody) only let time pass; a frame
that names somebody else, nobody enrolled, or shows two people ends the streak.

Whoever is recognised must then be welcome (`terms`): at this hour, on this day, not suspended. Where their
terms ask for more than a face, the try is held while they look on: for a second factor first, then for a
second person, somebody else who was recognised and gave all that is asked of them just before. A held try
that comes to nothing has failed, and a wrong code ends it at once.

A face that attack detection finds out is compared with nobody, and costs a try like a stranger's. One that
has not yet shown what the door asks for (`Level.LIVE`, a challenge) is not compared, and costs nothing.

How often anybody may try is `limiter`'s to say: `admit` charges, the caller writes the charge down, and only
then does `judge` compare. Until a try is charged, each of its frames reads "gathering", whoever is seen: a
glance too short to be charged tells nothing. Absent and unusable faces are never charged.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from janusd.core import asking, limiter, match
from janusd.core.attack import Asks, Level
from janusd.core.gallery import Gallery
from janusd.core.limiter import Admission
from janusd.core.reason import Reason
from janusd.core.state import Policy, State, Streak, confirm, press
from janusd.core.types import Candidate, Decision, Evidence

__all__ = ["Policy", "State", "Streak", "admit", "confirm", "decide", "is_match", "judge", "press"]


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
    state = asking.give_up_waiting(state, now_s)
    evidence = _held_back(policy, evidence)
    if _is_expected(policy, state, evidence):
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
    evidence = _held_back(policy, evidence)
    state = _let_time_pass(policy, state, now_s)
    match state.admission:
        case Admission.LOCKED_OUT:
            return replace(state, streak=Streak()), Decision(now_s, Reason.LOCKED_OUT)
        case Admission.OFF:
            return asking.while_off(policy, gallery, replace(state, streak=Streak()), now_s, wall)
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
    found_out = _found_out(policy, evidence)
    if found_out is not None:
        state = replace(state, streak=_extend(state.streak, None, now_s))
        decision = Decision(now_s, found_out)
    elif not is_match(best, policy.threshold) or not _every_pose_matches(policy, gallery, best, evidence):
        state = replace(state, streak=_extend(state.streak, None, now_s))
        decision = Decision(now_s, Reason.UNKNOWN)
    elif best.guard > best.score - policy.margin:
        state = replace(state, streak=_extend(state.streak, None, now_s))
        decision = Decision(now_s, Reason.GUARDED, best.person_id, best.score)
    elif second is not None and best.score - second.score < policy.margin:
        decision = Decision(now_s, Reason.AMBIGUOUS)
    else:
        state, decision = _known(policy, gallery, state, best, now_s, wall)
    if decision.reason in _NOBODY_KNOWN and state.limits.compared < policy.agree:
        decision = Decision(now_s, Reason.GATHERING)
    elif decision.reason is Reason.GATHERING and state.limits.compared >= policy.agree:
        decision = Decision(now_s, Reason.UNKNOWN)  # else a lamp would tell which one frame was near enough
    if state.limits.compared >= policy.window:
        state = replace(state, limits=limiter.lose(state.limits, now_s))
    return state, decision


def is_match(candidate: Candidate, threshold: float) -> bool:
    """Whether a score is high enough; the comparison of the whole house."""
    return candidate.score >= threshold


def _held_back(policy: Policy, evidence: Evidence) -> Evidence:
    """The evidence, refused where the face has not yet shown what this door asks for."""
    shown = evidence.presentation
    if shown is None or shown.reason is not None or evidence.refused is not None or policy.level is Level.OFF:
        return evidence
    is_late = policy.level is Level.LIVE and not shown.is_live and shown.lasts_s >= policy.patience_s
    must_answer = {Asks.NEVER: False, Asks.DOUBT: shown.is_doubtful or is_late, Asks.ALWAYS: True}
    if must_answer[policy.challenge] and not shown.is_challenged:
        return Evidence(evidence.captured_s, refused=Reason.CHALLENGE, presentation=shown)
    if policy.level is Level.LIVE and not (shown.is_live or shown.is_challenged):
        return Evidence(evidence.captured_s, refused=Reason.SHOW_LIFE, presentation=shown)
    return evidence


def _found_out(policy: Policy, evidence: Evidence) -> Reason | None:
    """What gives an attack away, where the door looks for it."""
    shown = evidence.presentation
    return shown.reason if shown is not None and policy.level is not Level.OFF else None


def _every_pose_matches(policy: Policy, gallery: Gallery, best: Candidate, evidence: Evidence) -> bool:
    """Whether a face that answered a challenge was this person's in every pose it showed."""
    poses = evidence.presentation.poses if evidence.presentation is not None else ()
    template = gallery.person(best.person_id)
    if template is None:
        return False
    scores = (max(match.verify(pose, row) for row in template.embeddings) for pose in poses)
    return all(is_match(Candidate(best.person_id, score), policy.threshold) for score in scores)


_NOBODY_KNOWN = frozenset({Reason.UNKNOWN, Reason.GUARDED, Reason.AMBIGUOUS})


def _let_time_pass(policy: Policy, state: State, now_s: float) -> State:
    if not (state.held or state.limits.is_off) and asking.is_over(state.presses_s, now_s):
        state = replace(state, presses_s=())
    streak = state.streak
    times_s = tuple(t for t in streak.times_s if now_s - t <= policy.window_s)
    frames_since = streak.frames_since + 1
    if not times_s or frames_since >= policy.window:
        streak = Streak()
    else:
        streak = replace(streak, times_s=times_s, frames_since=frames_since)
    return replace(state, streak=streak)


def _is_expected(policy: Policy, state: State, evidence: Evidence) -> bool:
    """Whether this frame shows whom the door stands open for, or whose try is held: that is no new try."""
    best, now_s = evidence.best, evidence.captured_s
    if evidence.refused is not None or best is None or not is_match(best, policy.threshold):
        return False
    if _found_out(policy, evidence) is not None:
        return False
    is_held = state.held is not None and state.held.person_id == best.person_id
    return is_held or (now_s < state.released_until_s and state.released_for == best.person_id)


def _known(
    policy: Policy, gallery: Gallery, state: State, best: Candidate, now_s: float, wall: datetime | None
) -> tuple[State, Decision]:
    if now_s < state.released_until_s and state.released_for == best.person_id:
        return replace(state, streak=Streak()), asking.about(best, Reason.ALREADY_OPEN, now_s)
    is_held = state.held is not None and state.held.person_id == best.person_id
    if not is_held:
        state = replace(state, streak=_extend(state.streak, best.person_id, now_s))
        if len(state.streak.times_s) < policy.agree or not state.limits.is_charged:
            return state, asking.about(best, Reason.GATHERING, now_s)
    template = gallery.person(best.person_id)
    if template is None:  # forgotten between the comparison and now
        return replace(state, streak=Streak(), held=None), Decision(now_s, Reason.UNKNOWN)
    return asking.recognised(policy, gallery, state, template, best, now_s, wall)


def _extend(streak: Streak, person_id: str | None, now_s: float) -> Streak:
    if not streak.times_s or streak.person_id != person_id:
        return Streak(person_id, (now_s,), 0)
    return replace(streak, times_s=(*streak.times_s, now_s))
