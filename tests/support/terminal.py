"""A terminal for tests: a real pseudo-terminal with a program in it, and what its screen shows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence

import pyte


class Terminal:
    """Runs a program as a login shell would; `close` is the SSH session that drops."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.written = bytearray()
        self.arrivals: list[tuple[float, int]] = []
        """When how many bytes came."""
        self._stream = pyte.ByteStream(self.screen)
        self._answered = False
        base = {
            key: value
            for key, value in os.environ.items()
            if key not in ("NO_COLOR", "LC_ALL", "COLUMNS", "LINES", "COLORTERM")
        }
        given = {**base, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(environment or {})}
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(OSError):
                os.execvpe(command[0], list(command), given)
            os._exit(127)
        self.resize(columns, rows, tell=False)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def resize(self, columns: int, rows: int, *, tell: bool = True) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.screen.resize(rows, columns)

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self.master, keys.encode())

    def read(self, for_s: float = 0.05) -> bool:
        """Take in what was written; False once the program has ended."""
        if not select.select([self.master], [], [], for_s)[0]:
            return True
        try:
            chunk = os.read(self.master, 65536)
        except OSError:
            return False
        self.written += chunk
        self.arrivals.append((time.monotonic(), len(chunk)))
        self._stream.feed(_without_graphics(chunk))
        if not self._answered and b"\x1b[c" in self.written:
            self._answered = True
            os.write(self.master, b"\x1b[?62;22c")  # a VT220 with colours: neither sixel nor kitty
        for _ in range(chunk.count(b"\x1b[5n")):
            os.write(self.master, b"\x1b[0n")  # all well, as every terminal answers
        return bool(chunk)

    def until(self, holds: Callable[[], object], within_s: float = 60.0) -> None:
        """Read until it holds. Raises AssertionError with the screen when it does not come to."""
        end_s = time.monotonic() + within_s
        while not holds():
            if time.monotonic() > end_s or not (self.read() or holds()):
                raise AssertionError("it did not come to that; the screen is:\n" + self.text)

    def says(self, words: str, within_s: float = 60.0) -> None:
        """Read until these words stand on the screen."""
        self.until(lambda: words in self.text, within_s)

    def ended(self, within_s: float = 60.0) -> int:
        """Read to the end, and give the exit status."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            is_open = self.read()
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                while is_open and select.select([self.master], [], [], 0)[0] and self.read(0):
                    continue
                return os.waitstatus_to_exitcode(status)
        raise AssertionError("it did not end; the screen is:\n" + self.text)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            os.close(self.master)

    @property
    def text(self) -> str:
        """The screen, row by row."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def busiest_second(self) -> int:
        """The most bytes that came within any second."""
        return max(
            (
                sum(count for at_s, count in self.arrivals if start_s <= at_s < start_s + 1)
                for start_s, _ in self.arrivals
            ),
            default=0,
        )


def _without_graphics(chunk: bytes) -> bytes:
    """pyte knows no APC sequences: leave out the question whether this is kitty."""
    start = chunk.find(b"\x1b_G")
    if start < 0:
        return chunk
    end = chunk.find(b"\x1b\\", start)
    return chunk[:start] + (chunk[end + 2 :] if end >= 0 else b"")
