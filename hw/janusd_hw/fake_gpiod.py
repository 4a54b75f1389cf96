"""A GPIO chip in a folder: stands in for libgpiod where there is no GPIO, and remembers its timeline.

The janus-latchd that runs on it is the real process with its real socket; only these lines are not real:

    python -m janusd_hw.fake_gpiod FOLDER falls|persists janus-latchd latch.toml
    python -m janusd_hw.fake_gpiod FOLDER falls|persists janus-lock-now STATE

    FOLDER/17.level       what the line was driven to last, electrically
    FOLDER/17.held        locked (fcntl, so that it dies with its process) by whoever requested the line
    FOLDER/17.edges       a FIFO of "0" and "1": what an input is pulled to, as a test says
    FOLDER/faults.json    {"17": {"write": 5, "stuck": 1}}: an errno for writes, a level that never changes
    FOLDER/timeline.jsonl each change of an output: {"at_s": CLOCK_BOOTTIME, "line": 17, "level": 1}

Not proven here: the kernel's debouncing (this chip has none), bias, edge timestamps, what electricity does.
The tests of tests/latchd that need them run against gpio-sim in a kernel of its own, where there is one.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any, Literal

import gpiod

from janusd_hw.clock import boottime_s

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of Linux on 64 bit: type, whence, start, len, pid
After = Literal["falls", "persists"]


class FakeChip:
    """The chip, as a test and as the processes on it see it."""

    def __init__(self, folder: Path, after: After) -> None:
        """`after` says what an output does once nobody holds it: gpio-sim's way, or Raspberry Pi's."""
        self.folder, self.after = folder, after
        folder.mkdir(parents=True, exist_ok=True)

    def level(self, line: int) -> int:
        """The electrical level of an output now; one that fell is low."""
        file = self.folder / f"{line}.level"
        driven = int(file.read_text() or "0") if file.exists() else 0
        return driven if self.after == "persists" or self.is_held(line) else 0

    def is_held(self, line: int) -> bool:
        """Whether any process has requested the line."""
        with (self.folder / f"{line}.held").open("a") as file:
            asked = _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0)
            return bool(_FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK)

    def pull(self, line: int, level: int) -> None:
        """Pull an input, as a button or a sensor does."""
        (self.folder / f"{line}.pull").write_text(str(level))
        fd = self._fifo(line)
        os.write(fd, str(level).encode())
        os.close(fd)

    def break_line(self, line: int, **faults: int) -> None:
        """Let writes fail with an errno (`write=`), or the level never change (`stuck=`); nothing: repair."""
        file = self.folder / "faults.json"
        broken = json.loads(file.read_text()) if file.exists() else {}
        new = file.with_suffix(".new")
        new.write_text(json.dumps(broken | {str(line): faults}))
        new.replace(file)

    def timeline(self, line: int) -> list[tuple[float, int]]:
        """When the output changed to what."""
        file = self.folder / "timeline.jsonl"
        entries = map(json.loads, file.read_text().splitlines() if file.exists() else ())
        return [(entry["at_s"], entry["level"]) for entry in entries if entry["line"] == line]

    def hold(self, line: int) -> int:
        """Take the line as a process does; a descriptor that holds it. Raises OSError with EBUSY."""
        fd = os.open(self.folder / f"{line}.held", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
        except OSError:
            os.close(fd)
            raise OSError(errno.EBUSY, "Device or resource busy") from None
        return fd

    def drive(self, line: int, level: int) -> None:
        """Set an output that is held, and write it down where it changed. Raises OSError when broken."""
        fault = self.fault(line)
        if "write" in fault:
            raise OSError(fault["write"], os.strerror(fault["write"]))
        level = fault.get("stuck", level)
        before, file = self.level(line), self.folder / f"{line}.level"
        new = file.with_suffix(f".{os.getpid()}")
        new.write_text(str(level))
        new.replace(file)  # a reader never sees half a change
        if before != level:
            with (self.folder / "timeline.jsonl").open("a") as timeline:
                timeline.write(json.dumps({"at_s": boottime_s(), "line": line, "level": level}) + "\n")

    def fault(self, line: int) -> dict[str, int]:
        """What is wrong with a line."""
        file = self.folder / "faults.json"
        broken = json.loads(file.read_text()) if file.exists() else {}
        return dict(broken.get(str(line), {}))

    def pulled(self, line: int) -> int:
        """What an input is pulled to."""
        file = self.folder / f"{line}.pull"
        return int(file.read_text() or "0") if file.exists() else 0

    def _fifo(self, line: int) -> int:
        path = self.folder / f"{line}.edges"
        if not path.exists():
            os.mkfifo(path)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


class FakeGpiod:
    """As much of the `gpiod` module as janus-latchd uses; values and settings are libgpiod's own."""

    line = gpiod.line
    LineSettings = gpiod.LineSettings
    EdgeEvent = gpiod.EdgeEvent

    def __init__(self, chip: FakeChip) -> None:
        self.chip = chip

    def request_lines(
        self, path: str, consumer: str, config: dict[int | str, gpiod.LineSettings]
    ) -> FakeRequest:
        """Take one line. Raises OSError with EBUSY, ValueError for a name: this chip's lines have none."""
        del path, consumer
        ((line, settings),) = config.items()
        if not isinstance(line, int):
            raise ValueError(f"unknown line name: {line}")
        return FakeRequest(self.chip, line, settings)


