"""janus-latchd stays small: its lines, its memory, its start."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from latch_kit import FolderChip, Rig

import janusd_hw.latchd as package

FOLDER = Path(package.__file__).parent
PROCESS = ["lines.py", "loop.py", "machine.py", "main.py", "wire.py"]
"""What runs; `settings.py` is read before, `lock_now.py` after."""


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


def test_the_process_is_short_enough_to_be_read() -> None:
    counts = {
        name: code_lines((FOLDER / name).read_text()) for name in [*PROCESS, "settings.py", "lock_now.py"]
    }
    print(counts, "process:", sum(counts[name] for name in PROCESS))
    assert sum(counts[name] for name in PROCESS) <= 472
    assert counts["settings.py"] <= 108
    assert counts["lock_now.py"] <= 49


def test_nothing_heavy_is_loaded() -> None:
    program = "import sys, janusd_hw.latchd.main, gpiod; print(*sys.modules)"
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, env=alone
    ).stdout.split()
    heavy = {"numpy", "cv2", "asyncio", "logging", "msgspec", "threading", "pathlib", "janusd.core"}
    assert not heavy & set(loaded)


def test_it_takes_little_memory_and_is_ready_soon(tmp_path: Path) -> None:
    """With the folder chip, which loads pathlib and json besides: `test_kernel.py` measures without."""
    rig = Rig(tmp_path, FolderChip(tmp_path / "chip", "falls"))
    try:
        ready_s = min(rig.start() + 0 * rig.end() for _ in range(3))
        rig.start()
        assert rig.process is not None
        status = Path(f"/proc/{rig.process.pid}/status").read_text()
    finally:
        rig.close()
    resident_kb = int(status.partition("VmRSS:")[2].split()[0])
    print(f"resident {resident_kb / 1024:.1f} MiB, ready after {1000 * ready_s:.0f} ms (best of 3)")
    assert resident_kb < 18_000
