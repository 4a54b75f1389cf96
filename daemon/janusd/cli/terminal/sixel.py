"""A picture as sixels (DEC STD 070, chapter 9): bands of six rows, one colour after the other.

Sixteen greys, each pixel doubled: more would not fit through a slow line several times a second.
"""

from __future__ import annotations

from itertools import groupby

from janusd.cli.terminal.bitmap import Bitmap

GREYS = 16
_ZOOM = 2


def show(bitmap: Bitmap, row: int, column: int) -> str:
    """What to write so that the bitmap stands at that row and column (from 1)."""
    return f"\x1b[{row};{column}H" + encode(bitmap)


def encode(bitmap: Bitmap) -> str:
    """The bitmap as one sixel sequence, without a place."""
    width, height = bitmap.width * _ZOOM, bitmap.height * _ZOOM
    pixels = bitmap.pixels
    greys = bytes(
        (77 * pixels[i] + 151 * pixels[i + 1] + 28 * pixels[i + 2]) * (GREYS - 1) // 65280
        for i in range(0, len(pixels), 3)
    )
    rows = [
        bytes(grey for grey in greys[y * bitmap.width : (y + 1) * bitmap.width] for _ in range(_ZOOM))
        for y in range(bitmap.height)
        for _ in range(_ZOOM)
    ]
    palette = "".join(f"#{g};2;{p};{p};{p}" for g in range(GREYS) for p in [round(100 * g / (GREYS - 1))])
    bands = (_band(rows[top : top + 6], width) for top in range(0, height, 6))
    return f'\x1bP7;1;q"1;1;{width};{height}{palette}{"-".join(bands)}\x1b\\'


def _band(rows: list[bytes], width: int) -> str:
    """Up to six rows: for each grey in them the columns it stands in."""
    masks: dict[int, bytearray] = {}
    for bit, row in enumerate(rows):
        for x, grey in enumerate(row):
            if (mask := masks.get(grey)) is None:
                mask = masks[grey] = bytearray(width)
            mask[x] |= 1 << bit
    return "$".join(f"#{grey}{_runs(mask)}" for grey, mask in sorted(masks.items()))


def _runs(mask: bytearray) -> str:
    out = []
    for bits, run in groupby(mask.rstrip(b"\0")):
        count, sign = sum(1 for _ in run), chr(63 + bits)
        out.append(f"!{count}{sign}" if count > 3 else sign * count)
    return "".join(out)
