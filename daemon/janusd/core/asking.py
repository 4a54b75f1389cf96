"""What is asked of somebody whose face was recognised: to be welcome, a second factor, a second person.

A try that waits for a second factor is held: its frames no longer count, its charge does, until the factor
comes or its time is over. Once recognised and complete for themselves, a person may be the second one of
somebody else's for `two_people_s`.

Who is forced to open may give their code for duress, or be somebody whose coming always is one
(docs/adr/0020). All goes on as otherwise; the decision says so, to be written down and to nobody else.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from janusd.core import code as codes
from janusd.core import limiter
from janusd.core.code import Entry
from janusd.core.gallery import Gallery, Template
from janusd.core.limiter import CODE_REST_S
from janusd.core.reason import Reason
from janusd.core.state import Held, Policy, State, Streak
from janusd.core.terms import Duress, Role, Second, unwelcome
from janusd.core.types import Candidate, Decision


def recognised(
    policy: Policy,
    gallery: Gallery,
    state: State,
    template: Template,
    best: Candidate,
    now_s: float,
    wall: datetime | None,
) -> tuple[State, Decision]:
    """Ask of somebody who was recognised what their terms ask: each question may end it."""
    reason = unwelcome(template.schedule, template.terms, _local(policy, wall), policy.holidays)
    if reason is not None:
        return _give_back(policy, state, template, clears=False), about(best, reason, now_s)
    seen = tuple(one for one in state.seen if now_s - one[1] <= policy.two_people_s)
    needs_two = policy.two_people or template.terms.needs_two
    waits_for_another = needs_two and template.person_id in dict(seen)
    is_duress = template.terms.duress is Duress.ALWAYS
    if template.terms.second is not Second.NONE and not waits_for_another:
        match _factor(state, template, now_s):
            case Entry.OPEN:
                return _hold(policy, state, template, now_s), about(best, Reason.SECOND_FACTOR, now_s)
            case Entry.WRONG:
                assert state.held is not None
                return _fail_held(state, state.held, now_s), about(best, Reason.WRONG_FACTOR, now_s)
            case Entry.RIGHT | Entry.DURESS as entry:
                is_duress = is_duress or entry is Entry.DURESS
                confirmed = tuple(one for one in state.confirmed if one[0] != template.person_id)
                state = replace(state, confirmed=confirmed)
    others = tuple(one for one in seen if one[0] != template.person_id and gallery.person(one[0]) is not None)
    state = _give_back(policy, state, template, clears=not needs_two or bool(others))
    if needs_two and not others:
        state = replace(state, seen=((template.person_id, now_s),))
        return state, about(best, Reason.SECOND_PERSON, now_s, is_duress=is_duress)
    opened = State(
        released_for=best.person_id,
        released_until_s=now_s + policy.hold_s,
        limits=state.limits,
        held=state.held,
        presses_s=state.presses_s,
        confirmed=state.confirmed,
        seen=() if needs_two else ((template.person_id, now_s),),
    )
    return opened, about(best, Reason.MATCHED, now_s, policy.hold_s, is_duress=is_duress)


def _factor(state: State, template: Template, now_s: float) -> Entry:
    """Whether the second factor of a recognised person is there. A code counts from recognition on."""
    match template.terms.second:
        case Second.NONE:
            return Entry.RIGHT
        case Second.CONFIRM:
            return Entry.RIGHT if _is_confirmed(state, template, now_s) else Entry.OPEN
        case Second.CODE:
            if not _is_held_for(state, template):
                return Entry.OPEN
            return codes.read(template.terms.code, state.presses_s, now_s, template.terms.duress_code)


def _is_confirmed(state: State, template: Template, now_s: float) -> bool:
    return now_s < dict(state.confirmed).get(template.person_id, now_s)


def _hold(policy: Policy, state: State, template: Template, now_s: float) -> State:
    """Hold the present try; whoever's was held before has left theirs."""
    if _is_held_for(state, template):
        return state
    if state.held is not None:
        state = _fail_held(state, state.held, now_s)
    held = Held(template.person_id, now_s + policy.second_s, state.limits.tally.wait_s)
    limits = limiter.hold(state.limits, frames=policy.window)
    return replace(state, held=held, presses_s=(), limits=limits)


def _give_back(policy: Policy, state: State, template: Template, *, clears: bool) -> State:
    """Give back what this person's try cost, held or not; `clears` where they are let in."""
    if not _is_held_for(state, template):
        return replace(state, limits=limiter.succeed(state.limits, frames=policy.window, clears=clears))
    limits = limiter.give_back(policy.budget, state.limits)
    return replace(state, held=None, presses_s=(), limits=limits)


def _is_held_for(state: State, template: Template) -> bool:
    return state.held is not None and state.held.person_id == template.person_id


def while_off(
    policy: Policy, gallery: Gallery, state: State, now_s: float, wall: datetime | None
) -> tuple[State, Decision]:
    """Faces open nothing; the second factor of somebody who is welcome, and no guest, switches them on again.

    A wrong code closes this way for `CODE_REST_S`: it is not guarded by a face.
    """
    codes_count = now_s >= state.limits.codes_from_s
    for template in gallery.templates:
        terms = template.terms
        if terms.role is Role.GUEST or terms.second is Second.NONE:
            continue
        if unwelcome(template.schedule, terms, _local(policy, wall), policy.holidays) is not None:
            continue
        has_code = terms.second is Second.CODE and codes_count
        entry = codes.read(terms.code, state.presses_s, now_s, terms.duress_code) if has_code else Entry.OPEN
        is_right = entry in (Entry.RIGHT, Entry.DURESS)
        if is_right or (terms.second is Second.CONFIRM and _is_confirmed(state, template, now_s)):
            is_duress = entry is Entry.DURESS or terms.duress is Duress.ALWAYS
            fresh = State(
                released_for=state.released_for,
                released_until_s=state.released_until_s,
                confirmed=state.confirmed,
            )
            return fresh, Decision(now_s, Reason.FACE_ON, template.person_id, is_duress=is_duress)
    if state.held is None and state.presses_s and is_over(state.presses_s, now_s):
        rest_s = now_s + CODE_REST_S if codes_count else state.limits.codes_from_s
        state = replace(state, presses_s=(), limits=replace(state.limits, codes_from_s=rest_s))
    return state, Decision(now_s, Reason.FACE_OFF)


def _local(policy: Policy, wall: datetime | None) -> datetime | None:
    return wall if wall is None or policy.zone is None else wall.astimezone(policy.zone)


def give_up_waiting(state: State, now_s: float) -> State:
    """Let a held try fail whose time is over, but not in the middle of a code."""
    if state.held is None or now_s < state.held.until_s or not is_over(state.presses_s, now_s):
        return state
    return _fail_held(state, state.held, now_s)


def _fail_held(state: State, held: Held, now_s: float) -> State:
    limits = limiter.let_go(state.limits, held.wait_s, now_s)
    return replace(state, held=None, presses_s=(), streak=Streak(), limits=limits)


def is_over(presses_s: tuple[float, ...], now_s: float) -> bool:
    """Whether no code is being entered."""
    return not presses_s or len(presses_s) > codes.MOST_PRESSES or now_s - presses_s[-1] >= codes.GIVEN_UP_S


def about(
    best: Candidate, reason: Reason, now_s: float, hold_s: float = 0.0, *, is_duress: bool = False
) -> Decision:
    """A decision that speaks of that person."""
    return Decision(now_s, reason, best.person_id, best.score, hold_s, is_duress)
