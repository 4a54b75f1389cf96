"""A small picture in memory: enough to mirror it, scale it and draw on it."""

from __future__ import annotations

import math
from collections.abc import Iterable

Colour = tuple[int, int, int]
"""Red, green, blue, 0..255."""


class Bitmap:
    """Width x height pixels, three bytes each, rows from the top."""

    def __init__(self, width: int, height: int, pixels: bytes | bytearray | None = None) -> None:
        """Black without `pixels`. Raises ValueError when they are not as many as that."""
        self.width, self.height = width, height
        self.pixels = bytearray(3 * width * height) if pixels is None else bytearray(pixels)
        if len(self.pixels) != 3 * width * height:
            raise ValueError(f"{len(self.pixels)} bytes are no {width} x {height} pixels")

    def at(self, x: int, y: int) -> Colour:
        """One pixel."""
        i = 3 * (y * self.width + x)
        return self.pixels[i], self.pixels[i + 1], self.pixels[i + 2]

    def put(self, x: int, y: int, colour: Colour) -> None:
        """Colour one pixel; outside of the picture nothing happens."""
        if 0 <= x < self.width and 0 <= y < self.height:
            i = 3 * (y * self.width + x)
            self.pixels[i : i + 3] = bytes(colour)

    def mirrored(self) -> Bitmap:
        """As in a mirror: who turns to their left moves to the left of the screen."""
        mirror = Bitmap(self.width, self.height)
        row = 3 * self.width
        for channel in range(3):
            for y in range(self.height):
                line = self.pixels[y * row + channel : (y + 1) * row : 3]
                mirror.pixels[y * row + channel : (y + 1) * row : 3] = line[::-1]
        return mirror

    def scaled(self, width: int, height: int) -> Bitmap:
        """The nearest pixels, in another size."""
        if (width, height) == (self.width, self.height):
            return self
        scaled = Bitmap(width, height)
        columns = [3 * (x * self.width // width) for x in range(width)]
        for y in range(height):
            start = 3 * self.width * (y * self.height // height)
            line = b"".join(self.pixels[start + c : start + c + 3] for c in columns)
            scaled.pixels[3 * width * y : 3 * width * (y + 1)] = line
        return scaled

    def box(self, left: float, top: float, width: float, height: float, colour: Colour) -> None:
        """The corners of a box, given in parts of the picture."""
        x0, y0 = round(left * self.width), round(top * self.height)
        x1, y1 = round((left + width) * self.width), round((top + height) * self.height)
        arm = max(2, (x1 - x0) // 5)
        for x in (*range(x0, x0 + arm), *range(x1 - arm + 1, x1 + 1)):
            self.put(x, y0, colour)
            self.put(x, y1, colour)
        for y in (*range(y0, y0 + arm), *range(y1 - arm + 1, y1 + 1)):
            self.put(x0, y, colour)
            self.put(x1, y, colour)

    def arc(self, radius: float, degrees: Iterable[int], colour: Colour, thickness: int = 1) -> None:
        """Part of a circle around the middle; `radius` in parts of the height, 0 degrees is up, clockwise."""
        middle_x, middle_y = (self.width - 1) / 2, (self.height - 1) / 2
        for degree in degrees:
            sine, cosine = math.sin(math.radians(degree)), math.cos(math.radians(degree))
            for ring in range(thickness):
                r = radius * self.height - ring
                self.put(round(middle_x + r * sine), round(middle_y - r * cosine), colour)
