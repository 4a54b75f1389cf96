"""janus-export prepare."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
from pathlib import Path

from janusd_export.terminal import bars

WHAT = "decode shards, find landmarks, ask the teachers"
MORE = "Parts that are there already are kept."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--shards", type=Path, required=True, help="folder of faces-*.tar and index.csv")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the teachers' networks")
    parser.add_argument("--cache", type=Path, required=True, help="where the parts are kept")
    parser.add_argument(
        "--margin", type=int, default=16, help="pixels around the 112 px crop in the shards (16)"
    )
    parser.add_argument("--again", action="store_true", help="make every part anew")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.prepare import prepare

    with bars() as show:
        prepare(
            options.shards,
            options.teachers,
            options.cache,
            margin_px=options.margin,
            again=options.again,
            report=show,
        )
