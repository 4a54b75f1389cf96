"""janus-export teach."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

from janusd_export.terminal import bars

WHAT = "ask the teachers what they think of every face in a cache"
MORE = (
    "Only faces that a teacher has not seen yet are asked about, so it can be interrupted, and repeated "
    "after another import. A model that learns from a teacher is under its licence: see --permissive."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the teachers' networks")
    parser.add_argument("--cache", type=Path, required=True, help="what import wrote")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="ask only this one; may be given several times"
    )
    parser.add_argument(
        "--permissive", action="store_true", help="ask only teachers that a product may be made with"
    )
    parser.add_argument("--again", action="store_true", help="forget what they said before")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from rich.console import Console
    from rich.table import Table

    from janusd_export.faces.teach import teach
    from janusd_export.faces.teachers import choose

    chosen = choose(options.only, only_permissive=options.permissive)
    with bars() as show:
        found = teach(options.cache, options.teachers, chosen, again=options.again, progress=show)
    rows = [
        {"teacher": t.name, "licence": t.licence, "faces": len(found[t.name]), "dimensions": t.dimensions}
        for t in chosen
    ]
    if options.json:
        print(json.dumps({"teachers": rows}, indent=2))
        return
    table = Table("teacher", "licence", "faces", "dimensions")
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row.values()))
    Console().print(table)
