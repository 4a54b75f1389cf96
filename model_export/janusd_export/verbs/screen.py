"""janus-export screen."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from janusd import models
from janusd_export.terminal import bars

WHAT = "drop pictures that are there twice, and people whom an evaluation shows"
MORE = (
    "Writes CACHE/dropped.csv: each face taken out, why, and which face it resembles; training, pairs and "
    "the held-out split leave those faces out. Nothing is deleted, and each run decides anew. Teachers judge "
    "best; without them the released int8 encoder does."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--cache", type=Path, required=True, help="what import wrote")
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="[NAME=]SOURCE",
        help="evaluations whose people must not be learnt from; anything that import reads",
    )
    parser.add_argument("--teachers", type=Path, help="folder of the teachers' networks")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="ask only this teacher; may be given several times"
    )
    parser.add_argument(
        "--models",
        type=Path,
        default=models.RELEASED,
        help="without teachers: model directory (the released)",
    )
    parser.add_argument(
        "--alike",
        type=float,
        help="cosine from which a face may be an evaluation's person (teachers: 0.5; the encoder: what "
        "its manifest says that one in a hundred innocent faces reaches)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from rich.console import Console
    from rich.table import Table

    from janusd_export.faces.screen import Why, screen
    from janusd_export.faces.sources import recognise
    from janusd_export.faces.teachers import choose

    with bars() as show:
        found = screen(
            options.cache,
            [recognise(given) for given in options.against],
            teachers=choose(options.only),
            teachers_dir=options.teachers,
            models_dir=options.models,
            alike_person=options.alike,
            progress=show,
        )
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return
    table = Table(title=f"of {found.faces:,} faces in {options.cache}, by {', '.join(found.judges)}")
    table.add_column("taken out")
    table.add_column("", justify="right")
    for why in Why:
        table.add_row(why.explanation, f"{found.dropped.get(why.value, 0):,}")
    table.add_row("people without a face left", f"{found.people:,}")
    console = Console(highlight=False)
    console.print(table)
    if options.against:
        console.print(
            f"compared with {found.compared_with:,} faces of evaluations, alike from cosine "
            f"{found.same_person:.3f}; {found.not_compared:,} of their pictures show no face",
            soft_wrap=True,
        )
    console.print(f"{options.cache / 'dropped.csv'} names each of them", soft_wrap=True)
