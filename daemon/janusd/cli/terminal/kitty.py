"""A picture by the kitty graphics protocol: a PNG in base64, scaled by the terminal to so many cells.

https://sw.kovidgoyal.net/kitty/graphics-protocol/: a=T transmits and shows, f=100 is PNG, i and p name image
and placement so that the next frame takes its place, q=2 wants no answer, C=1 leaves the cursor alone.
"""

from __future__ import annotations

import base64
import struct
import zlib

from janusd.cli.terminal.bitmap import Bitmap

_CHUNK = 4096
QUERY = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
"""A terminal that knows the protocol answers `ESC _ G i=31;OK ESC \\`."""
ERASE = "\x1b_Ga=d,d=I,i=7,q=2\x1b\\"

_LEVELS = (6, 7, 5)
"""Steps of red, green and blue: 210 colours, so that a pixel is one byte and a frame some kilobytes."""


def show(bitmap: Bitmap, row: int, column: int, cells: tuple[int, int]) -> str:
    """What to write so that the bitmap fills so many (columns, rows) of cells at that place (from 1)."""
    text = base64.b64encode(png(bitmap)).decode("ascii")
    parts = [text[i : i + _CHUNK] for i in range(0, len(text), _CHUNK)]
    out = [f"\x1b[{row};{column}H"]
    for number, part in enumerate(parts):
        first = f"a=T,f=100,i=7,p=1,q=2,C=1,c={cells[0]},r={cells[1]}," if number == 0 else ""
        out.append(f"\x1b_G{first}m={int(number < len(parts) - 1)};{part}\x1b\\")
    return "".join(out)


def png(bitmap: Bitmap) -> bytes:
    """The bitmap as a PNG of one byte a pixel (ISO/IEC 15948)."""
    width, height = bitmap.width, bitmap.height
    indices = bytearray(width * height)
    weight = 1
    for channel, levels in enumerate(_LEVELS):
        table = bytes(round(value * (levels - 1) / 255) * weight for value in range(256))
        for i, part in enumerate(bitmap.pixels[channel::3].translate(table)):
            indices[i] += part
        weight *= levels
    rows = b"".join(b"\0" + indices[y * width : (y + 1) * width] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", _palette()),
            _chunk(b"IDAT", zlib.compress(rows, 6)),
            _chunk(b"IEND", b""),
        )
    )


def _palette() -> bytes:
    red, green, blue = _LEVELS
    return bytes(
        round(255 * value / (levels - 1))
        for b in range(blue) for g in range(green) for r in range(red)
        for value, levels in ((r, red), (g, green), (b, blue))
    )  # fmt: skip


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
