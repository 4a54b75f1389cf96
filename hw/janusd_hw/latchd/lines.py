"""GPIO lines, one request each: a line that cannot be had takes no other one with it.

libgpiod v2 inverts active-low lines, so levels here are logical. What a line does once its request is gone is
up to the kernel: it keeps its level (Raspberry Pi) or falls back to an input. Both must mean locked.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeAlias

from janusd_hw.latchd.settings import OUTPUTS, Line

Gpiod: TypeAlias = Any
"""libgpiod's module, or what stands in for it."""

_REMEDIES = {
    errno.ENOENT: "see which chips there are: gpiodetect",
    errno.EBUSY: "another process holds it: gpioinfo names it",
    errno.EACCES: "99-janus.rules of udev lets user janus-latch have the chip; see hw/WIRING.md",
    errno.EINVAL: "the chip has no such line: gpioinfo lists them",
}


class HeldLine:
    """A line of the configuration: held, or with a fault that says why not."""

    def __init__(self, door: str, role: str, line: Line, gpiod: Gpiod) -> None:
        """Nothing is requested yet."""
        self.door, self.role, self.line, self.chip = door, role, line, line.chip
        self.is_input, self.is_relay = role not in OUTPUTS, role == "relay"
        self.was: bool | None = None
        """What an input was last; None where that is not known."""
        self.fault, self._gpiod = "", gpiod
        self.request: Any = None

    def put(self, level: bool) -> bool:
        """Set an output and read it back, also where it should be already; whether it is there."""
        with self._faults():
            request = self.request = self.request or self._take(level)
            request.set_value(self.line.line, self._gpiod.line.Value(int(level)))
            if bool(request.get_value(self.line.line)) is not level:
                raise OSError(f"set to {level:d} but reads {not level:d}")
        return not self.fault

    def level(self, *, of_edges: bool = False) -> list[bool]:
        """The level of an input, or those after its edges since the last call; none where it has a fault."""
        levels = []
        with self._faults():
            request = self.request = self.request or self._take()
            if of_edges:
                rising = self._gpiod.EdgeEvent.Type.RISING_EDGE
                levels = [edge.event_type is rising for edge in request.read_edge_events()]
            else:
                levels = [bool(request.get_value(self.line.line))]
        return levels

    def at_rest(self, level: bool) -> str:
        """Chip, offset and electrical level, for a program without libgpiod and without latch.toml."""
        return f"{self.chip} {self.request.offsets[0]} {level is not self.line.active_low:d}\n"

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Make a fault of what goes wrong with the line; when nothing does there is none any more."""
        try:
            yield
            self.fault = ""
        except (OSError, ValueError) as error:  # ValueError: the chip has no line of that name
            number, reason = getattr(error, "errno", errno.EINVAL), getattr(error, "strerror", None) or error
            remedy = _REMEDIES.get(number, "check the wiring and dmesg")
            self.fault = f"{self.role} ({self.chip} line {self.line.line}): {reason}; {remedy}"
            request = self.request
            if request and (self.is_input or number == errno.ENODEV):
                self.request = self.was = None  # to be requested anew; an output rather stays as is
                request.release()

    def _take(self, level: bool = False) -> Any:  # noqa: ANN401 - libgpiod's request, or what stands in for it
        gpio, line = self._gpiod.line, self.line
        kind, _, label = line.chip.partition(":")
        for name in os.listdir("/dev") if kind == "label" else ():
            if name.startswith("gpiochip"):
                with self._gpiod.Chip(f"/dev/{name}") as chip:
                    self.chip = f"/dev/{name}" if chip.get_info().label == label else self.chip
        settings = self._gpiod.LineSettings(
            direction=gpio.Direction.INPUT if self.is_input else gpio.Direction.OUTPUT,
            edge_detection=gpio.Edge.BOTH if self.is_input else gpio.Edge.NONE,
            bias=gpio.Bias[line.bias.replace("-", "_").upper()],
            active_low=line.active_low,
            debounce_period=timedelta(seconds=line.debounce_s if self.is_input else 0),
            output_value=gpio.Value(int(level)),
        )
        us, config = f"janus-latchd {self.role}", {line.line: settings}
        return self._gpiod.request_lines(self.chip, consumer=us, config=config)
