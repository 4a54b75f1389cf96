"""The second camera of a pair in `janusctl setup`: by answers, and by somebody who is asked.

Cameras are fakes, one of them lit by the lamp's line of a chip that is a folder. Not tested here: real
cameras, whose exposure follows the light, and a real lamp.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from setup_kit import device, files, setup, show

from janusd import config
from janusd.cli.setup import view
from janusd.cli.setup.answers import Answers, CameraAnswer, LinesAnswer
from janusd.cli.setup.memory import Memory
from janusd.cli.setup.person import Person
from janusd.cli.setup.place import Place
from janusd.cli.setup.scout import Scout
from janusd.cli.setup.step import Desk
from janusd.cli.setup.steps.nir import NirStep
from janusd.cli.setup.systemd import Systemd
from janusd.config import CameraSection
from janusd.core.types import Box, Face, Image
from janusd.errors import ConfigError
from janusd.ports import Camera
from janusd.survey import Surveyor, _reply
from janusd_hw.camera_fake import FakeCamera
from janusd_hw.camera_pair import PairCamera
from janusd_hw.fake_gpiod import FakeChip

LINE = 13
WIRED = "[lines]\nrelay = 11\nled_nir = 33\n"


class ByLight:
    """A detector that finds a face wherever there is light."""

    name = "by light"

    def detect(self, image: Image) -> tuple[Face, ...]:
        return (Face(Box(40, 20, 90, 90), np.zeros((5, 2), np.float32), 0.9),) if image.mean() > 60 else ()


class Pairs:
    """`janusd --discover serve` in this process, before a pair whose infrared half sees by the lamp."""

    def __init__(self, root: Path, *, lit_by_itself: bool = False) -> None:
        self.chip, self.by_itself = FakeChip(root / "dev/gpiochip0", "falls"), lit_by_itself
        self.surveyor = Surveyor(self.open, ByLight)

    def open(self, section: CameraSection) -> Camera:
        infrared = FakeCamera(lit_by=lambda: self.by_itself or bool(self.chip.level(LINE)))
        return PairCamera(FakeCamera(), infrared)

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(json.dumps(_reply(self.surveyor, json.dumps(request))))
        return reply

    def close(self) -> None:
        self.surveyor.close()


class Typing(Person):
    """Somebody whose answers are known before the questions."""

    def __init__(self, *answers: str) -> None:
        super().__init__(is_asked=True)
        self.answers = list(answers)

    def _line(self) -> str:
        return self.answers.pop(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A device with two cameras."""
    root = device(tmp_path / "device")
    (root / "dev/video1").mkdir()
    return root


@pytest.fixture
def pairs(root: Path) -> Iterator[Pairs]:
    made = Pairs(root)
    yield made
    made.close()


def desk(root: Path, line: Pairs, *answers: str, lines: LinesAnswer | None = None) -> Desk:
    place, scout = Place(root), Scout(str(root), line)
    camera = CameraAnswer("replay", path=str(root / "dev/video0"), follow=True)
    return Desk(
        place=place, person=Typing(*answers), scout=scout, systemd=Systemd(place),
        memory=Memory(place.memory), found=scout.look(), answers=Answers(camera=camera, lines=lines),
        janus={}, latch={},
    )  # fmt: skip


def written(root: Path) -> config.Config:
    return config.load(root / "etc/janus/janus.toml")


