"""`janusctl enrol` as a person sees it: a real pseudo-terminal, the real daemon, a face that turns.

The camera shows warped portraits of people who do not exist, each time with other noise and standing a little
elsewhere; attack detection is at its default.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from janusd.cli.remote import RemoteDoor
from janusd.cli.stages import BYTES_A_SECOND
from janusd.demo.running import RunningDoor
from janusd.demo.scene import Light
from janusd.door import Person
from support.heads import head
from support.serving import eventually
from support.terminal import Terminal

SIDES = ("front", "left", "right", "up", "down")
_SHOWINGS = itertools.count(1)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDoor]:
    door = RunningDoor(tmp_path_factory.mktemp("enrol") / "door", fps=10.0)
    with door:
        yield door


def show(door: RunningDoor, side: str, light: Light = Light.NOON, further: float = 1.0) -> None:
    door.show(head("ada", side, light, further=further, showing=next(_SHOWINGS)))


def enrol(door: RunningDoor, *words: str, size: tuple[int, int] = (80, 24), **environment: str) -> Terminal:
    show(door, "front")
    command = [sys.executable, "-m", "janusd.cli.main", "--socket", str(door.folder / "control"), "enrol"]
    return Terminal([*command, *words], columns=size[0], rows=size[1], environment=environment)


def turn(door: RunningDoor, terminal: Terminal, side: str, words: str, light: Light = Light.NOON) -> None:
    """Turn to that side as people do, a little further or less far, until the screen says so.

    The detector's landmarks of a warped portrait jump by some degrees from one picture to the next.
    """
    for further in (1.0, 1.2, 0.85, 1.4, 1.0, 1.2, 0.85):
        show(door, side, light, further)
        with contextlib.suppress(AssertionError):
            return terminal.says(words, within_s=6)
    return terminal.says(words)


def picture(terminal: Terminal) -> list[str]:
    """The rows of cells that it fills."""
    return terminal.text.splitlines()[2:20]


def people(door: RunningDoor) -> list[Person]:
    with door.connect() as client:
        return RemoteDoor(client).people()


def is_free(door: RunningDoor) -> bool:
    """Whether the door's one enrolment can be begun."""
    with door.connect() as client:
        remote = RemoteDoor(client)
        try:
            remote.begin_enrolment("somebody", "")
        except BlockingIOError:
            return False
    return True


@pytest.mark.slow
def test_ada_is_enrolled_before_a_live_picture_and_a_ring(door: RunningDoor) -> None:
    with enrol(door, "Ada", COLORTERM="truecolor") as terminal:
        for number, side in enumerate(SIDES):
            turn(door, terminal, side, f"● {side}" if side != "down" else "Do they wear glasses at times")
            assert f"{number + 1} of 5 samples" in terminal.text
            if side == "up":  # by now the line is known to be fast, and all of the picture has come
                terminal.until(lambda: all(row.strip() == "▀" * 48 for row in picture(terminal)))
        assert all(row.strip() == "▀" * 48 for row in picture(terminal)), terminal.text
        green = [cell.fg for row in terminal.screen.buffer.values() for cell in row.values()].count("50dc78")
        assert green > 40  # the ring: four arcs, drawn in the colour of what is covered
        terminal.type("\r")
        terminal.says("Store these samples as Ada?")
        assert "front, left, right, up, down" in terminal.text
        assert "5 of 5 samples are recognised by the others alone" in terminal.text
        assert [person.name for person in people(door)] == []  # nothing before the answer
        terminal.type("y\r")
        terminal.says("Ada is enrolled with 5 samples.")
        assert terminal.ended() == 0
        assert terminal.busiest_second < BYTES_A_SECOND
    assert [(person.name, person.samples) for person in people(door)] == [("Ada", 5)]


@pytest.mark.slow
def test_the_same_face_under_another_name_is_named_and_refused(door: RunningDoor) -> None:
    with enrol(door, "Twin", size=(200, 60), COLORTERM="truecolor") as terminal:
        terminal.says("● front")
        for side in ("left", "right"):
            turn(door, terminal, side, f"● {side}")
        for side in ("up", "down"):
            terminal.type("s")
            if side == "up":
                terminal.says("- up")
        terminal.says("Do they wear glasses")
        terminal.type("\r")
        assert terminal.ended() == 1
        assert re.search(
            r"Ada, and the door would take them for one: score 0\.\d\d, threshold 0", terminal.text
        )
        assert "Not covered: up, down" in terminal.text
        assert "janusctl: Twin looks like Ada, who is enrolled already" in terminal.text
    assert [person.name for person in people(door)] == ["Ada"]
    assert is_free(door)


@pytest.mark.slow
def test_without_colour_hints_come_one_a_line_and_samples_are_added(door: RunningDoor) -> None:
    with enrol(door, "ada", "--reinforce", "--yes", NO_COLOR="1") as terminal:
        for side in SIDES:
            turn(door, terminal, side, f"taken: {side}")
        terminal.says("Do they wear glasses")
        terminal.type("\r")
        assert terminal.ended() == 0
        assert "Ada is enrolled with 10 samples." in terminal.text
    assert b"\x1b[38" not in terminal.written
    assert b"\x1b[?1049h" not in terminal.written
    assert [(person.name, person.samples) for person in people(door)] == [("Ada", 10)]


@pytest.mark.slow
def test_without_utf_8_not_a_byte_is_beyond_ascii_and_a_dropped_line_leaves_nothing(
    door: RunningDoor,
) -> None:
    with enrol(door, "Ben", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii") as terminal:
        terminal.says("taken: front, 1 of 5")
        show(door, "left")
        terminal.says("taken: left, 2 of 5")
        assert terminal.written.isascii()
        assert b"\x1b[38" not in terminal.written
        terminal.close()  # the SSH session drops: sshd closes its side of the terminal
        assert eventually(lambda: has_ended(terminal.pid), within_s=10)
    assert eventually(lambda: is_free(door), within_s=10)
    assert [person.name for person in people(door)] == ["Ada"]


def test_a_line_that_drops_under_a_live_picture_leaves_nothing_either(door: RunningDoor) -> None:
    before = people(door)
    with enrol(door, "Ben", "--rate", "20", COLORTERM="truecolor") as terminal:
        terminal.says("● front")
        assert not is_free(door)
        terminal.resize(60, 20)  # meanwhile somebody makes the window smaller
        terminal.close()
        assert eventually(lambda: has_ended(terminal.pid), within_s=10)
    assert eventually(lambda: is_free(door), within_s=10)
    assert people(door) == before


def has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


@pytest.mark.slow
def test_the_door_told_of_its_guest_afterwards(door: RunningDoor, tmp_path: Path) -> None:
    with door.connect() as client:
        kinds = [(entry.kind, entry.note) for entry in RemoteDoor(client).log("", 50)]
    assert ("enrolled", "5 samples") in kinds
    assert ("enrolled", "10 samples, 5 of them new") in kinds
