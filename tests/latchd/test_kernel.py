"""janus-latchd on real GPIO lines: libgpiod, the kernel's gpio-sim, in a kernel of its own (User Mode Linux).

It needs a kernel and its modules in the folder $JANUS_RIG, or those of `make rig-kernel`; without them it is
skipped. The kernel sees this machine's files read-only. gpio-sim with `persist=1` keeps a dead owner's
level, as Raspberry Pi kernels do. Not proven: a real pin, a relay, the time electricity takes.
"""

from __future__ import annotations

import json
import lzma
import os
import platform
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from latch_kit import show

ROOT = Path(__file__).parents[2]
RIG = Path(os.environ.get("JANUS_RIG", ROOT / "build" / "rig" / "kernel"))
KERNEL, MODULES = RIG / "linux.uml.xz", next(RIG.glob("uml-modules-*.tar.xz"), RIG / "none")
COMMAND_LINE = [
    "mem=256M",
    "root=/dev/root",
    "rootfstype=hostfs",
    "rootflags=/",
    "ro",
    "quiet",
    "con=null",
    "con0=fd:0,fd:1",
    "console=tty0",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not KERNEL.exists() or platform.machine() != "x86_64" or os.geteuid() != 0,
        reason="needs root, x86-64, and a kernel with gpio-sim in $JANUS_RIG",
    ),
]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the program in the kernel printed."""
    folder = tmp_path_factory.mktemp("kernel")
    kernel = folder / "linux"
    kernel.write_bytes(lzma.decompress(KERNEL.read_bytes()))
    kernel.chmod(0o755)
    with tarfile.open(MODULES) as modules:
        member = next(name for name in modules.getnames() if name.endswith("updates/gpio-sim.ko"))
        module = folder / "gpio-sim.ko"
        found = modules.extractfile(member)
        assert found is not None
        module.write_bytes(found.read())
    # /tmp is covered inside: what it needs lies elsewhere.
    outside = Path("/var/tmp") / f"janus-kernel-{os.getpid()}"
    outside.mkdir()
    start = outside / "init"
    start.write_text(f"#!/bin/sh\nexec {sys.executable} -B {Path(__file__).with_name('in_kernel.py')}\n")
    start.chmod(0o755)
    module.rename(outside / "gpio-sim.ko")
    try:
        done = subprocess.run(
            [
                kernel,
                *COMMAND_LINE,
                f"umid={outside.name}",
                f"init={start}",
                f"janus_module={outside}/gpio-sim.ko",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=500,
            check=False,
        )
    finally:
        for file in outside.iterdir():
            file.unlink()
        outside.rmdir()
    lines = [json.loads(line[6:]) for line in done.stdout.splitlines() if line.startswith("JANUS ")]
    assert lines, done.stdout[-2000:] + done.stderr[-2000:]
    assert lines[-1] == {"done": True}, lines[-1].get("error", lines[-1])
    return lines


def every(said: list[dict[str, Any]], key: str) -> list[Any]:
    """What was said under that key: first where a dead owner's line falls, then where it persists."""
    return [line[key] for line in said if key in line]


def test_whoever_dies_or_hangs_in_mid_pulse_a_real_line_is_locked(said: list[dict[str, Any]]) -> None:
    for how, times in zip(("falls", "persists"), every(said, "kill_times"), strict=True):
        show(times, f"gpio-sim in Linux {said[0]['kernel']}, a dead owner's line {how}")
        assert max(times.values()) < 12


def test_a_bounce_is_no_press_and_a_press_opens_without_a_client(said: list[dict[str, Any]]) -> None:
    assert every(said, "bounce_opens") == [0, 0]
    print("REX to relay, debounce of 20 ms included:", every(said, "press_opens_after_s"))


def test_no_level_of_a_restart_is_released(said: list[dict[str, Any]]) -> None:
    assert every(said, "levels_over_restarts") == [[0], [0]]


def test_a_line_of_another_process_is_a_fault_until_it_is_free(said: list[dict[str, Any]]) -> None:
    assert all("another process holds it" in line for line in every(said, "contended"))
    assert every(said, "after_contention") == [1, 1]


def test_it_is_small_and_soon_ready_on_the_real_chip(said: list[dict[str, Any]]) -> None:
    print("resident kB:", every(said, "resident_kb"), "ready s:", every(said, "ready_s"))
    assert max(every(said, "resident_kb")) < 15 * 1024
