"""How one of our programs starts another, wherever it was installed.

The Debian package keeps its libraries where Python does not look by itself, and each program there adds the
folder first. A child started with `python -m` would not find them; one started with this does.
"""

from __future__ import annotations

import sys
from pathlib import Path

_START = (
    "import runpy, sys; sys.path.insert(0, {where!r}); "
    "runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of ours as a program, with this Python and these libraries."""
    where = str(Path(__file__).resolve().parents[1])
    return [sys.executable, "-c", _START.format(where=where, module=module), *arguments]
