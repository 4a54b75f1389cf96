"""`make rig-short`: what cannot run here is skipped aloud, and what fails fails. No kernel is booted."""

from __future__ import annotations

import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from scenarios import PERSISTS, SCENARIOS  # noqa: E402 - the rig is a program, not a package

GOOD = {"uname": "echo x86_64", "id": "echo 0", "ip": "exit 0", "make": "exit 0", "python": "exit 0"}
"""Programs that stand in for the machine's own."""
NEEDED = ("mmdebstrap", "mke2fs", "ssh", "ssh-keygen", "unshare")
STARTS = "echo the first process runs"


def short(folder: Path, kernel: str = STARTS, **others: str) -> subprocess.CompletedProcess[str]:
    programs = folder / "bin"
    programs.mkdir()
    for name, does in {**dict.fromkeys(NEEDED, "exit 0"), **GOOD, **others}.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    (folder / "linux.uml.xz").write_bytes(lzma.compress(f"#!/bin/sh\n{kernel}\n".encode()))
    return subprocess.run(
        ["bash", HERE / "short.sh", programs / "python", folder / "out"],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "JANUS_RIG": str(folder)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"uname": "echo aarch64"}, "User Mode Linux runs on x86-64, this is aarch64"),
        ({"id": "echo 1000"}, "it needs root"),
        ({"ip": "exit 1"}, "no network namespace with a tap device"),
        (
            {"kernel": "echo ptrace is not allowed; exit 1"},
            "does not start on this machine: ptrace is not allowed",
        ),
    ],
)
def test_a_machine_that_it_cannot_run_on_is_skipped_in_one_line(
    tmp_path: Path, others: dict[str, str], why: str
) -> None:
    done = short(tmp_path, **others)
    assert (done.returncode, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("THE RIG IS SKIPPED: ")
    assert why in done.stdout


@pytest.mark.parametrize("fails", ["make", "python"])
def test_a_scenario_or_a_test_that_fails_fails(tmp_path: Path, fails: str) -> None:
    done = short(tmp_path, **{fails: "exit 1"})
    assert done.returncode != 0
    assert "SKIPPED" not in done.stdout


def test_it_plays_scenarios_that_there_are_and_those_that_persist(tmp_path: Path) -> None:
    done = short(tmp_path, make='echo "$@"')
    assert done.returncode == 0, done.stderr
    asked = done.stdout.strip().partition("PART=")[2].split()
    assert set(asked) <= set(SCENARIOS)
    assert {"sigkill-janusd", "sigkill-latchd"} <= set(asked) & set(PERSISTS)
