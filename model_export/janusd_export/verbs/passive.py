"""janus-export passive: outline, train, compile, evaluate, join."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from janusd_export.errors import ExportError
from janusd_export.terminal import bars, plain

if TYPE_CHECKING:
    from janusd_export.passive.evaluate import Evaluation

WHAT = "make our own attack detection network: outline, train, compile, evaluate, join"
MORE = (
    "People of a detector's library are shown living and on simulated prints and screens, all through the "
    "same simulated cameras. What is measured are people and species of attack that training never saw. "
    "Every figure is SIMULATED."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    steps = parser.add_subparsers(required=True, metavar="STEP", dest="step")

    outline = steps.add_parser("outline", help="find people's outlines, so that they can stand anywhere")
    _material(outline)

    train = steps.add_parser(
        "train", help="show people living and on prints and screens, then run or resume the training"
    )
    train.add_argument("recipe", type=Path, help="recipes/passive.toml explains each number")
    _material(train)
    train.add_argument(
        "--cache", type=Path, required=True, help="where what the network sees is kept, for the next run too"
    )
    train.add_argument(
        "--also", type=Path, action="append", default=[], metavar="CACHE",
        help="learn from another recipe's cache as well; can be repeated",
    )  # fmt: skip
    train.add_argument("--run-dir", type=Path, required=True, help="the run's folder")
    train.add_argument(
        "--begin-with", type=Path, metavar="FILE.pt", help="another run's passive.pt, as wide or less so"
    )
    train.add_argument("--steps", type=int, help="stop after so many steps, to try a recipe")

    compiled = steps.add_parser("compile", help="quantize the network and choose its threshold")
    compiled.add_argument("recipe", type=Path, help="the recipe of the run")
    _material(compiled)
    compiled.add_argument("--cache", type=Path, required=True, help="for calibration")
    compiled.add_argument("--run-dir", type=Path, required=True, help="the run's folder")
    compiled.add_argument("--out", type=Path, required=True, help="where the int8 file is written")
    compiled.add_argument(
        "--count", type=int, default=1000, metavar="N", help="living presentations (%(default)s)"
    )
    compiled.add_argument("--json", action="store_true", help="print one JSON object")

    evaluate = steps.add_parser("evaluate", help="measure on people and species held out, beside peers")
    _material(evaluate)
    evaluate.add_argument("--network", type=Path, required=True, help="what compile wrote")
    evaluate.add_argument(
        "--peer", type=Path, action="append", default=[], metavar="FILE",
        help="an .onnx (128x128 RGB of 1.5 face boxes, first class living), or a .pth of MiniFASNet; can be "
        "repeated",
    )  # fmt: skip
    evaluate.add_argument(
        "--beside", type=Path, action="append", default=[], metavar="DIR",
        help="another network that compile wrote, at its own threshold; can be repeated",
    )  # fmt: skip
    evaluate.add_argument(
        "--count", type=int, default=100, metavar="N", help="presentations of each species (%(default)s)"
    )
    evaluate.add_argument(
        "--held", type=int, metavar="FRAMES",
        help="hold each up for so many frames, before a door that opens as soon as it may (five, once)",
    )  # fmt: skip
    evaluate.add_argument(
        "--remembers", type=int, metavar="N", help="with --held: frames the door's mean is over (as released)"
    )
    evaluate.add_argument(
        "--threshold", type=float, metavar="T", help="judge the network at this one, not at its own"
    )
    evaluate.add_argument("--unseen", action="store_true", help="leave out the species that training showed")
    evaluate.add_argument("--living", type=int, metavar="N", help="presentations of the living (as --count)")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    join = steps.add_parser("join", help="put the network into a model folder, to be signed again")
    join.add_argument("--network", type=Path, required=True, help="what compile wrote")
    join.add_argument("--model", type=Path, required=True, help="the folder of the encoder's manifest")


def _material(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", type=Path, required=True, help="what janus-export detector label wrote")
    parser.add_argument("--outlines", type=Path, required=True, help="where outlines are kept")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    _STEPS[options.step](options)


def _outline(options: argparse.Namespace) -> None:
    from janusd_export.detector.library import open_library
    from janusd_export.passive.portraits import write_outlines

    with bars() as show:
        kept = write_outlines(open_library(options.library), options.outlines, show)
    print(f"{kept:,} outlines in {options.outlines}")


def _train(options: argparse.Namespace) -> None:
    from janusd_export.detector.library import Part
    from janusd_export.passive import cache, recipe
    from janusd_export.passive.train import train

    asked = recipe.load(options.recipe)
    for part, count in ((Part.TUNE, asked.tuning_pictures), (Part.TRAIN, asked.pictures)):
        cache.render(
            options.library, options.outlines, options.cache, part,
            count=count, piece=recipe.PIECE, seed=asked.seed, processes=asked.run.processes,
            media=asked.media, hard_light=asked.hard_light,
        )  # fmt: skip
    caches = (options.cache, *options.also)
    print(train(asked, caches, options.run_dir, begin_with=options.begin_with, stop_after=options.steps))


def _compile(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from janusd_export.detector.library import Part, open_library
    from janusd_export.passive import recipe
    from janusd_export.passive.compile import compile_run
    from janusd_export.passive.portraits import gather

    tuning = gather(open_library(options.library), options.outlines, Part.TUNE)
    with bars() as show:
        made = compile_run(
            recipe.load(options.recipe), options.run_dir, options.cache, tuning, options.out,
            presentations=options.count, say=show,
        )  # fmt: skip
    if options.json:
        print(json.dumps(asdict(made) | {"spec": str(made.spec)}, indent=2))
        return
    print(
        f"{made.parameters:,} parameters, {made.macs / 1e6:.1f} M multiply-accumulates, {made.size:,} bytes; "
        f"int8 is {made.error:.4f} from float in the mean"
    )
    print(
        f"threshold {made.threshold} chosen on {made.presentations} living presentations, SIMULATED; "
        f"{made.spec}"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from janusd.service.presence import Settings
    from janusd_export.detector.library import Part, open_library
    from janusd_export.passive.evaluate import evaluate, floors_missed, ours, peers_of
    from janusd_export.passive.judge import open_judge
    from janusd_export.passive.portraits import gather
    from janusd_export.passive.series import FRAMES

    if options.held and options.peer:
        raise ExportError("--held is for our networks: leave --peer out")
    if options.held is not None and options.held < FRAMES:
        raise ExportError(f"--held {options.held} is less than the {FRAMES} frames without it")
    if options.remembers is not None and (options.held is None or options.remembers < 1):
        raise ExportError("--remembers is a number of frames, and wants --held FRAMES")
    remembers = (options.remembers or Settings(0.0).remembers) if options.held else None

    library, judge = open_library(options.library), open_judge(options.network)
    tuning, held_out = (gather(library, options.outlines, part) for part in (Part.TUNE, Part.HELD_OUT))
    beside = [ours(open_judge(folder), remembers) for folder in options.beside]
    peers = [ours(judge, remembers, options.threshold), *beside, *peers_of(options.peer)]
    with bars() as show:
        measured = evaluate(
            tuning, held_out, peers,
            count=options.count, living_count=options.living, is_seen_too=not options.unseen, say=show,
            frames=options.held or FRAMES,
        )  # fmt: skip
    missed = floors_missed(measured, judge.spec.name)
    if options.json:
        print(json.dumps(plain(asdict(measured) | {"floors_missed": missed, "is": "SIMULATED"}), indent=2))
        return
    _print(measured)
    for line in missed:
        print(f"SIMULATED floor missed: {line}")


def _print(measured: Evaluation) -> None:
    for row in measured.rows:
        print(f"\nSIMULATED {row.species} ({row.kind})")
        for name, cell in row.cells.items():
            low, high = cell.bounds
            print(
                f"  {name:<32} {row.rate_name} {100 * cell.value:5.1f} % "
                f"[{100 * low:.1f}, {100 * high:.1f}], {cell.errors} of {cell.trials}"
            )
    print("\nthresholds: " + ", ".join(f"{name} {value:.3f}" for name, value in measured.thresholds.items()))
    print(f"{measured.added_ms:.2f} ms of one processor core for a face, crops included")


def _join(options: argparse.Namespace) -> None:
    from janusd_export.passive.join import join

    print(f"{join(options.network, options.model)}: sign it again with janus-export release")


_STEPS = {
    "outline": _outline,  "train": _train, "compile": _compile, "evaluate": _evaluate,
    "join": _join,
}  # fmt: skip
