"""Enrolling somebody on terms: in force once they are stored, refused before anybody turns their head."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.cli.main import main
from janusd.cli.terms import ask
from janusd.door import Person, TermsChange
from support.fake_door import FakeDoor
from support.serving import serving

Screen = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDoor]:
    door = FakeDoor([Person("bob", "2026-11-22T08:00:00+00:00", 5, "")])
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    with serving(tmp_path / "control", door):
        yield door


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(60, 180, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{seed}.png"), noise)
    return str(folder)


def sat_down(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Somebody at a terminal who answers so; what they were asked."""
    asked: list[str] = []
    given = iter(answers)

    def put(question: str = "") -> str:
        asked.append(question)
        return next(given)

    monkeypatch.setattr("builtins.input", put)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    return asked


def test_a_guest_is_enrolled_until_a_day(door: FakeDoor, pictures: str) -> None:
    words = ["--role", "guest", "--until", "2026-12-24", "--hours", "sat 09:00-13:00", "--two-people"]
    assert main(["enrol", "cleo", "--from-images", pictures, "--yes", *words]) == 0
    cleo = door.enrolled["cleo"]
    assert (cleo.role, cleo.hours, cleo.needs_two) == ("guest", "sat 09:00-13:00", True)
    assert datetime.fromisoformat(cleo.valid_until) == datetime(2026, 12, 25).astimezone()


def test_terms_are_set_before_a_picture_is_looked_at(door: FakeDoor, pictures: str) -> None:
    assert main(["enrol", "cleo", "--from-images", pictures, "--yes", "--role", "owner"]) == 0
    kinds = [asked[0] for asked in door.asked]
    assert kinds.index("enrolment_terms") < kinds.index("add_image")
    assert ("enrolment_terms", TermsChange(role="owner")) in door.asked


def test_a_guest_without_a_day_and_a_code_on_the_command_line_are_refused(
    door: FakeDoor, pictures: str, capsys: Screen
) -> None:
    assert main(["enrol", "cleo", "--from-images", pictures, "--role", "guest"]) == 2
    assert "a guest needs --until" in capsys.readouterr().err
    assert main(["enrol", "cleo", "--from-images", pictures, "--code-file", "x"]) == 2
    assert main(["enrol", "bob", "--from-images", pictures, "--reinforce", "--role", "owner"]) == 2
    assert "janusctl people set" in capsys.readouterr().err
    assert door.asked == []


def test_without_terms_nothing_is_asked_of_the_door(door: FakeDoor, pictures: str) -> None:
    assert main(["enrol", "cleo", "--from-images", pictures, "--yes"]) == 0
    assert "enrolment_terms" not in [asked[0] for asked in door.asked]
    assert door.enrolled["cleo"].role == "resident"


def test_at_the_last_question_the_terms_can_still_be_changed(
    door: FakeDoor, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = sat_down(monkeypatch, "t", "GUEST", "tomorrow", "2026-12-24", "mon-fri 08:00-18:00", "y")
    assert main(["enrol", "cleo", "--from-images", pictures]) == 0
    assert "Store these samples as cleo?" in asked[0]
    cleo = door.enrolled["cleo"]
    assert (cleo.role, cleo.hours) == ("guest", "mon-fri 08:00-18:00")
    assert cleo.valid_until.startswith("2026-12-25")


def test_no_at_the_last_question_stores_nothing(
    door: FakeDoor, pictures: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sat_down(monkeypatch, "n")
    assert main(["enrol", "cleo", "--from-images", pictures]) == 1
    assert "cleo" not in door.enrolled


def test_questions_are_put_until_the_answer_can_be_meant() -> None:
    answers = iter(["king", "", ""])
    assert ask(lambda _: next(answers)) == {"role": "resident", "hours": ""}
    said: list[str] = []
    answers = iter(["guest", "soon", "none", "2026-12-24 18:00", ""])
    assert str(ask(lambda _: next(answers), said.append)["valid_until"]).startswith("2026-12-24T18:00")
    assert "soon" in said[0]
