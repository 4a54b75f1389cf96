"""What a lock does over time, without a process, a line or a clock."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from janusd_hw.latchd import machine
from janusd_hw.latchd.machine import REST_S, RETRY_S, SOUND_S, Door, Doors
from janusd_hw.latchd.settings import LONGEST_S, Settings
from janusd_hw.latchd.settings import Door as Rules


def rules(name: str = "front", **more: float | bool | str) -> Rules:
    return replace(Rules(name, {}), **more)  # type: ignore[arg-type]


def one(**more: float | bool) -> Settings:
    return Settings((rules(**more),))


def door_of(house: Settings, **state: Any) -> Doors:
    return {"front": Door(house.doors[0], **state)}


def release(house: Settings, doors: Doors, now_s: float, hold_s: float) -> tuple[Door, str]:
    doors, why = machine.release(house, doors, "front", now_s, hold_s)
    return doors["front"], why


def test_a_release_ends_by_itself() -> None:
    house = one(heartbeat_s=5)
    door, why = release(house, door_of(house, beat_s=0.0), 0.0, 3.0)
    assert (door.is_released, why) == (True, "")
    assert machine.advance(door, 2.99).is_released
    assert not machine.advance(door, 3.0).is_released


def test_no_request_lasts_longer_than_the_maximum_nor_any_maximum_longer_than_ours() -> None:
    house = one(hold_max_s=1000.0, heartbeat_s=5000.0)
    door, _ = release(house, door_of(house, beat_s=0.0), 0.0, 1e9)
    assert door.client_until_s == LONGEST_S


def test_asking_again_and_again_ends_at_the_maximum_and_is_then_refused_for_a_while() -> None:
    house = one(hold_max_s=10.0)
    door = Door(house.doors[0])
    for tenth in range(0, 100, 10):
        door, why = release(house, {"front": replace(door, beat_s=tenth / 10)}, tenth / 10, 5.0)
        assert why == ""
    doors = {"front": machine.advance(replace(door, beat_s=10.0), 10.0)}
    assert not doors["front"].is_released
    assert "just now" in release(house, doors, 10.0 + REST_S / 2, 5.0)[1]
    assert release(house, doors, 10.0 + REST_S, 5.0)[0].is_released


def test_a_release_while_one_runs_can_be_told_not_to_start_anew() -> None:
    house = one(retrigger=False)
    door, _ = release(house, door_of(house, beat_s=0.0), 0.0, 3.0)
    door, why = release(house, {"front": door}, 1.0, 3.0)
    assert (door.client_until_s, why) == (3.0, "")


def test_a_minimum_holds_against_a_short_wish_and_an_early_lock_but_not_against_death() -> None:
    house = one(hold_min_s=3.0)
    door, _ = release(house, door_of(house, beat_s=0.0), 0.0, 0.2)
    assert door.client_until_s == 3.0
    assert machine.lock(door, 1.0).is_released
    assert not machine.advance(machine.lock(door, 1.0), 3.0).is_released
    assert not machine.leave(door, 1.0).is_released


def test_the_exit_button_needs_nobody_and_survives_the_client() -> None:
    house = one(rex_hold_s=5.0)
    doors, why = machine.exit_pressed(house, door_of(house, is_tampered=True), "front", 0.0)
    assert (doors["front"].is_released, why) == (True, "")
    door, _ = release(house, {"front": replace(doors["front"], beat_s=0.0, is_tampered=False)}, 0.0, 1.0)
    left = machine.leave(door, 0.5)
    assert left.rex_until_s == 5.0
    assert not left.has_client
    assert machine.lock(door, 0.5).is_released


def test_a_silent_client_loses_its_release_and_its_place() -> None:
    house = one(heartbeat_s=2.0)
    door, _ = release(house, door_of(house, beat_s=0.0), 0.0, 9.0)
    assert machine.advance(door, 1.99).is_released
    hung = machine.advance(door, 2.0)
    assert (hung.is_released, hung.has_client) == (False, False)


def test_nobody_is_let_in_by_a_faulty_relay_or_an_opened_enclosure_or_before_hello() -> None:
    house = one()
    for state in ({}, {"beat_s": 0.0, "fault": "stuck"}, {"beat_s": 0.0, "is_tampered": True}):
        door, why = release(house, door_of(house, **state), 0.0, 3.0)
        assert why
        assert not door.is_released


def test_a_fault_ends_a_release_and_is_an_alarm_until_it_is_over() -> None:
    house = one()
    door, _ = release(house, door_of(house, beat_s=0.0), 0.0, 3.0)
    broken = machine.failed(door, 1.0, "reads 1")
    assert (broken.is_released, broken.has_alarm) == (False, True)
    assert not machine.failed(broken, 2.0, "").has_alarm


def test_the_next_thing_due_is_the_end_of_a_hold_a_silent_client_or_another_try_of_the_relay() -> None:
    locked = Door(rules(heartbeat_s=2.0))
    assert machine.due_s(locked, 10.0) == inf
    assert machine.due_s(replace(locked, beat_s=9.0), 10.0) == 11.0
    assert machine.due_s(replace(locked, beat_s=9.0, client_until_s=10.5), 10.0) == 10.5
    assert machine.due_s(replace(locked, beat_s=9.0, fault="reads 1"), 10.0) == 10.0 + RETRY_S


def test_a_strike_has_current_while_released_and_a_magnet_while_locked() -> None:
    for lock, energised in (("fail-secure", [False, True]), ("fail-safe", [True, False])):
        locked = Door(rules(lock=lock))
        released = replace(locked, rex_until_s=1.0)
        assert [machine.outputs(door, 0.0)["relay"] for door in (locked, released)] == energised


def test_a_client_s_lamps_last_as_long_as_it_asked_and_move_no_relay_and_go_with_it() -> None:
    door = replace(Door(rules(), beat_s=0.0), shows_until_s={"led_status": 5.0, "relay": 5.0, "buzzer": 5.0})
    lit = {"led_status", "buzzer"}
    assert {name for name, is_on in machine.outputs(door, 4.9).items() if is_on} == lit
    assert not any(machine.outputs(door, 5.0).values())
    assert not any(machine.outputs(machine.leave(door, 1.0), 1.0).values())


def test_a_door_that_opens_while_locked_was_forced_until_it_is_closed() -> None:
    forced = machine.opened(Door(rules(), locked_s=0.0), 10.0, True)
    assert forced.is_forced
    assert machine.opened(forced, 11.0, True).is_forced
    assert not machine.opened(forced, 12.0, False).has_alarm


def test_a_door_in_somebody_s_hand_when_it_locks_is_not_forced() -> None:
    assert not machine.opened(Door(rules(), locked_s=10.0), 10.5, True).is_forced
    assert not machine.opened(Door(rules(), rex_until_s=11.0, since_s=9.0), 10.5, True).is_forced


def test_a_door_that_stands_open_is_told_once_and_heard_for_a_while() -> None:
    door = machine.opened(Door(rules(held_open_s=30.0), locked_s=10.0), 10.0, True)
    assert not machine.advance(door, 39.9).is_held_open
    door = machine.advance(door, 40.0)
    shown = {"relay": False, "led_released": False, "led_alarm": True, "buzzer": True}
    assert machine.outputs(door, 40.0) == shown
    later = machine.advance(door, 40.0 + SOUND_S)
    assert machine.outputs(later, 40.0 + SOUND_S) == shown | {"buzzer": False}
    assert not machine.opened(later, 80.0, False).has_alarm


def two(**inner: Any) -> tuple[Settings, Doors]:
    house = Settings((rules("outer"), rules("inner")), interlock=True)
    outer, second = house.doors
    return house, {"outer": Door(outer, beat_s=0.0), "inner": Door(second, **inner)}


def test_of_two_doors_in_an_interlock_the_second_waits_until_the_first_is_locked_and_closed() -> None:
    house, doors = two(beat_s=0.0)
    doors, _ = machine.release(house, doors, "outer", 0.0, 1.0)
    assert machine.release(house, doors, "inner", 0.5, 1.0)[1] == "another door is not closed"
    doors |= {"outer": machine.opened(machine.advance(doors["outer"], 1.0), 1.0, True)}
    assert machine.release(house, doors, "inner", 1.1, 1.0)[1] == "another door is not closed"
    doors |= {"outer": machine.opened(doors["outer"], 1.2, False)}
    assert machine.release(house, doors, "inner", 1.3, 1.0)[1] == ""


def test_the_exit_button_of_one_door_locks_the_other() -> None:
    house, doors = two()
    doors, _ = machine.release(house, doors, "outer", 0.0, 5.0)
    doors, why = machine.exit_pressed(house, doors, "inner", 1.0)
    assert ({name: door.is_released for name, door in doors.items()}, why) == (
        {"outer": False, "inner": True},
        "",
    )


NAMES = ("outer", "inner")


class House(RuleBasedStateMachine):
    """Two doors, their clients and everything that may happen to them, in any order."""

    @initialize(interlock=st.booleans(), data=st.data())
    def build(self, interlock: bool, data: st.DataObject) -> None:
        def draw(low: float, high: float) -> float:
            return data.draw(st.floats(low, high))

        def door(name: str) -> Rules:
            longest = draw(0.5, LONGEST_S)
            return rules(
                name, hold_max_s=longest, hold_min_s=min(draw(0, 10), longest),
                rex_hold_s=min(draw(0.5, 30), longest), held_open_s=draw(0.5, 60), heartbeat_s=draw(0.5, 5),
                retrigger=data.draw(st.booleans()),
            )  # fmt: skip

        self.house = Settings((door(NAMES[0]), door(NAMES[1])), interlock=interlock)
        self.doors = {its.name: Door(its, locked_s=0.0) for its in self.house.doors}
        self.now_s = 0.0
        self.released_s = dict.fromkeys(NAMES, 0.0)
        """For how long each door has been released at a stretch, measured by this test itself."""
        self.silent_s = dict.fromkeys(NAMES, 0.0)

    def become(self, at: str, door: Door) -> None:
        self.doors = self.doors | {at: door}

    @rule(seconds=st.one_of(st.floats(0, 0.2), st.floats(0, 40)))
    def wait(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:  # the loop never sleeps through the end of a release
            ends = [max(door.client_until_s, door.rex_until_s) for door in self.doors.values()]
            next_s = min([until_s, *(end_s for end_s in ends if end_s > self.now_s)])
            step_s, self.now_s = next_s - self.now_s, next_s
            for at, door in self.doors.items():
                self.released_s[at] = self.released_s[at] + step_s if door.is_released else 0.0
                self.silent_s[at] += step_s
            self.doors = {at: machine.advance(door, self.now_s) for at, door in self.doors.items()}
            self.check()

    @rule(at=st.sampled_from(NAMES))
    def hello_or_beat(self, at: str) -> None:
        self.become(at, replace(self.doors[at], beat_s=self.now_s))
        self.silent_s[at] = 0.0

    @rule(at=st.sampled_from(NAMES), hold_s=st.floats(0.001, 1e6))
    def ask(self, at: str, hold_s: float) -> None:
        before = self.doors[at]
        self.doors, why = machine.release(self.house, self.doors, at, self.now_s, hold_s)
        assert why == "" or self.doors[at] == before
        assert self.doors[at].is_released or why

    @rule(at=st.sampled_from(NAMES))
    def lock(self, at: str) -> None:
        self.become(at, machine.lock(self.doors[at], self.now_s))

    @rule(at=st.sampled_from(NAMES))
    def client_dies(self, at: str) -> None:
        self.become(at, machine.leave(self.doors[at], self.now_s))
        assert self.doors[at].client_until_s == float("-inf")
        assert not self.doors[at].is_released or self.doors[at].rex_until_s > self.now_s

    @rule(at=st.sampled_from(NAMES))
    def press_exit(self, at: str) -> None:
        was_released = self.doors[at].is_released
        self.doors, why = machine.exit_pressed(self.house, self.doors, at, self.now_s)
        other_is_faulty = self.house.interlock and any(
            door.fault for of, door in self.doors.items() if of != at
        )
        assert bool(why) == other_is_faulty
        if not why:
            assert self.doors[at].is_released
            if not was_released:  # a locked door opens for as long as promised
                assert self.doors[at].rex_until_s >= self.now_s + self.doors[at].rules.rex_hold_s

    @rule(at=st.sampled_from(NAMES), is_open=st.booleans())
    def move_door(self, at: str, is_open: bool) -> None:
        self.become(at, machine.opened(self.doors[at], self.now_s, is_open))
        assert self.doors[at].is_open == is_open

    @rule(at=st.sampled_from(NAMES), is_tampered=st.booleans())
    def tamper(self, at: str, is_tampered: bool) -> None:
        self.become(at, machine.tampered(self.doors[at], self.now_s, is_tampered))

    @rule(at=st.sampled_from(NAMES), fault=st.sampled_from(["", "reads 1"]))
    def break_or_mend(self, at: str, fault: str) -> None:
        self.become(at, machine.failed(self.doors[at], self.now_s, fault))
        assert not (fault and self.doors[at].is_released)

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "house"):
            return
        for at, door in self.doors.items():
            its = door.rules
            assert self.released_s[at] <= its.hold_max_s + 1e-6, "released for too long"
            if not door.is_released:  # a press at the very moment it locks begins a stretch of its own
                self.released_s[at] = 0.0
            if self.silent_s[at] >= its.heartbeat_s:
                assert door.client_until_s <= self.now_s or not door.has_client, "served a silent client"
            assert not (door.client_until_s > self.now_s and not door.has_client), "released for nobody"
            assert not (door.fault and door.client_until_s > self.now_s), "let in by a faulty relay"
            assert door.is_open or not (door.is_forced or door.is_held_open)
        if self.house.interlock:
            assert sum(door.is_released for door in self.doors.values()) <= 1, "two doors at once"


House.TestCase.settings = profile(max_examples=60, stateful_step_count=30, deadline=None)
TestHouse = House.TestCase
