"""janus-export identify."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

from janusd_export.errors import ExportError
from janusd_export.terminal import bars, measuring, plain

WHAT = "enrol people from a photo or more, show others, count the errors"
MORE = "Thresholds come from the manifest for the gallery's size: FMR = 1 - (1 - FPIR)^(1/N)."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "--gallery", type=Path, help="PERSON/*.jpg as folder or tar; the first photo of each is enrolled"
    )
    parser.add_argument(
        "--probes", type=Path, help="PERSON/*.jpg as folder or tar; people not in the gallery are strangers"
    )
    parser.add_argument("--lfw", type=Path, help="draw both from one collection instead")
    parser.add_argument("--people", type=int, default=50, help="with --lfw: people to enrol (50)")
    parser.add_argument(
        "--probes-count",
        type=int,
        default=500,
        help="with --lfw: photos to show (500), up to half of them of enrolled people",
    )
    parser.add_argument("--samples", type=int, default=1, help="photos that each is enrolled from (1)")
    parser.add_argument(
        "--nearest", action="store_true", help="compare with each photo alone, not with a person's mean"
    )
    parser.add_argument("--seed", type=int, default=0, help="with --lfw: which draw (0)")
    parser.add_argument("--fpir", type=float, action="append", help="a promise; may be given several times")
    measuring(parser, keeps_embeddings=True)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import msgspec

    from janusd_export.evaluation import identify

    if options.samples < 1:
        raise ExportError(f"--samples {options.samples}: enrol everybody from one photo or more")
    if options.lfw:
        plan = identify.plan_lfw(
            options.lfw, options.people, options.probes_count, options.seed, options.samples
        )
    elif options.gallery and options.probes:
        plan = identify.plan_collections(options.gallery, options.probes, options.samples)
    else:
        raise ExportError("give --gallery and --probes, or --lfw")
    targets = tuple(options.fpir) if options.fpir else identify.FPIR_TARGETS
    with bars() as show:
        found = identify.identify(
            plan,
            options.models,
            options.cache,
            fpir_targets=targets,
            nearest=options.nearest,
            jobs=options.jobs,
            progress=lambda done, total: show("photographs", done, total),
        )
    if options.json:
        print(json.dumps(plain(msgspec.to_builtins(found)), indent=2))
        return
    print(
        f"{found.enrolled} people enrolled from {options.samples} photo{'s' * (options.samples > 1)} each; "
        f"{found.mated} photos of them and {found.non_mated} of strangers shown"
    )
    if found.not_enrolled:
        print("no face found in the photo of: " + ", ".join(found.not_enrolled))
    print(f"no face found in {found.missed_probes} of the photos shown")
    print(f"rank 1, any score    {found.rank_1}")
    for row in found.thresholds:
        basis = "extrapolated" if row.is_extrapolated else "measured"
        print(
            f"promise FPIR {row.fpir_promised:.3g}: FMR {row.fmr:.2e} ({basis}), "
            f"threshold {row.threshold:.4f}"
        )
        print(f"    FNIR {row.fnir}, of them taken for another person: {row.wrong_person}")
        print(f"    FPIR {row.fpir}")
