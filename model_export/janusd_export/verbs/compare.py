"""janus-export compare."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from janusd_export.evaluation.findings import OperatingPoint

WHAT = "train one student for each objective, and show what each came to"
MORE = (
    "From the same weights, on the same faces, with the same budget: contrastive, triplet, softmax, arcface, "
    "distillation from each teacher alone, from all of them, with their ranking of faces, and all that the "
    "recipe asks for. Objectives that only know people learn from labelled faces alone. A comparison that "
    "was interrupted goes on with the run it was in; with --only, more objectives can be added later. "
    "janus-export report shows the folder."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("recipe", type=Path, help="the base: student, schedule, faces, augmentation, seed")
    parser.add_argument("--cache", type=Path, required=True, help="what import and teach wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and of comparison.json")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="steps each (the recipe's schedule)")
    budget.add_argument("--minutes", type=float, help="minutes each, instead")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these objectives (all)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import msgspec
    from rich.console import Console
    from rich.table import Table

    from janusd_export.evaluation.comparison import RATES
    from janusd_export.evaluation.contest import Budget, compare
    from janusd_export.reporting.objectives import draw_picture
    from janusd_export.training import recipe

    base = recipe.load(options.recipe)
    with _aside():
        found = compare(
            base,
            options.cache,
            options.out,
            Budget(options.steps, options.minutes),
            options.only,
            say=lambda line: print(line, flush=True),
        )
    picture = draw_picture(options.out, found)
    if options.json:
        said = msgspec.to_builtins(found)
        del said["settings"]
        print(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
        return
    table = Table(
        "objective", *(f"TAR at FAR {fmr:g}" for fmr in RATES), "EER", "learnt from", "seen", "seconds"
    )
    table.columns[0].no_wrap = True
    for row in found.outcomes:
        table.add_row(
            row.name,
            *map(_share, row.points),
            f"{100 * row.equal_error_rate:.2f} %",
            f"{row.learnt_from:,}" + (" labelled" if row.knows_people else ""),
            f"{row.faces_seen:,}",
            f"{row.seconds:,.0f}",
        )
    Console().print(table)
    print(
        f"{found.held_out_faces:,} faces of {found.held_out_people:,} people held out of all: "
        f"{found.genuine:,} genuine and {found.impostor:,} impostor pairs. Intervals: 95 %, bootstrap over "
        f"people.{f' {picture}' if picture else ''}"
    )


def _share(point: OperatingPoint) -> str:
    """The matched share over its interval."""
    if point.matched is None:
        return "too few pairs"
    low, high = point.by_people or (point.matched.low, point.matched.high)
    return f"{100 * point.matched.value:.2f} %\n[{100 * low:.2f}, {100 * high:.2f}]"


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """What is printed meanwhile, here or in a process started here, goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
