"""janus-export pace."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from janusd import models
from janusd_export.terminal import bars

if TYPE_CHECKING:
    from janusd_export.evaluation.pace import Pace

WHAT = "time one embedding beside MobileFaceNet in float, in the same run"
MORE = (
    "Both run on LiteRT with one thread and take turns; what counts is the ratio, for milliseconds are those "
    "of this machine. Needs torch."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "--models", type=Path, default=models.RELEASED, help="model directory (the released one)"
    )
    parser.add_argument("--rounds", type=int, default=400, metavar="N", help="embeddings of each (400)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.evaluation import pace

    with bars() as show:
        found = pace.measure(models.load(options.models), options.rounds, show)
    print(json.dumps(asdict(found), indent=2) if options.json else "\n".join(lines(found)))


def lines(found: Pace) -> list[str]:
    """What is printed."""
    rows = [
        f"{one.name:<22} {one.macs / 1e6:6.1f} M multiply-accumulates {one.size / 1e6:6.2f} MB "
        f"{one.ms:7.3f} ms"
        for one in (found.ours, found.yardstick)
    ]
    each = (
        ""
        if found.views == 1
        else f"; a door embeds {found.views} views of a face: {found.views * found.ratio:.2f}"
    )
    spread = f"{found.low:.2f} to {found.high:.2f} between parts of the run"
    return [
        *rows,
        f"one view over MobileFaceNet: {found.ratio:.2f} ({spread}), {found.rounds} rounds, one thread{each}",
    ]
