"""What each lock is to do, from moment to moment: values in, values out, and time as an argument.

             release, REX                 hold over, lock, client gone, client silent, fault
    locked ---------------> released ------------------------------------------------------> locked

Two holds may run side by side: the client's, which dies with the client, and that of the exit button (REX),
which no client can take back. Together they end at the door's maximum. In an interlock a client waits for the
other doors to be locked and closed; the exit button locks them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf

from janusd_hw.latchd.settings import LONGEST_S, Settings
from janusd_hw.latchd.settings import Door as Rules

REST_S = 1.0
"""After a release that reached its maximum a client waits: it shall not keep a door open by asking again."""
RETRY_S = 0.01
"""How soon a relay that did not do as told is told again."""
GRACE_S = 1.0
"""A door that opens so soon after it was locked was already in somebody's hand."""
SOUND_S = 30.0
"""An alarm sounds so long; it is shown and told for as long as it lasts."""


@dataclass(frozen=True, slots=True)
class Door:
    """One door at one moment. Times are seconds on the caller's clock; -inf stands for never."""

    rules: Rules
    """What its owner decided."""
    client_until_s: float = -inf
    rex_until_s: float = -inf
    since_s: float = -inf
    """When the release began, if one runs."""
    locked_s: float = -inf
    rests_until_s: float = -inf
    beat_s: float = -inf
    """When the client was last heard; -inf without one."""
    shows_until_s: dict[str, float] = field(default_factory=dict)
    """Until when the client wants which lamp lit."""
    is_open: bool = False
    opened_s: float = -inf
    is_tampered: bool = False
    is_forced: bool = False
    is_held_open: bool = False
    alarmed_s: float = -inf
    fault: str = ""
    """Why the relay is not known to do as told."""

    @property
    def is_released(self) -> bool:
        """Whether a hold runs."""
        return max(self.client_until_s, self.rex_until_s) > -inf

    @property
    def has_client(self) -> bool:
        """Whether somebody said hello and was heard since."""
        return self.beat_s > -inf

    @property
    def has_alarm(self) -> bool:
        """Whether somebody should come and look."""
        return self.is_forced or self.is_held_open or self.is_tampered or bool(self.fault)


Doors = dict[str, Door]
"""By name. A value like a door: never changed, but made anew."""


def advance(door: Door, now_s: float) -> Door:
    """Let time pass: drop a silent client, end holds that are over, notice a door held open."""
    if now_s - door.beat_s >= door.rules.heartbeat_s:
        door = leave(door, now_s)
    door = _hold(door, now_s, door.client_until_s, door.rex_until_s)
    held = door.is_open and not door.is_forced and now_s >= door.opened_s + door.rules.held_open_s
    return _alarm(door, now_s, is_held_open=held)


def due_s(door: Door, now_s: float) -> float:
    """When time alone next moves the lock: a hold ends, a silent client goes, a fault is tried."""
    retry_s = now_s + RETRY_S if door.fault else inf
    times = door.client_until_s, door.rex_until_s, door.beat_s + door.rules.heartbeat_s, retry_s
    return min(at_s for at_s in times if at_s > -inf)


def others(settings: Settings, doors: Doors, name: str) -> Doors:
    """Give the doors that share an interlock with this one."""
    return {of: door for of, door in doors.items() if settings.interlock and of != name}


def release(settings: Settings, doors: Doors, name: str, now_s: float, hold_s: float) -> tuple[Doors, str]:
    """Release a door for its client: the doors, and why not ("" when it is done)."""
    door, rivals = doors[name], others(settings, doors, name).values()
    reasons = {
        "nobody said hello": not door.has_client,
        door.fault: bool(door.fault),
        "the enclosure is open": door.is_tampered,
        "it was released for as long as allowed just now": now_s < door.rests_until_s,
        "another door is not closed": any(o.is_released or o.is_open or o.fault for o in rivals),
    }
    why = next((reason for reason, is_so in reasons.items() if is_so), "")
    if why or (door.client_until_s > -inf and not door.rules.retrigger):
        return doors, why
    until_s = now_s + max(hold_s, door.rules.hold_min_s)
    return doors | {name: _hold(door, now_s, until_s, door.rex_until_s)}, ""


