"""Where an enrolment is shown: a whole screen with a live picture and a ring, or a line at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from janusd.cli.guided import SKIP_S, Progress
from janusd.cli.remote import Shown
from janusd.cli.terminal import kitty, sixel
from janusd.cli.terminal.ability import Way
from janusd.cli.terminal.bitmap import Bitmap, Colour
from janusd.cli.terminal.blocks import Blocks
from janusd.cli.terminal.line import Line
from janusd.cli.terminal.pace import Pace
from janusd.cli.terminal.screen import Keys, Screen
from janusd.core.side import Side
from janusd.escape import escape
from janusd.language import ENGLISH, Words

BYTES_A_SECOND = 100_000
_LARGEST = (112, 84)
"""Pixels of a live picture as blocks: a face is well seen in it, and all of it can change in a second."""
_LARGEST_KITTY = (160, 120)
_LARGEST_ROWS = 30
"""Of cells, where the terminal scales the picture."""
_LARGEST_SIXEL = (144, 108)
_NEEDED = {Way.TEXT: 0, Way.BLOCKS: 0, Way.KITTY: 30_000, Way.SIXEL: 80_000}
"""Bytes a second without which whole pictures, of 8 and of 40 KB, would hold up the hints."""
_TEXT_ROWS = 6
"""Rows that are not picture: title, gap, hint, bar, sides, keys."""
_YES = frozenset({"y", "yes", "g", "j", "ja", "o", "oui", "s", "si", "sí"})
"""In any of our languages: whoever reads one may answer in another."""
_STEADY_S = 0.6
"""A hint that comes and goes within this is not printed where each takes a line."""
_SKIP_HINT_S = 10.0

_DONE: Colour = (80, 220, 120)
_OPEN: Colour = (120, 120, 130)
_ASKED: Colour = (255, 210, 70)
_TROUBLE: Colour = (255, 120, 90)

_ARCS = {
    Side.UP: range(-40, 41),
    Side.RIGHT: range(50, 131),
    Side.DOWN: range(140, 221),
    Side.LEFT: range(230, 311),
}
"""Where on the ring a side is, in a mirror: their right is the screen's right."""
_RADIUS = 0.47


def _label(say: Words, covered: str) -> str:
    """A side with its look, in words: what the daemon counts as "left with glasses"."""
    side, _, look = covered.partition(" ")
    return f"{say(side)}, {say(look)}" if look else say(side)


class LineStage:
    """Hints, one a line: for pipes, logs, and terminals that can show no more."""

    picture_size = (0, 0)

    def __init__(
        self,
        out: TextIO,
        ask: Callable[[str], str] | None,
        now_s: Callable[[], float] = time.monotonic,
        say: Words = ENGLISH,
    ) -> None:
        """`ask` puts a question and gives the answer; None where nobody is there to answer."""
        self._out = out
        self._ask = ask
        self._say = say
        self._now_s = now_s
        self._hint = self._told = ""
        self._hint_s = 0.0
        self._is_warned = False

    @property
    def can_ask(self) -> bool:
        """Whether there is somebody to answer."""
        return self._ask is not None

    def show(self, shown: Shown, progress: Progress) -> None:
        """Print the hint when it has lasted."""
        hint, now_s = shown.scene.hint, self._now_s()
        if hint != self._hint:
            self._hint, self._hint_s = hint, now_s
        if hint and hint != self._told and now_s - self._hint_s >= _STEADY_S:
            self._told = hint
            self._print(f"  {escape(self._say.hint(hint), 200)}")

    def took(self, side: str, progress: Progress) -> None:
        """Print what was taken."""
        self._told = ""
        said = self._say(
            "taken: {side}, {samples} of {wanted}",
            side=_label(self._say, side), samples=progress.samples, wanted=progress.wanted,
        )  # fmt: skip
        self._print(f"  {said}")

    def skips(self, progress: Progress) -> bool:
        """Nobody can press a key here: a side that will not come is left out. Ctrl-C stops."""
        if not progress.samples or progress.waiting_s < SKIP_S:
            return False
        self._print(f"  {self._say('left out: {side}', side=_label(self._say, str(progress.side)))}")
        return True

    def wants_other_look(self) -> bool:
        """Ask in a line."""
        assert self._ask is not None
        question = self._say(
            "Do they wear glasses at times? Put them on, or off, and type y; Enter goes on without: "
        )
        return self._ask(question).strip().lower() in _YES

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)


