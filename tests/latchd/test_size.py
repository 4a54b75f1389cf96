"""janus-latchd stays small: its lines, its memory, its start.

A line counts when it is neither blank nor comment nor docstring, as ruff formats it. The aim is 400.
Three numbers are kept here, counted from the modules that the process really loads:

    PROCESS      lines, loop, machine, main, wire: what goes on running. Still more than 400
    all loaded   that, `settings`, which reads latch.toml before, and what is shared: errors, boottime
    lock_now     a program of its own, which runs after
"""

from __future__ import annotations

import ast
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from latch_kit import Rig, as_installed

import janusd_hw.latchd as package

FOLDER = Path(package.__file__).parent
PROCESS = {"lines.py", "loop.py", "machine.py", "main.py", "wire.py"}
STARTS = int(os.environ.get("JANUS_RESTARTS", "5"))
"""`make bench-latch` says 100."""
FILES = """\
import sys, janusd_hw.latchd.main, gpiod
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("janus")))
"""


def code_lines(source: str) -> int:
    """Lines that are neither blank nor comment nor docstring."""
    prose = set()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            prose |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), start=1)
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and at not in prose for at, line in lines
    )


def said_by(program: str) -> list[str]:
    """The words that a Python prints which has loaded nothing of the tests."""
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, env=alone
    )
    return done.stdout.split()


def test_the_process_is_short_enough_to_be_read() -> None:
    counts = {path: code_lines(Path(path).read_text()) for path in said_by(FILES)}
    own = {Path(path).name: count for path, count in counts.items() if Path(path).parent == FOLDER}
    assert set(own) == PROCESS | {"settings.py", "__init__.py"}  # nothing that runs is left out of the count
    process = sum(own[name] for name in PROCESS)
    print(f"\n{own}\nprocess: {process}; with settings and all else of the project: {sum(counts.values())}")
    assert process <= 435
    assert sum(counts.values()) <= 600
    assert code_lines((FOLDER / "lock_now.py").read_text()) <= 52


def test_nothing_heavy_is_loaded() -> None:
    loaded = said_by("import sys, janusd_hw.latchd.main, gpiod; print(*sys.modules)")
    heavy = {"numpy", "cv2", "asyncio", "logging", "msgspec", "threading", "pathlib", "janusd.core"}
    assert not heavy & set(loaded)


def goes_first(is_so: bool) -> bool:
    """Let us and what we start have a processor whenever we want one, or not; whether that is allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR if is_so else os.SCHED_OTHER, os.sched_param(int(is_so)))
    except PermissionError:
        return False
    return True


class NoChip:
    """None: the real libgpiod finds no such chip, and each line is a fault."""

    path = "/dev/gpiochip-none"

    def level(self, line: int) -> int:
        raise NotImplementedError

    def pull(self, line: int, level: int) -> None:
        """Nobody is there to be pulled."""

    def command(self, program: str) -> list[str]:
        return as_installed(program)


def test_it_takes_little_memory_and_is_ready_soon(tmp_path: Path) -> None:
    """As installed, with the real libgpiod, from its start to READY=1 and to a first answer on its socket.

    What a line takes to be requested is left out here; `test_kernel.py` has it, in a slower kernel. A busy
    machine makes any start late: where that is allowed they go before everything else, and elsewhere only
    the processor time that a start takes is bounded.
    """
    rig = Rig(tmp_path, NoChip())
    ready_s, answered_s, processor_s, resident_kb = [], [], [], []
    try:
        rig.start()  # compiles, where that was never done; the package does it as it is installed
        is_first = goes_first(True)
        for _ in range(STARTS):
            rig.end()
            start_s = time.monotonic()
            ready_s.append(rig.start())
            rig.greeted().close()
            answered_s.append(time.monotonic() - start_s)
            assert rig.process is not None
            process = Path(f"/proc/{rig.process.pid}")
            ticks = process.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
            processor_s.append(sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"))
            resident_kb.append(int(process.joinpath("status").read_text().partition("VmRSS:")[2].split()[0]))
    finally:
        goes_first(False)
        rig.close()
    assert "see which chips there are" in rig.log.read_text()
    print(f"\nresident {max(resident_kb) / 1024:.1f} MiB")
    print(f"{STARTS} starts {'before' if is_first else 'beside'} all else that runs here:")
    for what, took_s in (("READY=1", ready_s), ("answered", answered_s), ("processor", processor_s)):
        print(
            f"  {what:9} median {1000 * statistics.median(took_s):4.0f} ms, max {1000 * max(took_s):4.0f} ms"
        )
    assert max(resident_kb) < 15 * 1024
    assert statistics.median(processor_s) < 0.3
    assert not is_first or statistics.median(answered_s) < 0.3