def exit_pressed(settings: Settings, doors: Doors, name: str, now_s: float) -> tuple[Doors, str]:
    """Let somebody out, whatever the client does; in an interlock the other doors are locked for it."""
    rivals = others(settings, doors, name)
    if any(other.fault for other in rivals.values()):
        return doors, "another door is not known to be locked"
    locked = {of: _hold(other, now_s, -inf, -inf) for of, other in rivals.items()}
    door = advance(doors[name], now_s)  # pressed at the very end of a release, it begins another
    until_s = now_s + max(door.rules.rex_hold_s, door.rules.hold_min_s)
    return doors | locked | {name: _hold(door, now_s, door.client_until_s, until_s)}, ""


def lock(door: Door, now_s: float) -> Door:
    """End the client's hold as it asked, but not before the configured minimum."""
    until_s = min(door.client_until_s, door.since_s + door.rules.hold_min_s)
    return _hold(door, now_s, until_s, door.rex_until_s)


def leave(door: Door, now_s: float) -> Door:
    """Forget a client that died, hung or talked nonsense: its hold ends at once, and so do its lamps."""
    return replace(_hold(door, now_s, -inf, door.rex_until_s), beat_s=-inf, shows_until_s={})


def opened(door: Door, now_s: float, is_open: bool) -> Door:
    """Take in what the door contact says."""
    if is_open is door.is_open:
        return door
    forced = is_open and not door.is_released and now_s > door.locked_s + GRACE_S
    return _alarm(door, now_s, is_open=is_open, opened_s=now_s, is_forced=forced, is_held_open=False)


def tampered(door: Door, now_s: float, is_tampered: bool) -> Door:
    """Take in what the tamper contact says."""
    return _alarm(door, now_s, is_tampered=is_tampered)


def failed(door: Door, now_s: float, fault: str) -> Door:
    """Take in that the relay did not do as told, and why; "" when it does again. A hold ends with a fault."""
    return _alarm(_hold(door, now_s, -inf, -inf) if fault else door, now_s, fault=fault)


def outputs(door: Door, now_s: float) -> dict[str, bool]:
    """What has current now: the relay by its kind of lock, and what is to be seen and heard."""
    sounds = door.has_alarm and now_s < door.alarmed_s + SOUND_S
    ours = {"led_released": door.is_released, "led_alarm": door.has_alarm, "buzzer": sounds}
    shown = {lamp: True for lamp, until_s in door.shows_until_s.items() if now_s < until_s}
    return ours | shown | {"relay": door.is_released is not (door.rules.lock == "fail-safe")}


def _hold(door: Door, now_s: float, client_until_s: float, rex_until_s: float) -> Door:
    """The only place that lets a door be released: both holds end at the maximum, counted from its start."""
    since_s = door.since_s if door.is_released else now_s
    end_s = since_s + min(door.rules.hold_max_s, LONGEST_S)
    holds = (min(until_s, end_s) for until_s in (client_until_s, rex_until_s))
    client_s, rex_s = (until_s if until_s > now_s else -inf for until_s in holds)
    after = replace(door, client_until_s=client_s, rex_until_s=rex_s, since_s=since_s)
    if after.is_released or not door.is_released:
        return after
    rests_until_s = now_s + REST_S if now_s >= end_s else door.rests_until_s
    return replace(after, locked_s=now_s, rests_until_s=rests_until_s)


def _alarm(door: Door, now_s: float, **change: bool | str | float) -> Door:
    after = replace(door, **change)  # type: ignore[arg-type]  # each caller names fields with their types
    return replace(after, alarmed_s=now_s) if after.has_alarm and not door.has_alarm else after
