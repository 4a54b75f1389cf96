"""What the service needs from the outside world. Drivers in `janusd_hw` fulfil these protocols."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from janusd.core.types import Box, Face, Frame, Image, Tensor
from janusd.hardening import Secret


class Camera(Protocol):
    """A source of frames."""

    @property
    def name(self) -> str:
        """Which camera this is, for messages and the log."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Frames as they come, until the source ends (a replay) or `close` is called.

        Raises CameraError when the camera cannot be opened or stops giving frames.
        """
        ...

    def close(self) -> None:
        """Let go of the device; ends a running `frames` after its current frame. May be called twice."""
        ...


@runtime_checkable
class Meter(Protocol):
    """What a camera has that can expose for a part of its picture."""

    def meter(self, box_px: Box) -> None:
        """Expose for this part of the next frames, in pixels of the frame. Returns quickly, raises nothing.

        Forgotten by the camera when it was not asked for a while: the whole picture counts again.
        """
        ...


class Network(Protocol):
    """Runs one quantized model. It moves bytes; their meaning stays in `janusd.core`."""

    @property
    def accelerator(self) -> str:
        """What it runs on, for example "cpu/xnnpack"."""
        ...

    def run(self, tensor: Tensor) -> Tensor:
        """The model's output for one input tensor. Raises NetworkError."""
        ...


class Detector(Protocol):
    """Finds faces. A `Network` of ours will stand behind it as well as any library."""

    @property
    def name(self) -> str:
        """Which detector this is: embeddings are comparable only within one detector's alignment."""
        ...

    def detect(self, image: Image) -> tuple[Face, ...]:
        """All faces in the image, the most confident first."""
        ...


class Latch(Protocol):
    """The lock. Locked unless a release is running."""

    @property
    def name(self) -> str:
        """Which latch this is, for messages and the log."""
        ...

    @property
    def is_released(self) -> bool:
        """Whether the door can be opened right now."""
        ...

    @property
    def fault(self) -> str:
        """What is wrong with the lock, or what alarm it raised; empty while all is well."""
        ...

    def release(self, hold_s: float, why: str) -> None:
        """Unlock for `hold_s` seconds, then lock by itself. A release while one runs restarts the hold.

        Raises LatchError; the latch is then locked or as locked as it can be made.
        """
        ...

    def lock(self) -> None:
        """End a running release now."""
        ...

    def close(self) -> None:
        """Lock, and let go of the device. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Contact:
    """What the door's own sensors say; None where nothing is known of it."""

    is_open: bool | None = None
    is_forced: bool | None = None
    is_held_open: bool | None = None
    is_tampered: bool | None = None
    trouble: str = ""
    """What is wrong with the lock itself; empty while all is well, whatever the sensors say."""


@runtime_checkable
class Doorway(Protocol):
    """What a latch has that hears of the door's sensors too."""

    @property
    def contact(self) -> Contact:
        """What they say now."""
        ...


class KeySource(Protocol):
    """Where the vault's key comes from."""

    @property
    def name(self) -> str:
        """Which source this is, for `janusctl doctor`; never the key."""
        ...

    def key(self) -> Secret:
        """32 secret bytes, the same ones each time: a copy of the caller's own, to be wiped.

        Raises KeyUnavailable.
        """
        ...


class Binding(Protocol):
    """Something of this board's own that no copy of its card has: OTP fuses, a secure element, a TEE."""

    @property
    def name(self) -> str:
        """Which hardware, for messages; never what it answers."""
        ...

    def answer(self, question: bytes) -> bytes:
        """32 secret bytes for these bytes, the same ones each time. Raises KeyUnavailable."""
        ...


class Counter(Protocol):
    """A number that only grows, in memory that cannot be put back: a TPM's."""

    @property
    def name(self) -> str:
        """Which counter, for messages."""
        ...

    def read(self) -> int:
        """What it stands at. Raises AnchorLost where there is none, InstallerError where it is silent."""
        ...

    def increment(self) -> None:
        """Move it on by one, for good. Raises AnchorLost, InstallerError; it may have moved all the same."""
        ...

    def make(self) -> bool:
        """Make it where it is missing; whether it was. Raises AnchorLost, InstallerError."""
        ...


class Sign(StrEnum):
    """What somebody at the door is to be told, for lamps and buzzers that know no words."""

    IDLE = "idle"
    LOOK = "look"
    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    CHIN_UP = "chin_up"
    CHIN_DOWN = "chin_down"
    HOLD = "hold"
    TAKEN = "taken"
    DONE = "done"
    PROBLEM = "problem"
    """Something is in the way; the words say what."""
    OPEN = "open"
    SHUT = "shut"
    """Somebody was seen, and is not let in."""


class Indicator(Protocol):
    """A lamp, a buzzer or a display at the door."""

    @property
    def name(self) -> str:
        """Which indicator this is, for messages."""
        ...

    def show(self, sign: Sign, words: str) -> None:
        """Show this until the next call; `words` are a hint for a display, and may be empty.

        Called at each change only, from the thread that sees: returns quickly, raises nothing.
        """
        ...


class Clock(Protocol):
    """The two times a door knows."""

    def monotonic_s(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def wall(self) -> datetime | None:
        """Local date and time with its zone, or None while the clock is not to be trusted."""
        ...
