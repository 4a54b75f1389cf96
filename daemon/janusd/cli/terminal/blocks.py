"""Half blocks: each character cell shows two pixels, one as its foreground, one as its background.

Only cells that changed are sent, those that changed most first, until the allowance is used up; the rest
follow with the next frames. Sensor noise changes every pixel a little in every frame and is not sent.
"""

from __future__ import annotations

from janusd.cli.terminal.bitmap import Bitmap, Colour

UPPER_HALF = "\u2580"
RESET = "\x1b[0m"

Cell = tuple[Colour, Colour]
"""The upper and the lower pixel."""

_NOISE = 10
"""A cell whose channels changed by no more than this stays as it is."""
_ALIKE = 5
"""Neighbours whose channels differ by no more than this share their colour; less than `_NOISE`."""
_CELL_BYTES = 48
"""The most that one cell can take: place, both colours in full, the block."""


class Blocks:
    """Remembers what the terminal shows, and gives the bytes that bring it up to date."""

    def __init__(self, *, true_colour: bool) -> None:
        self._true_colour = true_colour
        self._shown: dict[tuple[int, int], Cell] = {}

    def forget(self) -> None:
        """The screen was cleared: everything is to be sent anew."""
        self._shown.clear()

    def update(self, bitmap: Bitmap, row: int, column: int, allowance: int) -> str:
        """What to write so that the bitmap stands at that row and column (from 1), within so many bytes."""
        changed = self._changed(bitmap)
        changed.sort(key=lambda one: -one[0])
        out, at = "", 0
        while at < len(changed):
            room = (allowance - len(out.encode()) - len(RESET)) // _CELL_BYTES
            if room <= 0:
                break
            batch = sorted(changed[at : at + room], key=lambda one: (one[1], one[2]))
            at += room
            out += self._write(batch, row, column)
        return out + RESET if out else ""

    def _changed(self, bitmap: Bitmap) -> list[tuple[int, int, int, Cell]]:
        """Cells that look otherwise now: (how much, row, column, cell); new ones the middle first."""
        changed: list[tuple[int, int, int, Cell]] = []
        pixels, width, rows = bitmap.pixels, bitmap.width, bitmap.height // 2
        for r in range(rows):
            upper, lower = 6 * r * width, 3 * (2 * r + 1) * width
            for c in range(width):
                i, j = upper + 3 * c, lower + 3 * c
                cell = (
                    (pixels[i], pixels[i + 1], pixels[i + 2]), (pixels[j], pixels[j + 1], pixels[j + 2])
                )  # fmt: skip
                shown = self._shown.get((r, c))
                if shown is None:
                    changed.append((1000 - abs(2 * r - rows) - abs(2 * c - width), r, c, cell))
                elif shown != cell and (change := _change(shown, cell)) > _NOISE:
                    changed.append((change, r, c, cell))
        return changed

    def _write(self, cells: list[tuple[int, int, int, Cell]], row: int, column: int) -> str:
        """These cells, in the order of their places. A colour that is nearly the last one is the last one."""
        out: list[str] = []
        front: Colour | None = None
        back: Colour | None = None
        place = None
        for _, r, c, (upper, lower) in cells:
            if place != (r, c):
                out.append(f"\x1b[{row + r};{column + c}H")
            place = (r, c + 1)
            colours = []
            if front is None or not _is_near(upper, front):
                colours.append(f"38;{self._colour(upper)}")
                front = upper
            if back is None or not _is_near(lower, back):
                colours.append(f"48;{self._colour(lower)}")
                back = lower
            if colours:
                out.append(f"\x1b[{';'.join(colours)}m")
            out.append(UPPER_HALF)
            self._shown[r, c] = (front, back)
        return "".join(out)

    def _colour(self, colour: Colour) -> str:
        if self._true_colour:
            return f"2;{colour[0]};{colour[1]};{colour[2]}"
        return f"5;{nearest_of_256(colour)}"


def nearest_of_256(colour: Colour) -> int:
    """The nearest of the 6 x 6 x 6 colours and 24 greys that xterm's 256 colours have."""
    red, green, blue = colour
    if max(colour) - min(colour) < 12:
        grey = (red + green + blue) // 3
        return 16 if grey < 4 else 231 if grey > 246 else 232 + min(23, (grey - 3) // 10)
    steps = [0 if value < 48 else 1 if value < 115 else (value - 35) // 40 for value in colour]
    return 16 + 36 * steps[0] + 6 * steps[1] + steps[2]


def _change(a: Cell, b: Cell) -> int:
    (a1, a2, a3), (a4, a5, a6) = a
    (b1, b2, b3), (b4, b5, b6) = b
    return max(abs(a1 - b1), abs(a2 - b2), abs(a3 - b3), abs(a4 - b4), abs(a5 - b5), abs(a6 - b6))


def _is_near(a: Colour, b: Colour) -> bool:
    return abs(a[0] - b[0]) <= _ALIKE and abs(a[1] - b[1]) <= _ALIKE and abs(a[2] - b[2]) <= _ALIKE
