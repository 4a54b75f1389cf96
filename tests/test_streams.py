"""A program whose standard streams were closed by whoever started it says what it has to say, or nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("command", "closed", "status"),
    [
        ("janusd.cli.main forget bob", "<&-", 2),
        ("janusd.cli.main --socket /nowhere status --json", ">&-", 3),
        ("janusd.cli.main --socket /nowhere status", "<&- >&- 2>&-", 3),
        ("janusd.main --config /nowhere --check", "<&- >&- 2>&-", 78),
        ("janusd_export.main report /nowhere --out /nowhere/report.html", "<&- >&- 2>&-", 1),
    ],
)
def test_closed_streams_end_no_program_in_a_traceback(command: str, closed: str, status: int) -> None:
    words = [sys.executable, "-m", *command.split()]
    ran = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == status, ran.stderr
    assert "Traceback" not in ran.stderr
