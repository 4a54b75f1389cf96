"""Damage SQLite files the way a thief with an editor would."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def run_sql(path: Path, script: str) -> None:
    """Run SQL on a closed database; the function `flip(blob, bit)` is there to flip a bit of a blob."""
    connection = sqlite3.connect(path)
    try:
        connection.create_function("flip", 2, flip)
        connection.executescript(script)
    finally:
        connection.close()


def flip(blob: bytes, bit: int) -> bytes:
    """The blob with one bit the other way round; `bit` counts on from the start when past the end."""
    changed = bytearray(blob)
    bit %= 8 * len(changed)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
