"""The relay on a GPIO line.

Most of this runs against a small fake of libgpiod's Python bindings, as build machines have no GPIO. The last
test drives the kernel's simulator (gpio-sim) where JANUSD_GPIO_SIM names one; elsewhere it is skipped.
What a relay board does with the line is not tested anywhere yet.
"""

from __future__ import annotations

import errno
import os
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

import pytest
from hand_timers import HandTimers

from janusd.errors import LatchError
from janusd.ports import Latch
from janusd_hw.latch_gpiod import GpiodLatch


class Value(Enum):
    INACTIVE = 0
    ACTIVE = 1


class Direction(Enum):
    INPUT = 2
    OUTPUT = 3


@dataclass
class LineSettings:
    direction: Direction
    active_low: bool
    output_value: Value


@dataclass
class FakeRequest:
    """A held line: remembers the logical values it was set to."""

    line: int | str
    settings: LineSettings
    values: list[Value] = field(default_factory=list)
    is_held: bool = True
    error: OSError | None = None

    def set_value(self, line: int | str, value: Value) -> None:
        assert self.is_held
        assert line == self.line
        if self.error is not None:
            raise self.error
        self.values.append(value)

    def release(self) -> None:
        assert self.is_held
        self.is_held = False


class FakeGpiod:
    """The part of the `gpiod` module a latch needs."""

    def __init__(self) -> None:
        self.requests: list[FakeRequest] = []
        self.asked: list[tuple[str, str]] = []
        self.error: OSError | ValueError | None = None

    def request_lines(self, path: str, consumer: str, config: dict[int | str, LineSettings]) -> FakeRequest:
        self.asked.append((path, consumer))
        if self.error is not None:
            raise self.error
        ((line, settings),) = config.items()
        self.requests.append(FakeRequest(line, settings, [settings.output_value]))
        return self.requests[-1]


@pytest.fixture
def gpiod(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGpiod]:
    fake = FakeGpiod()
    module, line = types.ModuleType("gpiod"), types.ModuleType("gpiod.line")
    module.__dict__.update(request_lines=fake.request_lines, LineSettings=LineSettings, line=line)
    line.__dict__.update(Value=Value, Direction=Direction)
    monkeypatch.setitem(sys.modules, "gpiod", module)
    monkeypatch.setitem(sys.modules, "gpiod.line", line)
    return fake


def test_the_line_is_taken_as_a_locked_output(gpiod: FakeGpiod) -> None:
    latch: Latch = GpiodLatch("/dev/gpiochip4", 17)
    (request,) = gpiod.requests
    assert gpiod.asked == [("/dev/gpiochip4", "janusd")]
    assert request.settings == LineSettings(Direction.OUTPUT, active_low=False, output_value=Value.INACTIVE)
    assert latch.name == "/dev/gpiochip4 line 17"
    latch.close()


def test_an_active_low_relay_is_left_to_the_kernel_to_invert(gpiod: FakeGpiod) -> None:
    latch = GpiodLatch(line="RELAY", active_low=True)
    (request,) = gpiod.requests
    assert request.line == "RELAY"
    assert request.settings.active_low
    latch.release(1, "alice")
    assert request.values == [Value.INACTIVE, Value.ACTIVE]
    latch.close()


def test_the_relay_clicks_on_and_off(gpiod: FakeGpiod) -> None:
    timers = HandTimers()
    latch = GpiodLatch(max_hold_s=5, now_s=timers.now_s, timer=timers.timer)
    latch.release(60, "alice")
    assert latch.is_released
    timers.pass_s(5)
    assert not latch.is_released
    latch.release(1, "bob")
    latch.lock()
    off, on = Value.INACTIVE, Value.ACTIVE
    assert gpiod.requests[0].values == [off, on, off, on, off]


def test_close_locks_before_it_lets_go(gpiod: FakeGpiod) -> None:
    latch = GpiodLatch()
    latch.release(5, "alice")
    latch.close()
    latch.close()
    (request,) = gpiod.requests
    assert request.values[-1] is Value.INACTIVE
    assert not request.is_held
    with pytest.raises(LatchError, match="closed"):
        latch.release(1, "bob")


def test_the_line_is_let_go_even_when_it_cannot_be_locked(gpiod: FakeGpiod) -> None:
    latch = GpiodLatch()
    latch.release(5, "alice")
    gpiod.requests[0].error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(LatchError, match="cannot set /dev/gpiochip0 line 17: Input/output error"):
        latch.close()
    assert not gpiod.requests[0].is_held


@pytest.mark.parametrize(
    ("cause", "remedy"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), "gpiodetect"),
        (OSError(errno.EBUSY, "Device or resource busy"), "another process holds the line"),
        (PermissionError(errno.EACCES, "Permission denied"), "group gpio"),
        (ValueError("line offset of out range"), "no such line"),
        (OSError(errno.EIO, "Input/output error"), "dmesg"),
    ],
)
def test_a_line_that_cannot_be_had_is_named_with_what_to_do(
    gpiod: FakeGpiod, cause: OSError | ValueError, remedy: str
) -> None:
    gpiod.error = cause
    with pytest.raises(LatchError, match="/dev/gpiochip0 line 17") as refused:
        GpiodLatch()
    assert remedy in refused.value.remedy


def test_missing_bindings_are_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(LatchError, match="pip install gpiod"):
        GpiodLatch()


def test_the_real_bindings_report_a_missing_chip() -> None:
    pytest.importorskip("gpiod", reason="libgpiod's bindings are not installed")
    with pytest.raises(LatchError, match=r"/dev/gpiochip-none line 17: No such file.*gpiodetect"):
        GpiodLatch("/dev/gpiochip-none")


def test_a_simulated_line_of_the_kernel_follows_the_latch() -> None:
    """JANUSD_GPIO_SIM=/dev/gpiochipN:OFFSET:/sys/devices/platform/gpio-sim.0/gpiochipN/sim_gpioOFFSET."""
    rig = os.environ.get("JANUSD_GPIO_SIM")
    if rig is None:
        pytest.skip("JANUSD_GPIO_SIM names no line of the kernel's gpio-sim")
    chip, offset, sysfs = rig.split(":")

    def level() -> str:
        with open(f"{sysfs}/value", encoding="ascii") as file:  # noqa: PTH123 - sysfs
            return file.read().strip()

    latch = GpiodLatch(chip, int(offset))
    assert level() == "0"
    latch.release(5, "alice")
    assert level() == "1"
    with pytest.raises(LatchError, match="another process holds the line"):
        GpiodLatch(chip, int(offset))
    latch.lock()
    assert level() == "0"
    latch.close()