class FakeRequest:
    """One line that is held."""

    def __init__(self, chip: FakeChip, line: int, settings: gpiod.LineSettings) -> None:
        self._chip, self._line, self._low = chip, line, settings.active_low
        self._is_input = settings.direction is gpiod.line.Direction.INPUT
        self._held = chip.hold(line)
        self.offsets = [line]
        self.fd = chip._fifo(line) if self._is_input else -1
        if not self._is_input:
            try:
                self.set_value(line, settings.output_value)
            except OSError:
                os.close(self._held)
                raise

    def set_value(self, line: int | str, value: gpiod.line.Value) -> None:
        """Drive the line."""
        del line
        self._chip.drive(self._line, int(bool(value) is not self._low))

    def get_value(self, line: int | str) -> gpiod.line.Value:
        """Read the line back."""
        del line
        read = self._chip.pulled(self._line) if self._is_input else self._chip.level(self._line)
        return gpiod.line.Value(int(bool(read) is not self._low))

    def read_edge_events(self) -> list[Any]:
        """The edges in the FIFO. Like libgpiod it is asked only when `fd` is readable."""
        kinds = gpiod.EdgeEvent.Type
        rising = {b"1"[0]: not self._low, b"0"[0]: self._low}
        return [
            gpiod.EdgeEvent(
                kinds.RISING_EDGE.value if rising[level] else kinds.FALLING_EDGE.value,
                time.monotonic_ns(), self._line, number, number,
            )
            for number, level in enumerate(os.read(self.fd, 64))
        ]  # fmt: skip

    def release(self) -> None:
        """Let the line go."""
        os.close(self._held)
        if self._is_input:
            os.close(self.fd)


def main(arguments: list[str]) -> int:
    """Run one of the two programs on a chip in a folder."""
    folder, after, program, *rest = arguments
    chip = FakeChip(Path(folder), "persists" if after == "persists" else "falls")
    if program == "janus-latchd":
        from janusd_hw.latchd import main as latchd  # noqa: PLC0415 - each program alone, as it is installed

        return latchd.main(rest, FakeGpiod(chip))
    from janusd_hw.latchd import lock_now  # noqa: PLC0415 - likewise

    def drive(path: str, line: int, level: int) -> None:
        del path
        held = chip.hold(line)
        chip.drive(line, level)
        os.close(held)

    return lock_now.main(rest, drive)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