class ScreenStage:
    """A whole screen: the picture as in a mirror, a ring that fills, one hint."""

    def __init__(
        self,
        screen: Screen,
        keys: Keys,
        way: Way,
        *,
        true_colour: bool,
        bytes_a_second: int = BYTES_A_SECOND,
        now_s: Callable[[], float] = time.monotonic,
        say: Words = ENGLISH,
        line: Line | None = None,
    ) -> None:
        """`way` is how pictures are shown; not as text. `line` finds out how fast the line is, if given."""
        self._screen = screen
        self._keys = keys
        self._way = way
        self._say = say
        self._blocks = Blocks(true_colour=true_colour)
        self._line = line
        self._pace = Pace(bytes_a_second if line is None else line.bytes_a_second, now_s())
        self._now_s = now_s
        self._sent = screen.sent
        self._typed = ""
        self._way_before = self.way
        self.frames = 0
        """How many pictures were sent, whole or in part."""

    can_ask = True

    @property
    def way(self) -> Way:
        """How pictures are shown now: as blocks, which come in parts, until the line takes whole ones."""
        needed = _NEEDED[self._way]
        return self._way if self._line is None or self._line.bytes_a_second >= needed else Way.BLOCKS

    @property
    def picture_size(self) -> tuple[int, int]:
        """What fits above the text."""
        cells = self._cells
        match self.way:
            case Way.KITTY:
                return _LARGEST_KITTY
            case Way.SIXEL:
                return min(_LARGEST_SIXEL[0], 4 * cells[0]), min(_LARGEST_SIXEL[1], 6 * cells[1])
            case _:
                return min(_LARGEST[0], cells[0]), min(_LARGEST[1], 2 * cells[1])

    def show(self, shown: Shown, progress: Progress) -> None:
        """Show a frame: the text first, then as much of the picture as the line takes."""
        if self._screen.take_resize():
            self._blocks.forget()
        if self.way is not self._way_before:
            self._way_before = self.way
            self._screen.clear()
            self._blocks.forget()
        self._draw_text(shown, progress)
        if shown.pixels:
            self._draw_picture(shown, progress)

    def took(self, side: str, progress: Progress) -> None:
        """Say it where the hint stands; the bell is for whoever looks at the camera."""
        self._screen.line(
            self._hint_row, f"  {self._say('Good: {side}.', side=_label(self._say, side))}", "1;32"
        )
        self._screen.write("\a")

    def skips(self, progress: Progress) -> bool:
        """Look whether a key was pressed."""
        typed = self._typed + self._keys.pressed()
        self._typed = ""
        if self._line is not None:
            self._line.hear(typed, self._now_s())
        if "q" in typed:
            raise KeyboardInterrupt
        return "s" in typed

    def wants_other_look(self) -> bool:
        """Wait for a key."""
        say, row = self._say, self._hint_row
        self._screen.line(row, f"  {say('Do they wear glasses at times, and not at others?')}", "1")
        self._screen.line(row + 1, f"  {say('Put them on, or take them off, and press g.')}")
        keys = say("g go on with the other look   Enter finish without   q stop")
        self._screen.line(self._screen.rows, f"  {keys}", "2")
        while True:
            typed = self._keys.pressed(within_s=0.5)
            if "q" in typed:
                raise KeyboardInterrupt
            if "g" in typed:
                return True
            if "\r" in typed or "\n" in typed:
                return False

    @property
    def _cells(self) -> tuple[int, int]:
        return self._screen.columns - 2, max(2, self._screen.rows - _TEXT_ROWS)

    @property
    def _hint_row(self) -> int:
        return min(self._screen.rows - 3, 4 + self._picture_rows)

    @property
    def _picture_rows(self) -> int:
        """How many rows of cells a picture of three quarters takes."""
        columns, rows = self._cells
        match self.way:
            case Way.BLOCKS:
                return min(rows, _LARGEST[1] // 2, 3 * columns // 8)
            case _:
                return min(rows, _LARGEST_ROWS)

    def _draw_text(self, shown: Shown, progress: Progress) -> None:
        scene, screen, row, say = shown.scene, self._screen, self._hint_row, self._say
        name = escape(progress.name, 60)
        title = (
            say("Enrolling {name}, {look}", name=name, look=say(progress.look))
            if progress.look
            else say("Enrolling {name}", name=name)
        )
        screen.line(1, f"  {title}", "1")
        style = "1;32" if scene.taken else "1;33" if scene.reason == "wait" else "1;31"
        screen.line(row, f"  {escape(say.hint(scene.hint), 200)}", style)
        width = min(30, screen.columns - 12)
        full = round(scene.steady * width)
        screen.line(row + 1, f"  {'━' * full}{'╌' * (width - full)}", "32" if full else "2")
        signs = "  ".join(f"{self._sign(side, progress)} {say(side.value)}" for side in progress.sides)
        count = say("{samples} of {wanted} samples", samples=progress.samples, wanted=progress.wanted)
        screen.line(row + 2, f"  {signs}   {count}")
        slow = progress.waiting_s > _SKIP_HINT_S
        screen.line(row + 3, f"  {say('s leave this side out   q stop')}", "33" if slow else "2")

    @staticmethod
    def _sign(side: Side, progress: Progress) -> str:
        label = progress.label(side)
        return "●" if label in progress.covered else "-" if label in progress.skipped else "○"

    def _draw_picture(self, shown: Shown, progress: Progress) -> None:
        self._pace.spend(self._screen.sent - self._sent)
        self._sent = self._screen.sent
        if self._line is not None:
            self._pace.limit(self._line.bytes_a_second)
            if not self._line.is_free(self._now_s()):
                return
        allowance = self._pace.allows(self._now_s())
        if allowance <= 0:
            return
        bitmap = Bitmap(shown.width, shown.height, shown.pixels).mirrored()
        self._draw_marks(bitmap, shown, progress)
        cells = self._cells
        match self.way:
            case Way.KITTY:
                rows = min(cells[1], _LARGEST_ROWS)
                columns = min(cells[0], round(2 * rows * bitmap.width / bitmap.height))
                drawn = kitty.show(bitmap, 3, self._left(columns), (columns, rows))
            case Way.SIXEL:
                drawn = sixel.show(bitmap, 3, 3)
            case _:
                width, height = self.picture_size
                bitmap = bitmap.scaled(min(width, bitmap.width), min(height, bitmap.height))
                drawn = self._blocks.update(bitmap, 3, self._left(bitmap.width), allowance)
        if self._line is not None and drawn:
            drawn += self._line.ask(len(drawn), self._now_s())
        self._screen.write(drawn)
        self.frames += 1

    def _left(self, columns: int) -> int:
        return max(2, (self._screen.columns - columns) // 2)

    def _draw_marks(self, bitmap: Bitmap, shown: Shown, progress: Progress) -> None:
        scene = shown.scene
        for side, degrees in _ARCS.items():
            if side in progress.sides:
                self._draw_arc(bitmap, degrees, side, scene.steady, progress)
        if scene.face:
            left, top, width, height = scene.face
            fine = scene.reason in ("wait", "good")
            colour = (
                _TROUBLE if not fine else _DONE if progress.label(Side.FRONT) in progress.covered else _ASKED
            )
            bitmap.box(1 - left - width, top, width, height, colour)

    @staticmethod
    def _draw_arc(bitmap: Bitmap, degrees: range, side: Side, steady: float, progress: Progress) -> None:
        if progress.label(side) in progress.covered:
            bitmap.arc(_RADIUS, degrees, _DONE, 2)
            return
        bitmap.arc(_RADIUS, degrees, _ASKED if progress.side is side else _OPEN)
        if progress.side is side and steady > 0:
            bitmap.arc(_RADIUS, degrees[: round(len(degrees) * steady)], _DONE, 2)
