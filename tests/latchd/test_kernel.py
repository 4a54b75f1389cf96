"""janus-latchd on real GPIO lines: libgpiod on the kernel's gpio-sim, in a kernel of its own.

gpio-sim with `persist=1` keeps a dead owner's level, as Raspberry Pi kernels do. Not proven: a real pin, a
relay, the time electricity takes.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest
from latch_kit import show

from support.small_kernel import boot, needs_kernel

pytestmark = [pytest.mark.slow, needs_kernel]


@pytest.fixture(scope="module")
def said() -> list[dict[str, Any]]:
    """What the program in the kernel printed."""
    lines = boot(Path(__file__).with_name("in_kernel.py"), ["gpio-sim"], memory_mb=256)
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
    print("resident kB:", every(said, "resident_kb"))
    for ready_s in every(said, "ready_s"):
        in_ms = f"median {1000 * median(ready_s):.0f} ms, max {1000 * max(ready_s):.0f} ms"
        print(f"ready after, of {len(ready_s)} starts in this kernel: {in_ms}")
    assert max(every(said, "resident_kb")) < 15 * 1024
