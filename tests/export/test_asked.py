"""Actors before a door that asks for turns: what they show, and what becomes of them at the real door."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from janusd.config import ModelSection
from janusd.core.challenge import Turn
from janusd.core.types import Face, Image
from janusd.main import open_pipeline
from janusd.models import load
from janusd_export.attacks import asked, drawn, films
from janusd_export.attacks.asked import FPS, Actor
from janusd_export.attacks.films import Map, Part
from janusd_export.errors import ExportError
from janusd_export.evaluation import attack_eval


class Recorder(films.Sitter):
    """A head that is no head: it writes down how far it was turned."""

    def __init__(self) -> None:
        super().__init__(60.0)
        self.turned_deg: list[float] = []

    def head(self, yaw_deg: float, onto: Map | None = None) -> Image:
        del onto
        self.turned_deg.append(yaw_deg)
        return np.full((480, 640, 3), 128 + round(yaw_deg), np.uint8)


def play(
    casting: asked.Casting, turns: list[Turn | None], seconds: float = 1.2
) -> tuple[Recorder, list[Image]]:
    head = Recorder()
    actor: Actor = casting(head, lambda yaw_deg: yaw_deg, np.random.default_rng(4))
    shots = [actor(turn, number / FPS) for turn in turns for number in range(round(seconds * FPS))]
    return head, shots


def test_a_resident_turns_as_asked_and_not_before_the_sign_can_be_seen() -> None:
    head, _ = play(asked.resident, [None, Turn.LEFT, Turn.RIGHT, Turn.CENTRE])
    each = round(1.2 * FPS)
    before, left, right, centre = (head.turned_deg[n * each : (n + 1) * each] for n in range(4))
    assert set(before) == {0.0}
    assert left[2] == 0.0
    assert 23 <= left[-1] <= 32
    assert -32 <= right[-1] <= -23
    assert centre[-1] == pytest.approx(0, abs=1)
    assert max(abs(np.diff(head.turned_deg))) <= 120 / FPS + 1e-9


def test_a_film_does_not_care_what_is_asked() -> None:
    one, _ = play(asked.blind_film, [Turn.LEFT, Turn.RIGHT, Turn.LEFT])
    other, _ = play(asked.blind_film, [Turn.RIGHT, Turn.CENTRE, Turn.LEFT])
    assert one.turned_deg == other.turned_deg
    assert max(one.turned_deg) > 20 > -20 > min(one.turned_deg)


def levels(shots: list[Image]) -> set[int]:
    return {round(float(np.median(shot)) - 128) for shot in shots}


def test_photographs_exchanged_show_nothing_between_and_dissolved_ones_do() -> None:
    turns = [Turn.LEFT, Turn.RIGHT, Turn.CENTRE]
    head, cut = play(asked.exchanged_photographs, turns)
    assert len(head.turned_deg) == 3  # three photographs were taken, beforehand
    assert all(min(abs(level - deg) for deg in head.turned_deg) <= 1.5 for level in levels(cut))
    _, dissolved = play(asked.dissolved_photographs, turns)
    assert len(levels(dissolved)) > 6


@pytest.mark.parametrize("casting", [asked.turned_print, asked.bent_print])
def test_a_print_is_one_picture(casting: asked.Casting) -> None:
    head, shots = play(casting, [Turn.LEFT, Turn.RIGHT])
    assert len(head.turned_deg) == 1
    assert len(shots) == 2 * round(1.2 * FPS)


def face(yaw_deg: float) -> Face:
    points = np.array([[100, 100], [160, 100], [130, 130], [108, 160], [152, 160]], np.float32)
    return Face((80, 70, 180, 190), points + np.float32(yaw_deg / 10), 0.9)


def test_a_drawn_head_shows_the_picture_that_was_turned_nearest() -> None:
    turns = [
        (yaw, np.full((256, 256, 3), round(100 + yaw), np.uint8), face(yaw))
        for yaw in (-30.0, -10.0, 2.0, 28.0)
    ]
    head = drawn.DrawnHead(turns, 60.0)
    shown = [int(head.head(yaw)[240, 320, 0]) for yaw in (-45.0, -12.0, 0.0, 14.0, 16.0, 90.0)]
    assert shown == [70, 90, 102, 102, 128, 128]
    assert head.head(0.0).shape == (480, 640, 3)


def test_without_a_generator_its_folder_is_named(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    heads = drawn.DrawnHeads(tmp_path, lambda image: (), lambda found: 0.0)
    with pytest.raises(ExportError, match=str(tmp_path)):
        heads.sitter(Part.DEVELOPMENT, 0, 1)


def test_who_cannot_be_turned_far_enough_is_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class Few:
        def __init__(self, folder: Path, *, is_quick: bool) -> None:
            self.drawn = 0

        def draw(self, style: object) -> Image:
            self.drawn += 1
            return np.full((256, 256, 3), self.drawn % 256, np.uint8)

    monkeypatch.setattr(drawn, "Generator", Few)
    monkeypatch.setattr(drawn, "base_style", lambda generator, number: number)
    monkeypatch.setattr(drawn, "posed", lambda style, pose, ways: None)
    yaws = iter([*np.linspace(-20, 40, 47), *np.linspace(-30, 30, 47)])
    heads = drawn.DrawnHeads(Path(), lambda image: (face(0.0),), lambda found: float(next(yaws)))
    head, _ = heads.sitter(Part.HELD_OUT, 0, 1)
    assert next(yaws, None) is None  # the first was passed over
    assert head.apart_px == films.APART_PX[0]


def quiet(part: str, done: int, total: int) -> None:
    """No bars."""


@pytest.mark.slow
def test_at_the_real_door_a_head_answers_and_photographs_do_not() -> None:
    pipeline = open_pipeline(ModelSection(), load())
    rows = {}
    castings: dict[str, tuple[asked.Casting, bool]] = {
        "resident": (asked.resident, False), "exchanged": (asked.exchanged_photographs, True),
        "dissolved": (asked.dissolved_photographs, True),
    }  # fmt: skip
    for name, (casting, is_attack) in castings.items():
        rows[name] = attack_eval.Row("asked", name, is_attack)
        for index in (0, 4):
            attack_eval._ask(rows[name], pipeline, casting, *films.cast(Part.DEVELOPMENT, index, 1))
    assert rows["exchanged"].passed == rows["dissolved"].passed == {"challenge": 0, "opens asked": 0}
    assert rows["resident"].passed["challenge"] >= 1
