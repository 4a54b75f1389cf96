"""Somebody is forgotten at a door with a full gallery, over and over, and the time is taken.

All is real but camera and networks: SQLite, anchor, three backups, door log, the gallery in memory. What is
timed is the whole call, to the moment its owner is told; what other programs had of the processor meanwhile
is taken off where the kernel says it, for a busy machine says nothing of this one's work.

Harm: it took longer than a second; a byte of the wrapped key or the record is left in vault, write-ahead log
or a backup; whoever is forgotten is in the gallery still.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import statistics
import time
from pathlib import Path

from janusd.config import parse
from janusd.vault.anchor import FileAnchor
from janusd.vault.format import Record
from janusd.vault.keeper import Keeper, Place
from janusd.vault.keys import KeyRing
from janusd.vault.store import Vault
from support.painted_door import DEVICE, MODEL, QUICK, Rig, anchor_of
from torture.kit import embeddings, new_key
from torture.row import Row, Tick

PEOPLE, SAMPLES, DIMENSIONS = 1000, 5, 256
"""A full gallery, of as many samples and dimensions as the released encoder has."""
LONGEST_S = 1.0
_SCHEDSTAT = Path("/proc/thread-self/schedstat")
_PIECE = 24


def lives(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """Forget so many, one after the other."""
    row, home = Row("forgotten at a door of 1,000"), folder / "janus"
    boxes = _fill(home, seed)
    rig = Rig(home, parse(QUICK))
    lasted = []
    try:
        for number in itertools.islice(boxes, times):
            name, before = f"p{number}", rig.door.status().people
            begun_s, waited_s = time.monotonic(), _waited_s()
            rig.door.forget(name)
            lasted.append(time.monotonic() - begun_s - (_waited_s() - waited_s))
            row.times += 1
            row.went["gone"] += 1
            row.harm["took too long"] += lasted[-1] > LONGEST_S
            row.harm["is matched still"] += rig.door.status().people != before - 1
            row.harm["left bytes on disk"] += _is_left(home, boxes[number])
            tick()
    finally:
        rig.door.close()
    row.harm = +row.harm
    row.note = (
        f"{SAMPLES} samples each, 3 backups: {statistics.median(lasted):.2f} s at the median,"
        f" {max(lasted):.2f} s at most"
    )
    return [row]


def _fill(home: Path, seed: int) -> dict[int, tuple[bytes, bytes]]:
    """Enrol everybody; each one's wrapped key and record, as they lie in the file."""
    key, path, anchor = new_key(home / "key"), home / "vault.db", FileAnchor(anchor_of(home))
    Vault.create(path, key, DEVICE, anchor)
    keeper = Keeper.open(Place(path, KeyRing(key), DEVICE, MODEL, anchor))
    at = "2026-11-22T12:00:00+00:00"
    for first in range(0, PEOPLE, PEOPLE // 4):  # four changes, so that there are three backups
        people = range(first, first + PEOPLE // 4)
        keeper.add_all(
            [Record(f"p{n}", "", at, embeddings(seed * PEOPLE + n, SAMPLES, DIMENSIONS)) for n in people]
        )
    keeper.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT wrapped_key, record FROM person ORDER BY number").fetchall()
    return dict(enumerate(found))


def _is_left(home: Path, boxes: tuple[bytes, bytes]) -> bool:
    wrapped, record = boxes
    pieces = [wrapped[at : at + _PIECE] for at in range(0, len(wrapped) - _PIECE, _PIECE)]
    pieces += [record[at : at + _PIECE] for at in range(0, len(record) - _PIECE, 512)]
    files = [path.read_bytes() for path in home.rglob("*.db*") if path.is_file()]
    return any(piece in content for piece in pieces for content in files)


def _waited_s() -> float:
    """How long this thread has waited for a processor that was free for somebody else."""
    try:
        return int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
