"""Standard streams that whoever started a program closed: `janusctl status <&-`."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def fill() -> None:
    """Put the null device where a stream is closed. Python has None there, which nobody asks or writes to."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - as long as it runs
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - likewise
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - likewise
