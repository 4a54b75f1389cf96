"""janus-export detector: label, scenes, train, compile, evaluate, join."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from janusd_export.terminal import bars, plain

if TYPE_CHECKING:
    from janusd_export.detector.evaluate import Evaluation

WHAT = "make our own face detector: label, scenes, train, compile, evaluate"
MORE = (
    "Pictures are labelled by a teacher detector while they are clean; scenes are composed of them, the two "
    "networks learn on those, and what is measured are people and places that neither training nor the "
    "threshold saw."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    steps = parser.add_subparsers(required=True, metavar="STEP", dest="step")

    label = steps.add_parser("label", help="label clean pictures with the teacher")
    label.add_argument(
        "--teacher", type=Path, required=True, metavar="YUNET.onnx", help="YuNet of OpenCV's zoo"
    )
    label.add_argument("--photos", type=Path, help="photographs of one face each, with surroundings (LFW)")
    label.add_argument("--aligned", type=Path, help="shards of aligned faces")
    label.add_argument("--backgrounds", type=Path, required=True, help="pictures without a face")
    label.add_argument(
        "--most-photos", type=int, default=7000, metavar="N", help="look at so many (%(default)s)"
    )
    label.add_argument("--most-aligned", type=int, default=8000, metavar="N", help="likewise (%(default)s)")
    label.add_argument("--library", type=Path, required=True, help="where labelled pictures are kept")

    scenes = steps.add_parser("scenes", help="compose scenes of a library")
    scenes.add_argument("--library", type=Path, required=True, help="what label wrote")
    scenes.add_argument("--scenes", type=Path, required=True, help="where scenes are kept")
    scenes.add_argument("--count", type=int, default=16000, metavar="N", help="to learn from (%(default)s)")
    scenes.add_argument("--crops", type=int, default=12000, metavar="N", help="for the refiner (%(default)s)")
    scenes.add_argument("--seed", type=int, default=20261122)

    train = steps.add_parser("train", help="run or resume the refiner's training, then the detector's")
    train.add_argument("recipe", type=Path, help="recipes/detector.toml explains each number")
    train.add_argument("--scenes", type=Path, required=True, help="what scenes wrote")
    train.add_argument("--run-dir", type=Path, required=True, help="the run's folder")
    train.add_argument("--start-from", type=Path, metavar="RUN", help="begin with another run's weights")
    train.add_argument("--only", choices=("refiner", "detector"), help="one of them")
    train.add_argument("--steps", type=int, help="stop after so many steps of each, to try a recipe")

    compiled = steps.add_parser("compile", help="quantize both networks and choose the threshold")
    compiled.add_argument("recipe", type=Path, help="the recipe of the run")
    compiled.add_argument("--run-dir", type=Path, required=True, help="the run's folder")
    compiled.add_argument("--scenes", type=Path, required=True, help="for calibration")
    compiled.add_argument("--library", type=Path, required=True, help="for the threshold")
    compiled.add_argument("--out", type=Path, required=True, help="where the int8 files are written")
    compiled.add_argument("--json", action="store_true", help="print one JSON object")

    evaluate = steps.add_parser("evaluate", help="measure on held-out scenes beside the peers")
    evaluate.add_argument(
        "--detector", type=Path, required=True, help="what compile wrote, or a model folder"
    )
    evaluate.add_argument("--library", type=Path, required=True, help="what label wrote")
    evaluate.add_argument("--yunet", type=Path, metavar="YUNET.onnx", help="a peer, in OpenCV")
    evaluate.add_argument(
        "--count", type=int, default=150, metavar="N", help="scenes of each kind (%(default)s)"
    )
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    join = steps.add_parser("join", help="put it into a model folder, which must be calibrated again then")
    join.add_argument("--detector", type=Path, required=True, help="what compile wrote")
    join.add_argument("models", type=Path, help="the model folder")
    join.add_argument("--version", default="", help="the model's number from then on, higher than before")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    _STEPS[options.step](options)


def _label(options: argparse.Namespace) -> None:
    from janusd_export.detector import library, pseudo_label

    teacher = pseudo_label.YuNet(options.teacher)
    refused: Counter[str] = Counter()
    with bars() as show:
        kept = library.write(
            options.library,
            pseudo_label.label_all(
                teacher.rows,
                photos=options.photos,
                aligned=options.aligned,
                backgrounds=options.backgrounds,
                most_photos=options.most_photos,
                most_aligned=options.most_aligned,
                say=show,
                refused=refused,
            ),
        )
    print(f"{kept:,} labelled pictures in {options.library}")
    for why, number in refused.most_common():
        print(f"left out: {number:,} {why}")


def _scenes(options: argparse.Namespace) -> None:
    from janusd_export.detector.library import Part, open_library
    from janusd_export.detector.scene_cache import write_scenes

    opened = open_library(options.library)
    with bars() as show:
        for purpose, part, count in (
            ("refiner", Part.TUNE, max(64, options.crops // 20)),
            ("detector", Part.TUNE, max(64, options.count // 20)),
            ("refiner", Part.TRAIN, options.crops),
            ("detector", Part.TRAIN, options.count),
        ):
            print(write_scenes(opened, options.scenes, purpose, part, count, options.seed, show))


def _train(options: argparse.Namespace) -> None:
    from janusd_export.detector import recipe
    from janusd_export.detector.train import NETWORKS, train

    chosen = recipe.load(options.recipe)
    for which in (options.only,) if options.only else NETWORKS:
        train(
            chosen,
            which,
            options.scenes,
            options.run_dir,
            stop_after=options.steps,
            start_from=options.start_from,
        )


def _compile(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from janusd_export.detector import recipe
    from janusd_export.detector.compile import compile_run
    from janusd_export.detector.library import open_library

    with bars() as show:
        made = compile_run(
            recipe.load(options.recipe),
            options.run_dir,
            options.scenes,
            open_library(options.library),
            options.out,
            say=show,
        )
    if options.json:
        print(json.dumps(asdict(made) | {"spec": str(made.spec)}, indent=2))
        return
    for name, parameters, macs, size, error in made.networks:
        print(
            f"{name}: {parameters:,} parameters, {macs / 1e6:.1f} M multiply-accumulates, {size:,} bytes; "
            f"int8 is {error:.4f} from float in the mean"
        )
    print(f"threshold {made.threshold} chosen on {made.frames} face-free frames; {made.spec}")


def _evaluate(options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from janusd_export.detector.evaluate import evaluate, peers
    from janusd_export.detector.library import open_library

    found, notes = peers(options.detector, options.yunet)
    with bars() as show:
        measured = evaluate(open_library(options.library), found, notes, scenes=options.count, say=show)
    if options.json:
        print(json.dumps(plain(asdict(measured)), indent=2))
        return
    _print(measured)


def _print(measured: Evaluation) -> None:
    print(f"{measured.scenes_a_cell} held-out scenes of each kind, 640x480, SIMULATED (composed)")
    for row in measured.rows:
        print(f"\n{row.name}")
        print(f"  at least 48 px, frontal: recall {row.floor.recall}")
        print(
            f"  landmarks off by {row.floor.landmark_error:.1f} % of the eyes' distance in the mean, "
            f"90 % of faces below {row.floor.landmark_error_90:.1f} %"
        )
        for kind, cell in (row.by_size | row.by_tilt).items():
            print(f"    {kind:>7}  recall {cell.recall}; landmarks {cell.landmark_error:.1f} %")
        print(f"  face-free frames with a detection   {row.false_frames}")
        print(f"  face-free pictures with one         {row.false_pictures}")
        print(f"  {row.ms:.2f} ms of one processor core, {row.ratio:.2f} of YuNet's at our input")
    for note in measured.notes:
        print(f"\nnot measured: {note}")


def _join(options: argparse.Namespace) -> None:
    from janusd_export.compiling.release import join_detector, read_detector

    found_by, networks = read_detector(options.detector)
    path = join_detector(options.models, found_by, networks, options.version)
    print(f"{path}: faces are found by {found_by.identity}, and its encoder is not calibrated any more")
    print(f"next: janus-export calibrate RECIPE --cache CACHE --models {options.models}; then release")


_STEPS = {
    "label": _label,
    "scenes": _scenes,
    "train": _train,
    "compile": _compile,
    "evaluate": _evaluate,
    "join": _join,
}
