"""Processes that help must not outlive the first one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from janusd_export import workers

KEPT: list[int] = []
FIRST = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from janusd_export import workers
import test_workers

if __name__ == "__main__":
    with workers.pool(2, test_workers.keep, 7) as pool:
        for _ in range(2):
            pool.submit(test_workers.scribble, Path(sys.argv[1]))
        time.sleep(60)
"""


def keep(number: int) -> None:
    KEPT.append(number)


def kept(_: int) -> list[int]:
    return KEPT


def scribble(folder: Path) -> None:
    """Write down that this process lives, for as long as it does."""
    import os  # noqa: PLC0415

    for _ in range(600):
        (folder / str(os.getpid())).write_text(str(time.monotonic()))
        time.sleep(0.05)


def test_each_begins_with_what_it_is_given() -> None:
    with workers.pool(1, keep, 7) as pool:
        assert list(pool.map(kept, [0, 1])) == [[7], [7]]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_they_end_with_the_first_one_even_if_it_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    first = subprocess.Popen([sys.executable, "-c", FIRST, str(tmp_path), str(Path(__file__).parent)])
    try:
        end_s = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < end_s, "no worker began"
            time.sleep(0.05)
    finally:
        first.send_signal(how)
        first.wait()
    time.sleep(1.0)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    time.sleep(1.0)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
