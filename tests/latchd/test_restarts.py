"""No edge of a relay that nobody asked for, however often the daemons come and go.

$JANUS_RESTARTS says how often (`make bench-latch`: 100); the usual few keep the suite short. The chip writes
down every change of an output, so a blink of microseconds counts too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from latch_kit import RELAY, SECOND, FolderChip, Rig

from janusd_hw.fake_gpiod import After

TIMES = int(os.environ.get("JANUS_RESTARTS", "3"))
CLIENT = """\
import sys, time
from janusd_hw.latch_remote import RemoteLatch
latch = RemoteLatch(sys.argv[1], "front", answer_s=20)
assert latch.wait_until_ready(20), latch.fault
print("connected", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("after", ["falls", "persists"])
def test_restarts_of_janus_latchd_move_no_relay(tmp_path: Path, after: After) -> None:
    chip = FolderChip(tmp_path / "chip", after)
    rig = Rig(tmp_path, chip, door=f'relay = {RELAY}\n[door.back]\nrelay = {SECOND}\nlock = "fail-safe"\n')
    try:
        rig.start()
        before = [chip.timeline(line) for line in (RELAY, SECOND)]
        for turn in range(TIMES):
            if turn % 2:
                rig.end()
            else:
                assert rig.process is not None
                rig.process.kill()
                rig.process.wait()
            assert rig.lock_now() == 0
            rig.start()
        strike, magnet = (
            chip.timeline(line)[len(old) :] for line, old in zip((RELAY, SECOND), before, strict=True)
        )
    finally:
        rig.close()
    if (
        after == "falls"
    ):  # this kernel takes a magnet's current away with its process, and latchd gives it back
        magnet = [(at_s, level) for at_s, level in magnet if level == 0]
    false = strike + magnet
    print(f"{TIMES} restarts of janus-latchd, a dead owner's line {after}: {len(false)} false edges")
    assert not false


def test_restarts_of_janusd_move_no_relay(tmp_path: Path) -> None:
    """A client connects, is killed, comes again: the strike never moves."""
    chip = FolderChip(tmp_path / "chip", "persists")
    rig = Rig(tmp_path, chip)
    try:
        rig.start()
        before = len(chip.timeline(RELAY))
        for turn in range(TIMES):
            client = subprocess.Popen(
                [sys.executable, "-I", "-c", CLIENT, rig.socket], stdout=subprocess.PIPE
            )
            assert client.stdout is not None
            assert client.stdout.readline() == b"connected\n"
            client.send_signal((signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)[turn % 3])
            client.communicate()
        edges = chip.timeline(RELAY)[before:]
    finally:
        rig.close()
    print(f"{TIMES} restarts of the client: {len(edges)} false edges")
    assert not edges
