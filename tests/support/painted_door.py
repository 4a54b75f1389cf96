"""A door in a temporary folder, for painted faces: everything real but networks, camera and latch."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from janusd.config import Config
from janusd.core.types import Frame
from janusd.door import Event
from janusd.errors import CameraError
from janusd.journal import Journal
from janusd.journal.ledger import Ledger
from janusd.pipeline import Pipeline
from janusd.service.door_service import DoorService
from janusd.vault.anchor import FileAnchor
from janusd.vault.keeper import Keeper, Place
from janusd.vault.keys import FileKey, KeyRing, create_key_file
from janusd.vault.parcel import Identity
from janusd.vault.store import Vault
from janusd_hw.clock import FakeClock
from janusd_hw.fakes import SPEC, PaintedDetector, PaintedEncoder, paint
from janusd_hw.latch_simulated import SimulatedLatch

DEVICE, MODEL = b"d" * 32, bytes(32)
QUICK = "[latch]\nhold_s = 1\n[decision]\nfailures = 1\n[enrolment]\nsamples = 2\nleast = 2\n"


def anchor_of(folder: Path) -> Path:
    """Where the anchor of the vault in that folder is."""
    return folder.with_name(folder.name + "-anchor") / "vault"


class Script:
    """A camera that plays letters: people of `janusd_hw.fakes`, "." nobody, "!" unplugged."""

    name = "script"

    def __init__(self, letters: str, *, start: int = 0) -> None:
        self.letters = letters
        self.start = start
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        for index, letter in enumerate(self.letters, start=self.start):
            if letter == "!":
                raise CameraError("the camera went away", "plug it in")
            image = paint("ab" if letter == "2" else letter.replace(".", ""), side=90, seed=index)
            yield Frame(image, index * 0.1, index)

    def close(self) -> None:
        self.closed = True


class Rig:
    """One door in a temporary folder."""

    def __init__(
        self, folder: Path, config: Config, *, model: bytes = MODEL, pipeline: Pipeline | None = None
    ) -> None:
        """`model` is the digest of its encoder, as far as the vault knows; `pipeline` sees other faces."""
        key, anchor = folder / "key", FileAnchor(anchor_of(folder))
        if not key.exists():
            create_key_file(key)
            Vault.create(folder / "vault.db", FileKey(key), DEVICE, anchor)
        place = Place(folder / "vault.db", KeyRing(FileKey(key)), DEVICE, model, anchor)
        self.cameras: list[Script] = []
        self.latch = SimulatedLatch()
        self.clock = FakeClock()
        self.encoder = PaintedEncoder()
        self.detector = PaintedDetector()
        self.events: list[Event] = []
        self.ledger = Ledger.open(folder / "tries", FileKey(key), may_begin=True)
        self.door = DoorService(
            config=config,
            pipeline=pipeline or Pipeline(self.detector, self.encoder, SPEC),
            open_camera=self._next_camera,
            latch=self.latch,
            identity=Identity.of(bytes(32), DEVICE),
            vault=Keeper.open(place),
            journal=Journal.open(folder / "door-log.db", FileKey(key)),
            ledger=self.ledger,
            key_source=FileKey(key),
            clock=self.clock,
        )
        self.door.subscribe(self.events.append)

    def _next_camera(self) -> Script:
        if not self.cameras:
            raise CameraError("no camera left", "end the test")
        return self.cameras.pop(0)

    def enrol(self, letter: str, name: str, hours: str = "") -> None:
        token = self.door.begin_enrolment(name, hours)
        for seed in (100, 101):
            assert self.door.add_image(token, paint(letter, seed=seed)).accepted
        self.door.commit_enrolment(token)

    def play(self, *scripts: str) -> list[str]:
        """Run the door over these cameras, one after the other; give each decision's reason."""
        self.cameras = [Script(script, start=100 * i) for i, script in enumerate(scripts)]
        running = threading.Thread(target=self.door.run)
        running.start()
        wait_until(lambda: self.door.status().state == "fault: the replay ended")
        self.door.stop()
        running.join(10)
        assert not running.is_alive()
        return [event.reason for event in self.events]

    @property
    def releases(self) -> list[str]:
        return [event.why for event in self.latch.timeline if event.level == "released"]

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.door.log("", 100)]


def wait_until(is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.005)
