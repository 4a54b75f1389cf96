"""A guided enrolment over a line of 56 kbit/s: hints come in time, whatever the picture takes.

The line is simulated with a clock of its own: what is written waits in its buffers, as behind an sshd, and
leaves them at 7,000 bytes a second; the terminal at its end answers when a question gets there.
"""

from __future__ import annotations

import io
import re

import numpy as np
import pytest

from janusd.cli.guided import Progress
from janusd.cli.remote import Shown
from janusd.cli.stages import ScreenStage
from janusd.cli.terminal.ability import Way
from janusd.cli.terminal.line import ANSWER, QUESTION, Line
from janusd.cli.terminal.screen import Keys, Screen
from janusd.core.side import Side
from janusd.door import Scene

MODEM = 7_000
FPS = 8


class SlowLine(io.StringIO):
    """The line, and what the terminal at its end has seen, with the time at which each letter came."""

    encoding = "utf-8"

    def __init__(self, bytes_a_second: float, way_s: float, *, answers: bool = True) -> None:
        super().__init__()
        self.now_s = 0.0
        self.arrived: list[tuple[float, bytes]] = []
        self.answers_due: list[float] = []
        self._rate, self._way_s, self._answers = bytes_a_second, way_s, answers
        self._free_s = 0.0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for part in re.split(f"(?<={re.escape(QUESTION)})", text):
            raw = part.encode()
            self._free_s = max(self._free_s, self.now_s) + len(raw) / self._rate
            self.arrived.append((self._free_s + self._way_s, raw))
            if part.endswith(QUESTION) and self._answers:
                self.answers_due.append(self._free_s + 2 * self._way_s)
        return len(text)

    @property
    def waits_s(self) -> float:
        """How long what is written now takes to leave the buffers."""
        return max(0.0, self._free_s - self.now_s)

    def came_s(self, words: str) -> float:
        """When these words stood on the screen."""
        return next(at_s for at_s, raw in self.arrived if words.encode() in raw)


class Typed(Keys):
    """Nobody presses anything: only the terminal answers."""

    def __init__(self, line: SlowLine) -> None:
        super().__init__(-1)
        self._line = line

    def pressed(self, within_s: float = 0.0) -> str:
        due = [at_s for at_s in self._line.answers_due if at_s <= self._line.now_s]
        self._line.answers_due = [at_s for at_s in self._line.answers_due if at_s > self._line.now_s]
        return ANSWER * len(due)


def enrol(line: SlowLine, way: Way, *, adapts: bool = True, seconds: int = 12) -> tuple[ScreenStage, float]:
    """Enrol somebody who moves all the time, with another hint each second; the latest any hint came."""
    stage = ScreenStage(
        Screen(line), Typed(line), way, true_colour=True, now_s=lambda: line.now_s,
        line=Line(100_000) if adapts else None,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    progress = Progress("Ada", side=Side.LEFT)
    written: dict[str, float] = {}
    for number in range(seconds * FPS):
        line.now_s = number / FPS
        hint = f"hint number {number // FPS} of many."
        written.setdefault(hint, line.now_s)
        width, height = stage.picture_size
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8).tobytes()
        scene = Scene(number, [0.4, 0.2, 0.2, 0.3], "wait", hint, 0.0, False, [], 0, 5)
        stage.show(Shown(scene, width, height, pixels), progress)
        stage.skips(progress)
    return stage, max(line.came_s(hint) - at_s for hint, at_s in written.items())


@pytest.mark.parametrize("way", [Way.BLOCKS, Way.KITTY, Way.SIXEL])
def test_over_56_kbit_a_second_hints_come_within_a_second(way: Way) -> None:
    line = SlowLine(MODEM, 0.1)
    stage, latest_s = enrol(line, way)
    assert latest_s < 1.0
    assert line.waits_s < 1.0
    assert stage.frames > 8, "the picture moves all the same"
    assert stage.way is Way.BLOCKS


def test_without_asking_they_would_come_many_seconds_late() -> None:
    _, latest_s = enrol(SlowLine(MODEM, 0.1), Way.BLOCKS, adapts=False)
    assert latest_s > 5


@pytest.mark.parametrize("way", [Way.BLOCKS, Way.KITTY, Way.SIXEL])
def test_over_a_fast_line_the_best_picture_is_shown_after_a_moment(way: Way) -> None:
    line = SlowLine(10e6, 0.02)
    stage, latest_s = enrol(line, way, seconds=4)
    assert stage.way is way
    assert latest_s < 0.2


def test_a_fast_line_round_half_the_world_is_no_slow_line() -> None:
    stage, latest_s = enrol(SlowLine(10e6, 0.3), Way.BLOCKS, seconds=12)
    assert stage._line is not None
    assert stage._line.bytes_a_second == 100_000
    assert latest_s < 0.5


def test_a_terminal_that_never_answers_is_asked_no_more() -> None:
    line = SlowLine(10e6, 0.02, answers=False)
    stage, _ = enrol(line, Way.BLOCKS, seconds=6)
    asked = [at_s for at_s, raw in line.arrived if raw.endswith(QUESTION.encode())]
    assert len(asked) == 1
    assert stage.frames > 20


def test_no_second_carries_more_than_was_allowed() -> None:
    line = SlowLine(10e6, 0.02)
    enrol(line, Way.BLOCKS, seconds=6)
    for start_s, _ in line.arrived:
        assert sum(len(raw) for at_s, raw in line.arrived if start_s <= at_s < start_s + 1) <= 102_000