def test_answers_make_a_pair_that_loads_and_take_it_away_again(root: Path) -> None:
    pair = f'[nir]\ndevice = "{root / "dev/video1"}"\nlamp = "latchd"\n'
    assert setup(root, "--skip", "keys", answers=WIRED + pair) == 0
    made = written(root)
    assert (made.camera.nir_device, made.camera.nir_lamp) == (str(root / "dev/video1"), "latchd")
    assert made.attack.nir
    assert "led_nir = { line = 13, active_low = false } # pin 33" in " ".join(
        files(root)["latch.toml"].split()
    )
    assert setup(root, "--skip", "keys", answers=WIRED) == 0  # nothing said of it: it stays
    assert written(root).camera.nir_device
    assert setup(root, "--skip", "keys", answers=WIRED + "[nir]\n") == 0
    assert (written(root).camera.nir_device, written(root).attack.nir) == ("", False)
    assert "nir_" not in files(root)["janus.toml"]


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ('[nir]\ndevice = "ROOT/dev/video0"', "nir.device: must be another camera than the first"),
        (
            '[camera]\ndriver = "picamera2"\ndevice = "0"\n[nir]\ndevice = "1"',
            "nir.device: there is no second camera 1 here; found: none",
        ),
        ('[nir]\ndevice = "ROOT/dev/video1"\nlamp = "latchd"', "nir.lamp: latchd needs led_nir in [lines]"),
    ],
)
def test_a_pair_that_cannot_be_is_refused_before_anything_is_touched(
    root: Path, answers: str, said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        setup(root, "--skip", "keys", answers=answers.replace("ROOT", str(root)))
    assert said in str(refused.value)
    assert not (root / "etc/janus").exists()


def test_nothing_is_asked_where_there_is_one_camera(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = device(tmp_path / "one")
    asked = desk(root, Pairs(root))
    NirStep().ask(asked)
    assert asked.answers.nir is None
    assert NirStep().settings(asked) == []
    assert "There is no second camera" in capsys.readouterr().out


def test_somebody_is_shown_that_the_lamp_lights_and_the_face_is_there(
    root: Path, pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = desk(root, pairs, "2", "", "", "", lines=LinesAnswer(relay=11, led_nir=33))
    NirStep().ask(asked)
    said = " ".join(capsys.readouterr().out.split())
    assert "Infrared: a face, 90 pixels wide." in said
    assert "Both see the same moment" in said
    assert "The lamp lights:" in said
    answer = asked.answers.nir
    assert answer is not None
    assert (answer.device, answer.lamp, answer.required) == (str(root / "dev/video1"), "latchd", True)
    assert pairs.chip.level(LINE) == 0  # put out afterwards
    assert len(pairs.chip.timeline(LINE)) == 4  # on, off, on, off
    assert not pairs.chip.is_held(LINE)


def test_a_lamp_that_lights_nothing_is_said_and_not_taken_by_enter_alone(
    root: Path, pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs.by_itself = True  # the sun, or another lamp: what ours does is not seen
    asked = desk(root, pairs, "2", "", "", "1", lines=LinesAnswer(relay=11, led_nir=33))
    NirStep().ask(asked)
    said = " ".join(capsys.readouterr().out.split())
    assert "The lamp lights nothing" in said
    assert "try again at dusk" in said
    assert asked.answers.nir is not None
    assert not asked.answers.nir.device


def test_a_line_that_somebody_else_holds_is_told(
    root: Path, pairs: Pairs, capsys: pytest.CaptureFixture[str]
) -> None:
    held = pairs.chip.hold(LINE)
    asked = desk(root, pairs, "2", "", "y", "n", lines=LinesAnswer(relay=11, led_nir=33))
    NirStep().ask(asked)
    said = " ".join(capsys.readouterr().out.split())
    assert "The lamp: led_nir" in said
    assert "another process holds it" in said
    assert "Infrared: no face is found there, and one in colour." in said
    assert asked.answers.nir is not None
    assert not asked.answers.nir.required
    assert held >= 0


def test_both_pictures_are_drawn_as_in_a_mirror_colour_left(root: Path, pairs: Pairs) -> None:
    pairs.by_itself = True
    camera: dict[str, object] = {"driver": "replay", "path": "x", "nir_device": "y"}
    pair = Scout(str(root), pairs).pair(camera, "", "front", 8, 6)
    drawn = view.side_by_side(pair)
    assert (drawn.width, drawn.height) == (16, 6)
    red, green, blue = drawn.at(12, 5)
    assert red == green == blue  # infrared has no colours
    assert any(len(set(drawn.at(x, y))) > 1 for x in range(8) for y in range(6))


def test_a_latch_toml_without_the_lamp_is_found_wrong_beside_a_janus_toml_that_wants_it(root: Path) -> None:
    scout = Scout(str(root), Pairs(root))
    janus = '[camera]\nnir_device = "/dev/video2"\nnir_lamp = "latchd"\n[latch]\ndriver = "latchd"\n'
    assert scout.problems(janus, "[door.front]\nrelay = 17\nhold_max_s = 10\nled_nir = 13") == []
    (problem,) = scout.problems(janus, "[door.front]\nrelay = 17")
    assert problem == "janus.toml: camera.nir_lamp: 'front' of latch.toml has no led_nir"


@pytest.mark.slow
def test_the_step_at_a_terminal_shows_both_live_pictures_of_the_real_process(root: Path) -> None:
    pytest.importorskip("pyte")
    from typist import Terminal  # noqa: PLC0415 - it imports pyte

    assert setup(root, "--skip", "keys", answers="") == 0
    show(root, "ada", "enrol-00")
    (root / "dev/video1/0000.webp").write_bytes((root / "dev/video0/0000.webp").read_bytes())
    command = [sys.executable, "-m", "janusd.cli.main", "setup", "--root", str(root), "--step", "nir"]
    with Terminal(command) as terminal:
        terminal.answer("Which one has no infrared filter", "?")
        terminal.see("screens are dark to it")
        terminal.answer("Which one has no infrared filter", "2")
        screen = terminal.see("Infrared: a face")
        assert screen.count("▀") + screen.count("▄") > 200  # pictures, of half blocks
        terminal.type("\r")
        terminal.answer("Take this pair?")
        assert "Both see the same moment" in " ".join(terminal.all.split())
        terminal.answer("Let nobody in")
        terminal.answer("Do that?", "y")
        assert terminal.end() == 0
        assert all(len(line) <= 80 for seen in terminal.screens for line in seen.splitlines())
    assert written(root).camera.nir_device == str(root / "dev/video1")
    assert written(root).attack.nir
