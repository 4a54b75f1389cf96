"""The real daemon with painted faces, in a process that can be killed at any step.

All is real but networks, camera and latch: composition, vault, anchor, backups, tally, door log, socket. A
step is a call that reaches the disk or the database, in whichever thread; `die_after` says how many are left.
"""

from __future__ import annotations

import colorsys
import hashlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from ctypes import c_long
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import cv2
import numpy as np

from janusd import config as configuration
from janusd import main
from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.core.types import Image, Tensor
from janusd.errors import JanusError
from janusd.pipeline import Pipeline
from janusd_hw.fakes import SPEC, PaintedDetector

PEOPLE = 60
_HUES = 0.6
"""From red to where blue becomes too dark a face."""
_STEPS = frozenset(
    "execute fsync fdatasync rename replace unlink open write pwrite mkdir link rmdir chmod".split()  # noqa: SIM905
)
_NEVER = 2**40
_CONFIG = """\
[camera]
driver = "replay"
path = "{folder}/street"
follow = true
[enrolment]
samples = 2
least = 2
[vault]
directory = "{folder}/state"
key = "file"
machine_id = "{folder}/machine-id"
[control]
socket = "{folder}/control"
"""


def face(person: int, seed: int) -> bytes:
    """A picture of one of `PEOPLE`, as a PNG file."""
    chance = np.random.default_rng(seed)
    image = np.full((240, 320, 3), 110, np.uint8)
    speckle = cv2.resize(chance.uniform(0.55, 1.0, (30, 30, 1)), (120, 120))[..., None]
    colour = 255 * np.array(colorsys.hsv_to_rgb(_HUES * person / PEOPLE, 0.95, 1.0))
    image[60:180, 100:220] = (speckle * colour).astype(np.uint8)
    return cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()


def codes() -> np.ndarray:
    """One unit vector a person, no two of them alike: (PEOPLE, 32)."""
    chance, chosen = np.random.default_rng(1), list[np.ndarray]()
    while len(chosen) < PEOPLE:
        vector = chance.normal(size=32)
        vector /= np.linalg.norm(vector)
        if all(abs(vector @ other) < 0.42 for other in chosen):
            chosen.append(vector)
    return np.array(chosen)


class Encoder:
    """A face's colour to its person's vector, with a little noise from its speckle."""

    accelerator = "painted"

    def __init__(self) -> None:
        self._codes = codes()

    def run(self, tensor: Tensor) -> Tensor:
        r, g, b = tensor[0].astype(np.float32).mean(axis=(0, 1)) + 128
        person = round(colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)[0] / _HUES * PEOPLE) % PEOPLE
        noise_seed = int.from_bytes(hashlib.sha256(tensor.tobytes()).digest()[:8])
        noise = np.random.default_rng(noise_seed).normal(size=32)
        mixed = self._codes[person] + 0.25 * noise / np.linalg.norm(noise)
        whole: Image = np.round(127 * mixed / np.linalg.norm(mixed)).astype(np.int8)
        return whole[np.newaxis]


def who(embedding: np.ndarray) -> int:
    """Whose vector that is."""
    return int(np.argmax(codes() @ embedding))


class Door:
    """One daemon after the other over the same state; as a context, none is left at its end."""

    def __init__(self, folder: Path, *, counts_steps: bool = True) -> None:
        self.folder = folder
        self._counts_steps = counts_steps
        (folder / "street").mkdir(parents=True)
        (folder / "machine-id").write_text(f"{1:032x}\n")
        self.config = folder / "janus.toml"
        self.config.write_text(_CONFIG.format(folder=folder))
        main.prepare(configuration.load(self.config))
        self._process: BaseProcess | None = None
        self._left: Synchronized[int] | None = None

    def __enter__(self) -> Door:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.end()

    def start(self) -> bool:
        """Start a daemon; whether it answers."""
        processes = multiprocessing.get_context("forkserver")
        processes.set_forkserver_preload(["pytest", "janusd.main", "torture.painted"])
        self._left = processes.Value(c_long, _NEVER)
        self._process = processes.Process(
            target=_serve, args=(str(self.config), self._left, self._counts_steps), daemon=True
        )
        self._process.start()
        end_s = time.monotonic() + 60
        while time.monotonic() < end_s and self._process.is_alive():
            try:
                with self.connect() as client:
                    RemoteDoor(client).status()
                return True
            except JanusError:
                time.sleep(0.01)
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.pid is not None
        return self._process.pid

    def connect(self) -> Client:
        return Client(self.folder / "control")

    def die_after(self, steps: int) -> None:
        """Kill it so many steps from now."""
        assert self._left is not None
        self._left.value = steps

    @property
    def steps(self) -> int:
        """How many steps it has made since `die_after(_NEVER)`, or since the start."""
        assert self._left is not None
        return _NEVER - self._left.value

    def count_anew(self) -> None:
        self.die_after(_NEVER)

    def end(self, how: signal.Signals = signal.SIGKILL) -> bool:
        """End it, if it is not dead yet; whether it was."""
        assert self._process is not None
        assert self._left is not None
        was_dead = self._left.value < 0
        with suppress(ProcessLookupError):
            os.kill(self.pid, how)
        self._process.join(30)
        self._process.close()
        self._process = None
        return was_dead


def _serve(config: str, left: Any, counts_steps: bool) -> None:
    def step(_: object, event: str, called: object) -> None:
        if event == "c_call" and getattr(called, "__name__", "") in _STEPS:
            left.value -= 1
            if left.value < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    said = os.open(Path(config).with_name("said"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(said, 2)
    if counts_steps:  # which makes it slower
        threading.setprofile(step)
        sys.setprofile(step)
    with mock.patch.object(main, "open_pipeline", _painted):
        sys.exit(main.main(["--config", config]))


def _painted(*_: object, **__: object) -> Pipeline:
    return Pipeline(PaintedDetector(), Encoder(), SPEC)


def enrol(remote: RemoteDoor, name: str, person: int) -> None:
    """A whole enrolment over the socket."""
    token = remote.begin_enrolment(name, "")
    for seed in (1, 2):
        remote.add_image(token, face(person, seed))
    remote.commit_enrolment(token)
