"""janus-export synthesize."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

from janusd_export.errors import ExportError
from janusd_export.terminal import bars

WHAT = "draw faces of people who do not exist, as shards that import reads"
MORE = (
    "The generator is MobileStyleGAN, weights in the Apache-2.0 wheel random-face: pip install --no-deps "
    "--target DIR random-face==2021.7.21.1. The same seed draws the same people; a larger --count goes on "
    "where a smaller one ended, and an interrupted run where it stopped."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--count", type=int, required=True, help="faces to draw")
    parser.add_argument("--out", type=Path, required=True, help="where the shards are written")
    parser.add_argument("--generator", type=Path, required=True, help="the folder of the unpacked wheel")
    parser.add_argument("--seed", type=int, default=0, help="which people (0)")
    parser.add_argument(
        "--views", type=int, default=1, help="pictures a person (1); from 2 on they are labelled"
    )
    parser.add_argument(
        "--truncation", type=float, default=0.7, help="how unusual people may be: 0 not at all, 1 very (0.7)"
    )
    parser.add_argument(
        "--whole", action="store_true", help="run the whole generator: four times as long, a little sharper"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that draw (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from rich.console import Console
    from rich.table import Table

    from janusd_export.faces.sources import Refusal
    from janusd_export.faces.synthetic import GeneratorDrawer, Plan, synthesize

    if options.count < 1 or options.views < 1 or options.jobs < 1:
        raise ExportError("--count, --views and --jobs must be at least 1")
    if options.seed < 0 or not 0.0 <= options.truncation <= 1.5:
        raise ExportError("--seed must not be negative, and --truncation lie between 0 and 1.5")
    plan = Plan(options.seed, options.views, options.truncation, not options.whole)
    with bars() as show:
        found = synthesize(
            GeneratorDrawer(options.generator, plan),
            plan,
            options.count,
            options.out,
            jobs=options.jobs,
            progress=show,
        )
    if options.json:
        print(json.dumps({"out": str(options.out), **found}, indent=2))
        return
    table = Table("", "")
    table.columns[1].justify = "right"
    table.add_row("faces", f"{found.pop('faces'):,}")
    for reason, count in sorted(found.items()):
        table.add_row(Refusal(reason).explanation, f"{count:,}")
    Console().print(table)
