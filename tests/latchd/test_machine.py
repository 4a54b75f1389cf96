"""What a lock does over time, without a process, a line or a clock."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from janusd_hw.latchd import machine
from janusd_hw.latchd.machine import REST_S, SOUND_S, Door
from janusd_hw.latchd.settings import LONGEST_S, Settings
from janusd_hw.latchd.settings import Door as Rules


def rules(name: str = "front", **more: float | bool) -> Rules:
    return replace(Rules(name, {}), **more)  # type: ignore[arg-type]


def one(**more: float | bool) -> Settings:
    return Settings((rules(**more),))


def greeted(now_s: float = 0.0) -> tuple[Door, ...]:
    return (Door(beat_s=now_s),)


def test_a_release_ends_by_itself() -> None:
    house = one(heartbeat_s=5)
    doors, why = machine.release(house, greeted(), 0, 0.0, 3.0)
    assert (doors[0].is_released, why) == (True, "")
    assert machine.advance(house.doors[0], doors[0], 2.99).is_released
    assert not machine.advance(house.doors[0], doors[0], 3.0).is_released


def test_no_request_lasts_longer_than_the_maximum_nor_any_maximum_longer_than_ours() -> None:
    house = one(hold_max_s=1000.0, heartbeat_s=5000.0)
    doors, _ = machine.release(house, greeted(), 0, 0.0, 1e9)
    assert doors[0].client_until_s == LONGEST_S


def test_asking_again_and_again_ends_at_the_maximum_and_is_then_refused_for_a_while() -> None:
    house = one(hold_max_s=10.0)
    doors = greeted()
    for tenth in range(0, 100, 10):
        doors = (replace(doors[0], beat_s=tenth / 10),)
        doors, why = machine.release(house, doors, 0, tenth / 10, 5.0)
        assert why == ""
    doors = (machine.advance(house.doors[0], replace(doors[0], beat_s=10.0), 10.0),)
    assert not doors[0].is_released
    doors, why = machine.release(house, doors, 0, 10.0 + REST_S / 2, 5.0)
    assert "just now" in why
    doors, why = machine.release(house, doors, 0, 10.0 + REST_S, 5.0)
    assert doors[0].is_released


def test_a_release_while_one_runs_can_be_told_not_to_start_anew() -> None:
    house = one(retrigger=False)
    doors, _ = machine.release(house, greeted(), 0, 0.0, 3.0)
    doors, why = machine.release(house, doors, 0, 1.0, 3.0)
    assert (doors[0].client_until_s, why) == (3.0, "")


def test_a_minimum_holds_against_a_short_wish_and_an_early_lock_but_not_against_death() -> None:
    house = one(hold_min_s=3.0)
    doors, _ = machine.release(house, greeted(), 0, 0.0, 0.2)
    assert doors[0].client_until_s == 3.0
    assert machine.lock(house.doors[0], doors[0], 1.0).is_released
    assert not machine.advance(house.doors[0], machine.lock(house.doors[0], doors[0], 1.0), 3.0).is_released
    assert not machine.leave(house.doors[0], doors[0], 1.0).is_released


def test_the_exit_button_needs_nobody_and_survives_the_client() -> None:
    house = one(rex_hold_s=5.0)
    doors, why = machine.exit_pressed(house, (Door(fault="", is_tampered=True),), 0, 0.0)
    assert (doors[0].is_released, why) == (True, "")
    doors, _ = machine.release(house, (replace(doors[0], beat_s=0.0, is_tampered=False),), 0, 0.0, 1.0)
    left = machine.leave(house.doors[0], doors[0], 0.5)
    assert left.rex_until_s == 5.0
    assert not left.has_client
    assert machine.lock(house.doors[0], doors[0], 0.5).is_released


def test_a_silent_client_loses_its_release_and_its_place() -> None:
    house = one(heartbeat_s=2.0)
    doors, _ = machine.release(house, greeted(), 0, 0.0, 9.0)
    assert machine.advance(house.doors[0], doors[0], 1.99).is_released
    hung = machine.advance(house.doors[0], doors[0], 2.0)
    assert (hung.is_released, hung.has_client) == (False, False)


def test_nobody_is_let_in_by_a_faulty_relay_or_an_opened_enclosure_or_before_hello() -> None:
    house = one()
    for door in (Door(), Door(beat_s=0.0, fault="stuck"), Door(beat_s=0.0, is_tampered=True)):
        doors, why = machine.release(house, (door,), 0, 0.0, 3.0)
        assert why
        assert not doors[0].is_released


def test_a_fault_ends_a_release_and_is_an_alarm_until_it_is_over() -> None:
    house = one()
    doors, _ = machine.release(house, greeted(), 0, 0.0, 3.0)
    broken = machine.failed(house.doors[0], doors[0], 1.0, "reads 1")
    assert (broken.is_released, broken.has_alarm) == (False, True)
    assert not machine.failed(house.doors[0], broken, 2.0, "").has_alarm


def test_a_door_that_opens_while_locked_was_forced_until_it_is_closed() -> None:
    forced = machine.opened(Door(locked_s=0.0), 10.0, True)
    assert forced.is_forced
    assert machine.opened(forced, 11.0, True).is_forced
    assert not machine.opened(forced, 12.0, False).has_alarm


def test_a_door_in_somebody_s_hand_when_it_locks_is_not_forced() -> None:
    assert not machine.opened(Door(locked_s=10.0), 10.5, True).is_forced
    assert not machine.opened(Door(rex_until_s=11.0, since_s=9.0), 10.5, True).is_forced


def test_a_door_that_stands_open_is_told_once_and_heard_for_a_while() -> None:
    house = one(held_open_s=30.0)
    door = machine.opened(Door(locked_s=10.0), 10.0, True)
    assert not machine.advance(house.doors[0], door, 39.9).is_held_open
    door = machine.advance(house.doors[0], door, 40.0)
    assert machine.lamps(door, 40.0) == {"led_released": False, "led_alarm": True, "buzzer": True}
    later = machine.advance(house.doors[0], door, 40.0 + SOUND_S)
    assert machine.lamps(later, 40.0 + SOUND_S) == {"led_released": False, "led_alarm": True, "buzzer": False}
    assert not machine.opened(later, 80.0, False).has_alarm


def two() -> Settings:
    return Settings((rules("outer"), rules("inner")), interlock=True)


def test_of_two_doors_in_an_interlock_the_second_waits_until_the_first_is_locked_and_closed() -> None:
    house, doors = two(), (Door(beat_s=0.0), Door(beat_s=0.0))
    doors, _ = machine.release(house, doors, 0, 0.0, 1.0)
    assert machine.release(house, doors, 1, 0.5, 1.0)[1] == "another door is not closed"
    doors = machine.put(doors, 0, machine.opened(machine.advance(house.doors[0], doors[0], 1.0), 1.0, True))
    assert machine.release(house, doors, 1, 1.1, 1.0)[1] == "another door is not closed"
    doors = machine.put(doors, 0, machine.opened(doors[0], 1.2, False))
    assert machine.release(house, doors, 1, 1.3, 1.0)[1] == ""


def test_the_exit_button_of_one_door_locks_the_other() -> None:
    house, doors = two(), (Door(beat_s=0.0), Door())
    doors, _ = machine.release(house, doors, 0, 0.0, 5.0)
    doors, why = machine.exit_pressed(house, doors, 1, 1.0)
    assert ([door.is_released for door in doors], why) == ([False, True], "")


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

        self.house = Settings((door("outer"), door("inner")), interlock=interlock)
        self.doors = (Door(locked_s=0.0), Door(locked_s=0.0))
        self.now_s = 0.0
        self.released_s = [0.0, 0.0]
        """For how long each door has been released at a stretch, measured by this test itself."""
        self.silent_s = [0.0, 0.0]

    def become(self, at: int, door: Door) -> None:
        self.doors = machine.put(self.doors, at, door)

    @rule(seconds=st.one_of(st.floats(0, 0.2), st.floats(0, 40)))
    def wait(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        while self.now_s < until_s:  # the loop never sleeps through the end of a release
            ends = [max(door.client_until_s, door.rex_until_s) for door in self.doors]
            next_s = min([until_s, *(end_s for end_s in ends if end_s > self.now_s)])
            step_s, self.now_s = next_s - self.now_s, next_s
            for at, door in enumerate(self.doors):
                self.released_s[at] = self.released_s[at] + step_s if door.is_released else 0.0
                self.silent_s[at] += step_s
            self.doors = tuple(map(machine.advance, self.house.doors, self.doors, [self.now_s] * 2))
            self.check()

    @rule(at=st.integers(0, 1))
    def hello_or_beat(self, at: int) -> None:
        self.become(at, replace(self.doors[at], beat_s=self.now_s))
        self.silent_s[at] = 0.0

    @rule(at=st.integers(0, 1), hold_s=st.floats(0.001, 1e6))
    def ask(self, at: int, hold_s: float) -> None:
        before = self.doors[at]
        self.doors, why = machine.release(self.house, self.doors, at, self.now_s, hold_s)
        assert why == "" or self.doors[at] == before
        assert self.doors[at].is_released or why

    @rule(at=st.integers(0, 1))
    def lock(self, at: int) -> None:
        self.become(at, machine.lock(self.house.doors[at], self.doors[at], self.now_s))

    @rule(at=st.integers(0, 1))
    def client_dies(self, at: int) -> None:
        self.become(at, machine.leave(self.house.doors[at], self.doors[at], self.now_s))
        assert self.doors[at].client_until_s == float("-inf")
        assert not self.doors[at].is_released or self.doors[at].rex_until_s > self.now_s

    @rule(at=st.integers(0, 1))
    def press_exit(self, at: int) -> None:
        was_released = self.doors[at].is_released
        self.doors, why = machine.exit_pressed(self.house, self.doors, at, self.now_s)
        other_is_faulty = self.house.interlock and bool(self.doors[1 - at].fault)
        assert bool(why) == other_is_faulty
        if not why:
            assert self.doors[at].is_released
            if not was_released:  # a locked door opens for as long as promised
                assert self.doors[at].rex_until_s >= self.now_s + self.house.doors[at].rex_hold_s

    @rule(at=st.integers(0, 1), is_open=st.booleans())
    def move_door(self, at: int, is_open: bool) -> None:
        self.become(at, machine.opened(self.doors[at], self.now_s, is_open))
        assert self.doors[at].is_open == is_open

    @rule(at=st.integers(0, 1), is_tampered=st.booleans())
    def tamper(self, at: int, is_tampered: bool) -> None:
        self.become(at, machine.tampered(self.doors[at], self.now_s, is_tampered))

    @rule(at=st.integers(0, 1), fault=st.sampled_from(["", "reads 1"]))
    def break_or_mend(self, at: int, fault: str) -> None:
        self.become(at, machine.failed(self.house.doors[at], self.doors[at], self.now_s, fault))
        assert not (fault and self.doors[at].is_released)

    @invariant()
    def check(self) -> None:
        if not hasattr(self, "house"):
            return
        for at, (door, its) in enumerate(zip(self.doors, self.house.doors, strict=True)):
            assert self.released_s[at] <= its.hold_max_s + 1e-6, "released for too long"
            if not door.is_released:  # a press at the very moment it locks begins a stretch of its own
                self.released_s[at] = 0.0
            if self.silent_s[at] >= its.heartbeat_s:
                assert door.client_until_s <= self.now_s or not door.has_client, "served a silent client"
            assert not (door.client_until_s > self.now_s and not door.has_client), "released for nobody"
            assert not (door.fault and door.client_until_s > self.now_s), "let in by a faulty relay"
            assert door.is_open or not (door.is_forced or door.is_held_open)
        if self.house.interlock:
            assert sum(door.is_released for door in self.doors) <= 1, "two doors at once"


House.TestCase.settings = profile(max_examples=60, stateful_step_count=30, deadline=None)
TestHouse = House.TestCase
