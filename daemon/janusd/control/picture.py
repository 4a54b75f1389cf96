"""Pictures at the socket: an encoded one from another process -> Image, and a small one of ours to show.

Layout: base64 (RFC 4648, section 4) of one JPEG, PNG or WebP file. Nothing else reaches a decoder: OpenCV
would also take formats that nobody needs at a door and that have had more holes.

Trust boundary: the bytes are anybody's. The size stated in the header is read first, by the few lines here,
so that a small file cannot ask for a picture that fills the memory.

What goes out is small on purpose, and either JPEG or bare pixels: `janusctl` holds no decoder, and a terminal
wants pixels.
"""

from __future__ import annotations

import base64
import binascii
from typing import cast

import cv2
import numpy as np

from janusd.core.types import Image
from janusd.errors import EnrolmentRefused

MAX_PIXELS = 25_000_000
"""Today's phones take 12 to 24 million pixels; decoded, 25 million are 75 MB."""

HALVED_ABOVE_PIXELS = 8_000_000
"""Larger pictures are decoded at half their size (in the DCT domain for JPEG): enough for one face."""

MAX_SHOWN_PIXELS = 160 * 120
"""Of a picture that is shown: 57.6 kB of bare pixels, enough to see whether the face is in it."""
_JPEG_QUALITY = 70

_MIN_SIDE_PX = 16
_PNG = b"\x89PNG\r\n\x1a\n"


class UnreadablePicture(EnrolmentRefused):
    """These bytes are no picture that can be taken as a sample."""


def decode_picture(text: str) -> Image:
    """The picture, upright as its EXIF says. Raises UnreadablePicture."""
    try:
        encoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as e:
        raise UnreadablePicture("the picture is not base64") from e
    width, height = picture_size(encoded)
    if width * height > MAX_PIXELS:
        raise UnreadablePicture(
            f"the picture has {width} x {height} pixels",
            f"scale it down to {MAX_PIXELS // 1_000_000} million pixels or fewer",
        )
    if min(width, height) < _MIN_SIDE_PX:
        raise UnreadablePicture(f"the picture has only {width} x {height} pixels")
    halved = width * height > HALVED_ABOVE_PIXELS
    try:
        decoded = cv2.imdecode(
            np.frombuffer(encoded, np.uint8), cv2.IMREAD_REDUCED_COLOR_2 if halved else cv2.IMREAD_COLOR
        )
    except cv2.error as e:
        raise UnreadablePicture("the picture is damaged", "open and save it anew, then try again") from e
    if decoded is None:
        raise UnreadablePicture("the picture is damaged", "open and save it anew, then try again")
    return cast(Image, cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded))


def fitting(image: Image, columns: int, rows: int) -> tuple[int, int]:
    """Width and height of the image when it is scaled to lie within that many columns and rows."""
    height, width = image.shape[:2]
    scale = min(columns / width, rows / height, 1.0)
    return max(1, round(width * scale)), max(1, round(height * scale))


def encode_picture(image: Image, columns: int, rows: int, encoding: str) -> tuple[int, int, str]:
    """Width, height and base64 text of a small picture within that many columns and rows.

    `encoding` is "jpeg", or "rgb" for bare pixels, three bytes each, rows from the top.
    """
    size = fitting(image, columns, rows)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    raw = small.tobytes()
    if encoding == "jpeg":
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        raw = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
    return *size, base64.b64encode(raw).decode("ascii")


def picture_size(encoded: bytes) -> tuple[int, int]:
    """Width and height in pixels that a JPEG, PNG or WebP file states. Raises UnreadablePicture."""
    size = None
    if encoded.startswith(b"\xff\xd8\xff"):
        size = _jpeg_size(encoded)
    elif encoded.startswith(_PNG) and encoded[12:16] == b"IHDR" and len(encoded) >= 24:
        size = int.from_bytes(encoded[16:20]), int.from_bytes(encoded[20:24])
    elif encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP" and len(encoded) >= 30:
        size = _webp_size(encoded)
    if size is None:
        raise UnreadablePicture("this is no JPEG, PNG or WebP picture", "convert it to JPEG")
    return size


def _jpeg_size(encoded: bytes) -> tuple[int, int] | None:
    """Walk the marker segments to the frame header (ITU-T T.81, B.1.1.2 and B.2.2)."""
    at = 2
    while at + 4 <= len(encoded) and encoded[at] == 0xFF:
        marker = encoded[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # SOFn; not DHT, JPG, DAC
            header = encoded[at + 5 : at + 9]
            return (int.from_bytes(header[2:]), int.from_bytes(header[:2])) if len(header) == 4 else None
        if marker in (0x00, 0x01, 0xD8, 0xD9, 0xDA) or 0xD0 <= marker <= 0xD7:
            return None  # none of these may stand before the frame header
        at += 2 + int.from_bytes(encoded[at + 2 : at + 4])
    return None


def _webp_size(encoded: bytes) -> tuple[int, int] | None:
    """Read the first chunk (RFC 9649, sections 2.5 to 2.7; RFC 6386, section 9.1)."""
    match encoded[12:16]:
        case b"VP8 " if encoded[23:26] == b"\x9d\x01\x2a":
            width, height = (int.from_bytes(encoded[at : at + 2], "little") & 0x3FFF for at in (26, 28))
            return width, height
        case b"VP8L" if encoded[20] == 0x2F:
            bits = int.from_bytes(encoded[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8X":
            width, height = (1 + int.from_bytes(encoded[at : at + 3], "little") for at in (24, 27))
            return width, height
        case _:
            return None
