"""One line of a chip that fails and comes back. The chip is a stand-in in this process."""

from __future__ import annotations

import enum
import errno
from types import SimpleNamespace
from typing import Any

import pytest

from janusd_hw.latchd import loop as loops
from janusd_hw.latchd import machine
from janusd_hw.latchd.lines import HeldLine
from janusd_hw.latchd.settings import Line


class Value(enum.IntEnum):
    """As libgpiod's."""

    INACTIVE, ACTIVE = 0, 1


class Expander:
    """A chip on a bus that can be unplugged."""

    def __init__(self) -> None:
        self.level, self.is_gone = 0, False
        kinds = SimpleNamespace(INPUT=1, OUTPUT=2, NONE=0, BOTH=1, AS_IS=0, PULL_UP=1)
        self.line = SimpleNamespace(Value=Value, Direction=kinds, Edge=kinds, Bias={"AS_IS": 0, "PULL_UP": 1})

    def LineSettings(self, **_: object) -> None:  # noqa: N802 - libgpiod's name
        return None

    def request_lines(self, *_: object, **__: object) -> Any:
        self.get_value(0)
        return self

    def get_value(self, _: int) -> Value:
        if self.is_gone:
            raise OSError(errno.ENODEV, "No such device")
        return Value(self.level)

    def release(self) -> None:
        """Nothing is held."""


def test_an_exit_button_that_comes_back_active_was_not_pressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expander that is plugged in again reads active until its pull-ups are up."""
    expander = Expander()
    button = HeldLine("front", "rex", Line(27, active_low=True, bias="pull-up"), expander)
    pressed: list[str] = []
    monkeypatch.setattr(machine, "exit_pressed", lambda _, doors, name, __: (doors, pressed.append(name)))
    latchd = SimpleNamespace(_doors={"front": None}, _settings=None)

    def look(level: int, *, is_gone: bool = False) -> None:
        expander.level, expander.is_gone = level, is_gone
        loops.Latchd._sense(latchd, button)  # type: ignore[arg-type]

    look(0)
    look(0, is_gone=True)
    assert "No such device" in button.fault
    look(1)
    assert (button.fault, pressed) == ("", [])
    look(0)
    look(1)
    assert pressed == ["front"]
