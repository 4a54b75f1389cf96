"""janus-export evaluate."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from janusd import models
from janusd_export.terminal import bars, measuring, plain

if TYPE_CHECKING:
    from janusd_export.evaluate import OperatingPoint

WHAT = "score pairs of photographs, as LFW's view 2"
MORE = (
    "Of several faces in a photograph the one nearest its centre counts, if it is at least half as "
    "tall as the tallest. A pair with a photograph in which no face is found does not match."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--lfw", type=Path, required=True, help="pairs.csv beside PERSON/*.jpg or *.tar")
    parser.add_argument("--limit", type=int, help="only so many pairs, spread evenly: a quick look")
    parser.add_argument("--cross", action="store_true", help="also all pairs of people with two photographs")
    measuring(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.device import encoder_ms
    from janusd_export.evaluate import evaluate

    with bars() as show:
        found = evaluate(
            options.lfw,
            options.models,
            options.cache,
            limit=options.limit,
            with_cross=options.cross,
            jobs=options.jobs,
            progress=lambda done, total: show("photographs", done, total),
        )
    encoder = models.load(options.models).manifest.encoder
    size = (options.models / encoder.file).stat().st_size
    spent_ms = encoder_ms(options.models)
    if options.json:
        head = {"encoder": encoder.name, "sha256": encoder.sha256, "bytes": size, "encoder_ms": spent_ms}
        print(json.dumps({**head, **plain(asdict(found))}, indent=2))
        return
    print(f"{encoder.name} {encoder.version}, detector {encoder.detector}, int8, no quality floor")
    print(
        f"{size:,} bytes; one run {spent_ms:.2f} ms of one processor core (median of 100), "
        f"{2 if encoder.mirrored else 1} an embedding"
    )
    print(f"{found.genuine:,} genuine and {found.impostor:,} impostor pairs of {found.photos:,} photographs")
    print(
        f"no face found in {found.missed_photos} photographs: "
        f"{found.missed_pairs} pairs, counted as not matching"
    )
    print(f"accuracy (10 folds)  {found.accuracy}")
    print(f"equal error rate     {100 * found.equal_error_rate:.2f} %")
    _print_points(found.points)
    if found.cross:
        cross = found.cross
        print(
            f"all pairs of {cross.photos:,} photographs of the {cross.people:,} people with two or more: "
            f"{cross.genuine:,} genuine, {cross.impostor:,} impostor"
        )
        _print_points(cross.points)


def _print_points(points: Sequence[OperatingPoint]) -> None:
    for point in points:
        print(f"TAR at FAR {point.fmr:<7g}   {point.matched}, threshold {point.threshold:.4f}")
