"""Which files a device has: the table in ARCHITECTURE.md."""

from __future__ import annotations

import re
from collections.abc import Sequence


def on_device(architecture: str) -> dict[str, str]:
    """What each path is, in the table's order; paths that stand together are one entry."""
    _, _, table = architecture.partition("## Files on the device\n")
    rows = re.findall(r"^\| (`.+?) \| (.+?) \| .+? \|$", table, re.MULTILINE)
    # The decision records are for those who read the source.
    return {paths: re.sub(r" \(`docs/adr/\d+`\)", "", what) for paths, what in rows}


def beginning(files: dict[str, str], *paths: str) -> Sequence[tuple[str, str]]:
    """The entries whose first path begins with one of these. Raises LookupError where there is none."""
    found = [
        (entry, what)
        for entry, what in files.items()
        if entry.startswith(tuple(f"`{path}" for path in paths))
    ]
    for path in paths:
        if not any(entry.startswith(f"`{path}") for entry, _ in found):
            raise LookupError(f"ARCHITECTURE.md names no file {path}")
    return found
