"""The real daemon as a process of its own, in a folder of its own: for the demo and for the scenario tests.

Only the two ends are not real: the camera is a folder into which pictures are put, the latch writes what it
does into a file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import cv2

from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.core.types import Image
from janusd.errors import ControlError

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 15.0

_CONFIG = """\
[camera]
driver = "replay"
path = "{street}"
follow = {follow}
fps = {fps}

[promise]
years = 10  # at one year a stranger of the demo comes within 0.01 of being taken for Ben

[latch]
driver = "simulated"
timeline = "{folder}/latch.jsonl"
hold_s = {hold_s}

[vault]
directory = "{folder}/state"
key = "file"
machine_id = "{folder}/machine-id"

[control]
socket = "{folder}/control"
"""


@dataclass(frozen=True, slots=True)
class Pulse:
    """One release of the latch, until it locked or the next one took over."""

    released_s: float
    """Monotonic time."""
    held_s: float | None
    """None while it lasts."""
    why: str


class RunningDoor:
    """A daemon that can be started, shown pictures, killed and started again over the same state."""

    def __init__(
        self,
        folder: Path,
        *,
        fps: float = 8.0,
        hold_s: float = 1.0,
        more: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Write the configuration and make key and vault; nothing runs yet.

        The camera is dark until `show`, or until `look_at` points it elsewhere. `more` is further TOML;
        `environment` is added to this process's own for the daemon.
        """
        self.folder = folder
        self.config = folder / "janus.toml"
        self.log = folder / "janusd.log"
        self._street = folder / "street"
        self._street.mkdir(parents=True)
        self._shown = 0
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "machine-id").write_text(f"{1:032x}\n")
        self._settings = {"folder": folder, "fps": fps, "hold_s": hold_s}
        self._more = more
        self._configure(self._street, follow=True)
        subprocess.run(self._command("--prepare"), check=True, stdout=subprocess.DEVNULL)

    def __enter__(self) -> RunningDoor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the daemon and wait until it answers. Raises RuntimeError with its log when it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, env=self._environment)
        end_s = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end_s:
                self.kill()
                raise RuntimeError(f"janusd did not start:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> int:
        """Ask it to end, and give its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a power cut would."""
        return self._end(signal.SIGKILL)

    def send(self, what: signal.Signals) -> None:
        """Send the daemon a signal."""
        assert self._process is not None
        self._process.send_signal(what)

    def connect(self) -> Client:
        """A new connection to its control socket."""
        return Client(self.folder / "control")

    def show(self, image: Image) -> None:
        """Put a picture before the camera; it stays there until the next one."""
        encoded, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92]
        )
        assert encoded
        half_written = self._street / "next"
        half_written.write_bytes(jpeg.tobytes())
        half_written.replace(self._street / f"{self._shown:06d}.jpg")
        self._shown += 1

    def look_at(self, street: Path) -> None:
        """From the next start on, the camera plays this folder's pictures once, in order."""
        self._configure(street, follow=False)

    def pulses(self) -> list[Pulse]:
        """What the latch did so far."""
        timeline = self.folder / "latch.jsonl"
        pulses: list[Pulse] = []
        for line in timeline.read_text(encoding="utf-8").splitlines() if timeline.exists() else []:
            event = json.loads(line)
            if pulses and pulses[-1].held_s is None:
                pulses[-1] = replace(pulses[-1], held_s=event["at_s"] - pulses[-1].released_s)
            if event["level"] == "released":
                pulses.append(Pulse(event["at_s"], None, event["why"]))
        return pulses

    def _configure(self, street: Path, *, follow: bool) -> None:
        camera = {"street": street, "follow": str(follow).lower()}
        self.config.write_text(_CONFIG.format(**self._settings, **camera) + self._more)

    def _command(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "janusd.main", "--config", str(self.config), *more]

    def _answers(self) -> bool:
        try:
            with self.connect() as client:
                RemoteDoor(client).status()
        except ControlError:
            return False
        return True

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None
