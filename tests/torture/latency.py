"""How long a frame takes to its decision, alone and beside a thousand clients that want nothing.

The real service with the released networks and the real control server, in one process as at a door; the
clients are another. Blocks of frames with and without them take turns, so that whatever else the machine does
falls on both. Harm: no clients, or a median five times as long. Anything finer is for a quiet machine: the
note tells it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from janusd import models
from janusd.config import ModelSection, parse
from janusd.core.types import Frame, Image
from janusd.demo.album import album
from janusd.demo.scene import Stance, compose
from janusd.main import open_pipeline
from support import idlers
from support.nobody import RESIDENTS, portrait
from support.painted_door import QUICK, Rig
from support.serving import serving
from torture.row import Row, Tick

CLIENTS = 1000
FAR_SLOWER = 5.0
"""Where the process gets a fraction of a core, its control thread takes from what matching has."""
_BLOCK = 10
_PAUSE_S = 0.02
"""Between two frames, as a camera makes it."""


class Idlers:
    """The clients."""

    def __init__(self, path: Path, count: int) -> None:
        program = [sys.executable, "-I", idlers.__file__, str(path), str(count)]
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def say(self, word: str) -> int:
        """Make them come or go; how often one has connected so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.communicate("", timeout=60)


@cache
def _street() -> Image:
    return compose([Stance(album()["ada"].street[0])], seed=1)


def _frames() -> Iterator[Frame]:
    """Somebody who stands there; each frame has noise of its own."""
    chance, number = np.random.default_rng(1), 0
    while True:
        number += 1
        noise = chance.integers(0, 8, _street().shape, np.uint8)
        yield Frame(np.maximum(_street(), 8) - noise, 0.1 * number, number)


def beside_clients(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """So many frames, half of them beside `CLIENTS` clients."""
    del seed
    row = Row(f"frames beside {CLIENTS:,} clients")
    pipeline = open_pipeline(ModelSection(), models.load(models.RELEASED))
    rig = Rig(folder, parse(QUICK + "[idle]\ngate = false\n"), pipeline=pipeline)
    for person in RESIDENTS:
        token = rig.door.begin_enrolment(person, "")
        for number in range(2):
            rig.door.add_image(token, portrait(person, f"enrol-0{number}"))
        rig.door.commit_enrolment(token)
    took_ms: dict[str, list[float]] = {"off": [], "on": []}
    frames, visits = _frames(), 0
    with serving(folder / "control", rig.door), _idlers(folder / "control") as crowd:
        for _ in range(3):  # what is slow the first time is nobody's doing
            rig.door._see(next(frames))
        while row.times < times:
            for word in ("off", "on", "on", "off"):
                before, now = visits, crowd.say(word)
                visits = now
                if word == "on":
                    row.went["visits of clients"] += now - before
                for _ in range(_BLOCK):
                    frame = next(frames)
                    time.sleep(_PAUSE_S)
                    began_s = time.perf_counter()
                    rig.door._see(frame)
                    took_ms[word].append(1e3 * (time.perf_counter() - began_s))
                    row.times += 1
                    tick()
    rig.door.close()
    _tell(row, took_ms)
    return [row]


def _tell(row: Row, took_ms: dict[str, list[float]]) -> None:
    (off_50, off_95), (on_50, on_95) = (np.percentile(took_ms[word], (50, 95)) for word in ("off", "on"))
    row.went["frames decided"] = row.times
    row.harm["far slower"] += int(on_50 > FAR_SLOWER * off_50)
    row.harm["no clients"] += int(row.went["visits of clients"] < CLIENTS)
    row.harm = +row.harm
    row.note = (
        f"frame to decision, median {off_50:.1f} ms alone and {on_50:.1f} ms beside them "
        f"(x {on_50 / off_50:.2f}), "
        f"p95 {off_95:.1f} and {on_95:.1f} ms (x {on_95 / off_95:.2f})"
    )


@contextmanager
def _idlers(path: Path) -> Iterator[Idlers]:
    crowd = Idlers(path, CLIENTS)
    try:
        yield crowd
    finally:
        crowd.end()
