"""The alternate screen: lines of text that are sent when they change, single keys, and the way back."""

from __future__ import annotations

import os
import select
import shutil
import signal
import termios
import tty
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, TextIO

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"
_LEAVE = "\x1b[0m\x1b[?25h\x1b[?1049l"


class Keys:
    """Single keys from a terminal, without waiting for Enter; Ctrl-C stays what it is."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._before: list[Any] | None = None

    def __enter__(self) -> Keys:
        self._before = termios.tcgetattr(self.fd)
        tty.setcbreak(self.fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self.fd, termios.TCSADRAIN, self._before)

    def pressed(self, within_s: float = 0.0) -> str:
        """The keys pressed since the last call; empty when there were none. Raises EOFError at the end."""
        if not select.select([self.fd], [], [], within_s)[0]:
            return ""
        typed = os.read(self.fd, 64)
        if not typed:
            raise EOFError
        return typed.decode("utf-8", "ignore")


class Screen:
    """A whole screen, given back as it was."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: dict[int, str] = {}
        self._resized = False
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}
        self.sent = 0
        """Bytes written so far."""
        self.columns, self.rows = _size(out)

    def __enter__(self) -> Screen:
        self._before = {signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._note_resize)}
        for number in (signal.SIGTERM, signal.SIGHUP):  # ended so, the terminal is to be left as it was
            self._before[number] = signal.signal(number, _end)
        self.write(_ENTER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        with suppress(OSError):  # nobody is left to see it
            self.write(_LEAVE)

    def take_resize(self) -> bool:
        """Whether the size changed since the last call: then the screen is empty."""
        if not self._resized:
            return False
        self._resized = False
        self.columns, self.rows = _size(self._out)
        self.clear()
        return True

    def clear(self) -> None:
        """Begin with an empty screen again."""
        self._lines.clear()
        self.write("\x1b[0m\x1b[2J")

    def line(self, row: int, text: str, style: str = "") -> None:
        """Have that row (from 1) say this; `style` is the middle of an SGR sequence, "1;32" for example."""
        if row < 1 or row > self.rows:
            return
        cut = text[: self.columns - 1]
        drawn = f"\x1b[{row};1H\x1b[2K" + (f"\x1b[{style}m{cut}\x1b[0m" if style and cut else cut)
        if self._lines.get(row) != drawn:
            self._lines[row] = drawn
            self.write(drawn)

    def write(self, text: str) -> None:
        """Send text as it is."""
        if text:
            self.sent += len(text.encode())
            self._out.write(text)
            self._out.flush()

    def _note_resize(self, _number: int, _frame: FrameType | None) -> None:
        self._resized = True


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _size(out: TextIO) -> tuple[int, int]:
    """Columns and rows; COLUMNS and LINES do not count, for a live screen must fit."""
    try:
        size = os.get_terminal_size(out.fileno())
    except OSError:
        size = shutil.get_terminal_size()
    return max(20, size.columns or 80), max(6, size.lines or 24)
