"""janus-export nods."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from janusd_export.terminal import bars, measuring

if TYPE_CHECKING:
    from janusd_export.evaluation.nods import Bent, Nodded

WHAT = "measure what a nod does to the score, to attack detection and to a challenge: SIMULATED"
MORE = (
    "Portraits of people who do not exist are bent up and down and put through the door's own pipeline; "
    "landmarks of heads and prints that nod are put before relief and challenge. Negative angles look up. "
    "Nothing here was a real head: the figures say which step a nod touches, not how often at a door."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--count", type=int, default=300, help="simulated presentations of each kind (300)")
    parser.add_argument(
        "--fmr", type=float, default=1e-4, help="the threshold is the manifest's for it (1e-4)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (1)")
    measuring(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd import models
    from janusd.config import ModelSection
    from janusd.core.manifest import operating_point
    from janusd.main import open_pipeline
    from janusd_export.evaluation import nods

    pipeline = open_pipeline(ModelSection(), models.load(options.models))
    threshold = operating_point(pipeline.spec.calibration, options.fmr).threshold
    with bars() as show:
        bent = nods.pictures(pipeline, threshold, show)
        rows = [*nods.films(pipeline, show), *nods.paths(options.count, options.seed, show),
                *nods.challenges(options.count, options.seed, show)]  # fmt: skip
    if options.json:
        made = {"is": "SIMULATED", "threshold": threshold, "pictures": [asdict(row) for row in bent],
                "geometry": [asdict(row) for row in rows]}  # fmt: skip
        print(json.dumps(made, indent=2))
        return
    print(f"SIMULATED, threshold {threshold:.3f} (FMR {options.fmr:g})")
    print("\n".join([*map(_bent, bent), *map(_nodded, rows)]))


def _bent(row: Bent) -> str:
    return (
        f"SIMULATED pictures  {row.pitch_deg:+5.0f} degrees: found {row.found} of {row.shown}, "
        f"fit {row.fit}, matched {row.matched}, taken for others {row.others}, mean score {row.score:.3f}; "
        f"read as {row.read_deg:+.1f} degrees (of exact points {row.true_deg:+.1f}), yaw off by "
        f"{row.yaw_deg:.1f}; passive {row.genuine:.2f}, passed {row.passive_passed}"
    )


def _nodded(row: Nodded) -> str:
    from janusd.core import rates

    low, high = rates.bounds(row.passed, row.trials)
    flat = f", called flat {row.flat}" if row.part != "challenge" else ""
    return (
        f"SIMULATED {row.part:9} {row.species:45} {row.rate_name:6} {row.passed / row.trials:6.1%} "
        f"[{low:.1%}, {high:.1%}]  {row.passed} of {row.trials}{flat}"
    )
