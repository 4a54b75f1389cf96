"""Asks `janusd --discover serve`, a process of its own: what hardware there is, and what choices would mean.

It is started at the first question and ends when we do, since its standard input ends then.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import msgspec

from janusd import programs
from janusd.errors import InstallerError, JanusError

_REMEDY = "try it by hand: janusd --discover"
T = TypeVar("T")


class Seen(msgspec.Struct, frozen=True):
    """Base of what is found."""


class Camera(Seen, frozen=True):
    """A camera, as [camera] would name it."""

    driver: str
    device: str
    name: str
    path: str = ""
    follow: bool = False
    identity: str = ""


class Chip(Seen, frozen=True):
    """A GPIO chip."""

    path: str
    label: str
    lines: int
    trouble: str = ""


class Accelerator(Seen, frozen=True):
    """What networks can run on."""

    key: str
    name: str
    delegate: str
    threads: int
    trouble: str = ""


class Pin(Seen, frozen=True):
    """A pin of the header."""

    pin: int
    line: int | None
    words: str
    pull: str
    forbidden: str
    recommended: str
    relay_high: tuple[str, ...]
    relay_low: tuple[str, ...]
    buzzer: tuple[str, ...]


class Board(Seen, frozen=True):
    """The board."""

    key: str
    name: str
    model: str
    chip: str
    dead_owner: str
    threads: int
    why_wiring: str
    pins: tuple[Pin, ...]

    def at(self, pin: int) -> Pin | None:
        """That pin of the header."""
        return next((one for one in self.pins if one.pin == pin), None)

    def of(self, line: int | str) -> Pin | None:
        """The pin of that line."""
        return next((one for one in self.pins if one.line is not None and one.line == line), None)


class Key(Seen, frozen=True):
    """A source of the vault's key."""

    key: str
    source: str
    binding: str
    name: str
    stops_card_thief: bool
    stops: str
    trouble: str = ""


class Model(Seen, frozen=True):
    """The model that the door would run."""

    name: str
    trouble: str = ""


class Found(Seen, frozen=True):
    """What there is."""

    board: Board
    boards: tuple[str, ...]
    cameras: tuple[Camera, ...]
    chips: tuple[Chip, ...]
    accelerators: tuple[Accelerator, ...]
    keys: tuple[Key, ...]
    model: Model
    tpm: bool = False
    """Whether there is a TPM, to count the vault's states."""


class Meaning(Seen, frozen=True):
    """What a promise means."""

    threshold: float
    fmr: float
    tries: float
    is_extrapolated: bool
    comparisons: int
    refused: float
    genuine_comparisons: int
    is_at_least: bool


class SeenFace(Seen, frozen=True):
    """A face in the picture, in parts of its width and height."""

    x: float
    y: float
    width: float
    height: float
    width_px: int


class Picture(Seen, frozen=True):
    """One small picture of the camera."""

    width_px: int
    height_px: int
    brightness: float
    faces: tuple[SeenFace, ...]
    width: int
    height: int
    rgb: str
    """width x height x 3 bytes, base64."""


class Pair(Seen, frozen=True):
    """One small picture of each camera of a pair, taken at the same moment."""

    colour: Picture
    infrared: Picture
    skew_ms: float
    """How far apart their frames are, in the middle."""
    lamp_trouble: str = ""
    """Why its lamp cannot be lit; empty where it is, or burns by itself."""


class Lamp(Seen, frozen=True):
    """What an infrared lamp does: mean levels of the infrared picture, 0..255."""

    lit: float
    dark: float
    shines: bool
    trouble: str = ""


class Line(Protocol):
    """One who answers requests: the process, or in tests the same code in this one."""

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """The reply to one request."""
        ...

    def close(self) -> None:
        """No more requests."""
        ...


class Process:
    """The process, started when it is first needed."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        """Ask once. Raises InstallerError when nobody answers."""
        if self._child is None:
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                programs.command("janusd.main", "--discover", "serve"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                start_new_session=True,  # Ctrl-C is for us: a pulse that runs is to end as it was bounded
            )  # fmt: skip
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
            reply = json.loads(self._child.stdout.readline())
        except (OSError, ValueError) as error:
            self.close()
            raise InstallerError("janusd cannot look at this device", _REMEDY) from error
        return dict(reply)

    def close(self) -> None:
        """Let it end."""
        child, self._child = self._child, None
        if child is not None:
            assert child.stdin is not None
            assert child.stdout is not None
            with suppress(OSError):
                child.stdin.close()
            child.stdout.close()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Scout:
    """The questions a wizard has."""

    def __init__(self, root: str, line: Line | None = None) -> None:
        self._root, self._line = root, line or Process()

    def look(self, board: str = "") -> Found:
        """What there is. Raises InstallerError."""
        return self._ask(Found, ask="look", board=board)

    def promise(self, years: float, people: float, tries_a_day: float) -> Meaning:
        """What that promise means. Raises JanusError."""
        return self._ask(Meaning, ask="promise", years=years, people=people, tries_a_day=tries_a_day)

    def picture(self, camera: dict[str, object], width: int, height: int) -> Picture:
        """One picture of that camera. Raises JanusError where it gives none."""
        return self._ask(Picture, ask="picture", camera=camera, width=width, height=height)

    def pair(self, camera: dict[str, object], latch: str, door: str, width: int, height: int) -> Pair:
        """One picture of each camera of a pair; `latch` is a latch.toml whose lamp is lit, or "".

        Raises JanusError where they give none of the same moment.
        """
        return self._ask(Pair, ask="pair", camera=camera, latch=latch, door=door, width=width, height=height)

    def lamp(self) -> Lamp:
        """What the lamp of that pair lights, before `let_go`. Raises JanusError."""
        return self._ask(Lamp, ask="lamp")

    def let_go(self) -> None:
        """Close the camera again."""
        self._ask(dict, ask="close")

    def problems(self, janus: str, latch: str) -> list[str]:
        """What is wrong with both files."""
        return [str(one) for one in self._ask(dict, ask="check", janus=janus, latch=latch)["problems"]]

    def settings(self, janus: str, latch: str) -> list[str]:
        """Both files as they may be shown to anybody: numbers, switches and choices."""
        return [str(one) for one in self._ask(dict, ask="settings", janus=janus, latch=latch)["lines"]]

    def pulse(self, latch: str, door: str, hold_s: float) -> str:
        """Release the relay once; what went wrong, or ""."""
        return str(self._ask(dict, ask="pulse", latch=latch, door=door, hold_s=hold_s)["trouble"])

    def close(self) -> None:
        """No more questions."""
        self._line.close()

    def _ask(self, kind: type[T], **request: object) -> T:
        reply = self._line.ask({"root": self._root, **request})
        if "found" not in reply:
            raise JanusError(str(reply.get("what", "janusd did not say why")), str(reply.get("remedy", "")))
        try:
            return msgspec.convert(reply["found"], kind)
        except msgspec.ValidationError as error:
            raise InstallerError(f"janusd's answer is not understood: {error}", _REMEDY) from error
