"""Somebody who reads questions on a terminal and types answers: a pseudo-terminal, its screen as pyte
sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import pyte


class Terminal:
    """A program at a terminal."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=2000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.received = bytearray()
        self.screens: list[str] = []
        """The screen at each question."""
        self._fd, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        kept = {k: value for k, value in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - before any thread
        )  # fmt: skip
        os.close(theirs)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    @property
    def text(self) -> str:
        """What is on the screen now, without the blanks at its right."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    @property
    def all(self) -> str:
        """What was on the screen from the beginning, scrolled away or not."""
        width = self.screen.columns
        above = ["".join(row[at].data for at in range(width)).rstrip() for row in self.screen.history.top]
        return "\n".join([*above, self.text])

    def until(self, text: str, within_s: float = 60.0) -> str:
        """Wait until the last lines hold that text; the screen then."""
        end_s = time.monotonic() + within_s
        while text not in self._last():
            left_s = end_s - time.monotonic()
            assert left_s > 0, f"{text!r} did not come:\n{self.all}"
            came = self._read(min(left_s, 0.2))
            assert came or self.process.poll() is None, f"it ended without {text!r}:\n{self.all}"
        self.screens.append(self.text)
        return self.text

    def see(self, text: str, within_s: float = 60.0) -> str:
        """Wait until that text stands anywhere on the screen; the screen then."""
        end_s = time.monotonic() + within_s
        while text not in self.text:
            assert time.monotonic() < end_s, f"{text!r} was not seen:\n{self.all}"
            self._read(0.2)
        self.screens.append(self.text)
        return self.text

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._fd, text.encode())

    def answer(self, question: str, text: str = "", within_s: float = 60.0) -> str:
        """Wait for a question and answer it with a line; the screen before the answer."""
        screen = self.until(question, within_s)
        before, end_s = len(self.received), time.monotonic() + 10
        self.type(text + "\r")
        while len(self.received) == before and time.monotonic() < end_s:
            self._read(0.05)
        return screen

    def end(self, within_s: float = 60.0) -> int:
        """Read until it ends; its exit status."""
        end_s = time.monotonic() + within_s
        while self._read(0.2) or self.process.poll() is None:
            assert time.monotonic() < end_s, f"it does not end:\n{self.all}"
        return self.process.wait(10)

    def hang_up(self) -> None:
        """The connection is lost: the terminal is gone, and the kernel sends SIGHUP."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _last(self) -> str:
        """The line of the cursor and those above it that a question may fill."""
        row = self.screen.cursor.y
        return " ".join(line.rstrip() for line in self.screen.display[max(0, row - 2) : row + 1])

    def _read(self, within_s: float) -> bool:
        """Take in what came; whether anything did."""
        if self._fd < 0:
            return False
        ready, _, _ = select.select([self._fd], [], [], within_s)
        try:
            data = os.read(self._fd, 65536) if ready else b""
        except OSError:  # EIO: the program ended
            return False
        self.received += data
        self._stream.feed(data)
        return bool(data)
