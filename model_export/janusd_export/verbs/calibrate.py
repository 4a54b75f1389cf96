"""janus-export calibrate."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

from janusd import models
from janusd_export.terminal import bars

WHAT = "measure impostor and genuine scores of held-out people"
MORE = (
    "Writes thresholds and their tail into the manifest; a door's promise rests on them. Rates that the "
    "comparisons cannot show are extrapolated, and marked so. How well the tail fits goes into tail.json."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("recipe", type=Path, help="the recipe of the run, for its held-out people")
    parser.add_argument("--cache", type=Path, required=True, help="what import and teach wrote")
    parser.add_argument("--models", type=Path, required=True, help="the model directory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import msgspec

    from janusd_export.compiling.release import write_manifest
    from janusd_export.evaluation import findings
    from janusd_export.evaluation.calibrate import (
        CHOSEN_AT,
        calibrate,
        check_tail,
        compare,
        embed_held_out,
        fit_attenuation,
        lengthened,
    )
    from janusd_export.faces.device import open_pipeline
    from janusd_export.training import recipe

    chosen, seen_by = recipe.load(options.recipe), open_pipeline(options.models)
    with bars() as show:
        held_out = embed_held_out(
            chosen,
            options.cache,
            seen_by,
            lambda done, total: show("held-out", done, total),
        )
    attenuation, tried = fit_attenuation(held_out)
    held_out = lengthened(held_out, attenuation)
    found = calibrate(held_out, chosen.seed)
    manifest = models.load(options.models).manifest
    encoder = msgspec.structs.replace(
        manifest.encoder, attenuation=attenuation, calibration=found, detector=seen_by.detector.name
    )
    write_manifest(options.models, msgspec.structs.replace(manifest, encoder=encoder))
    check = check_tail(compare(held_out).impostor, found.tail)
    findings.write(options.models / findings.TAIL_FILE, check)
    if options.json:
        print(json.dumps(msgspec.to_builtins(found), indent=2))
        return
    for exponent, matched in tried.items():
        print(f"exponent {exponent:<5g} {matched} friends match at FMR {CHOSEN_AT:g}")
    if attenuation is not None:
        print(f"embeddings are (answer / {attenuation.typical:g}) ** -{attenuation.exponent:g} long")
    print(found.description)
    print(f"{found.impostor_comparisons:,} impostor and {found.genuine_comparisons:,} genuine comparisons")
    for row in found.table:
        print(f"FMR {row.fmr:<7g} threshold {row.threshold:.4f} [{row.low:.4f}, {row.high:.4f}]")
    for row in found.extrapolated:
        print(f"FMR {row.fmr:<7g} threshold {row.threshold:.4f} [{row.low:.4f}, {row.high:.4f}] EXTRAPOLATED")
    tail = found.tail
    print(
        f"tail above {tail.location:.4f}: scale {tail.scale:.4f}, shape {tail.shape:.4f}, "
        f"rate {tail.exceed_rate:.2e}"
    )
    inside = sum(a <= x <= b for x, a, b in zip(check.observed, check.low, check.high, strict=True))
    print(f"fit: {inside} of {len(check.observed)} quantiles lie where independent scores would put them")
    for choice in check.choices:
        print(
            f"  tail of the highest {choice.exceed_rate:.2g}: shape {choice.shape:.4f}, "
            f"FMR 1e-06 at {choice.threshold:.4f}"
        )
    print("genuine quantiles", found.genuine_quantiles)
