"""janus-export: from face photographs to a measured int8 encoder."""

# ruff: noqa: PLC0415  # heavy libraries, and verbs, load only where they are used

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from janusd import models
from janusd.errors import JanusError
from janusd_export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from janusd_export.evaluate import OperatingPoint

_EPILOG = """\
the road of a model, each step kept on disk and resumed where it stopped:

  janus-export prepare   --shards FACES --teachers TEACHERS --cache CACHE
  janus-export train     RECIPE.toml --cache CACHE --run RUN
  janus-export compile   RECIPE.toml --cache CACHE --run RUN --models OUT
  janus-export calibrate RECIPE.toml --cache CACHE --models OUT
  janus-export evaluate  --lfw LFW --models OUT
  janus-export identify  --lfw LFW --models OUT

prepare, train and compile need the `export` extra (torch and friends: make setup-export); the others run
where the daemon runs. Everything measured goes through the daemon's own pipeline and the int8 file.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    try:
        run(options)
    except (ExportError, JanusError) as error:
        print(f"janus-export: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"janus-export: {error.name} is not installed: run make setup-export", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("janus-export: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


def _prepare(options: argparse.Namespace) -> None:
    from janusd_export.prepare import prepare

    with _bars() as show:
        prepare(
            options.shards,
            options.teachers,
            options.cache,
            margin_px=options.margin,
            again=options.again,
            report=show,
        )


def _train(options: argparse.Namespace) -> None:
    from janusd_export import recipe
    from janusd_export.train import train

    train(recipe.load(options.recipe), options.cache, options.run_dir, stop_after=options.steps)


def _compile(options: argparse.Namespace) -> None:
    from janusd_export import recipe
    from janusd_export.compile import compile_run

    compile_run(recipe.load(options.recipe), options.recipe, options.cache, options.run_dir, options.models)


def _calibrate(options: argparse.Namespace) -> None:
    import msgspec

    from janusd_export import recipe
    from janusd_export.calibrate import calibrate, embed_held_out
    from janusd_export.device import open_pipeline
    from janusd_export.release import write_manifest

    chosen = recipe.load(options.recipe)
    with _bars() as show:
        held_out = embed_held_out(
            chosen,
            options.cache,
            open_pipeline(options.models),
            lambda done, total: show("held-out", done, total),
        )
    found = calibrate(held_out, chosen.seed)
    manifest = models.load(options.models).manifest
    encoder = msgspec.structs.replace(manifest.encoder, calibration=found)
    write_manifest(options.models, msgspec.structs.replace(manifest, encoder=encoder))
    if options.json:
        print(json.dumps(msgspec.to_builtins(found), indent=2))
        return
    print(found.description)
    print(f"{found.impostor_comparisons:,} impostor and {found.genuine_comparisons:,} genuine comparisons")
    for row in found.table:
        print(f"FMR {row.fmr:<7g} threshold {row.threshold:.4f} [{row.low:.4f}, {row.high:.4f}]")
    tail = found.tail
    print(
        f"tail above {tail.location:.4f}: scale {tail.scale:.4f}, shape {tail.shape:.4f}, "
        f"rate {tail.exceed_rate:.2e}"
    )
    print("genuine quantiles", found.genuine_quantiles)


def _evaluate(options: argparse.Namespace) -> None:
    from janusd_export.device import encoder_ms
    from janusd_export.evaluate import evaluate

    with _bars() as show:
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
        print(json.dumps({**head, **_plain(asdict(found))}, indent=2))
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


def _identify(options: argparse.Namespace) -> None:
    from janusd_export import identify

    if options.lfw:
        plan = identify.plan_lfw(options.lfw, options.people, options.probes_count, options.seed)
    elif options.gallery and options.probes:
        plan = identify.plan_collections(options.gallery, options.probes)
    else:
        raise ExportError("give --gallery and --probes, or --lfw")
    targets = tuple(options.fpir) if options.fpir else identify.FPIR_TARGETS
    with _bars() as show:
        found = identify.identify(
            plan,
            options.models,
            options.cache,
            fpir_targets=targets,
            jobs=options.jobs,
            progress=lambda done, total: show("photographs", done, total),
        )
    if options.json:
        print(json.dumps(_plain(asdict(found)), indent=2))
        return
    print(
        f"{found.enrolled} people enrolled from one photo each; "
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="janus-export",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        name: str, run: Callable[[argparse.Namespace], None], what: str, more: str
    ) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}. {more}")
        made.set_defaults(run=run)
        return made

    def measuring(made: argparse.ArgumentParser) -> None:
        made.add_argument(
            "--models", type=Path, default=models.RELEASED, help="model directory (the released one)"
        )
        made.add_argument(
            "--cache", type=Path, help="keep embeddings here, so that the next measurement is quick"
        )
        made.add_argument("--jobs", type=int, default=1, help="processes that embed photographs")
        made.add_argument("--json", action="store_true", help="print one JSON object")

    one = verb(
        "prepare",
        _prepare,
        "decode shards, find landmarks, ask the teachers",
        "Parts that are there already are kept.",
    )
    one.add_argument("--shards", type=Path, required=True, help="folder of faces-*.tar and index.csv")
    one.add_argument("--teachers", type=Path, required=True, help="folder of the teachers' networks")
    one.add_argument("--cache", type=Path, required=True, help="where the parts are kept")
    one.add_argument(
        "--margin", type=int, default=16, help="pixels around the 112 px crop in the shards (16)"
    )
    one.add_argument("--again", action="store_true", help="make every part anew")

    one = verb(
        "train",
        _train,
        "run or resume a recipe",
        "The run folder keeps checkpoint.pt and log.jsonl; start it again after an interruption.",
    )
    one.add_argument("recipe", type=Path, help="a TOML file; recipes/first.toml explains each number")
    one.add_argument("--cache", type=Path, required=True, help="what prepare wrote")
    one.add_argument("--run", dest="run_dir", type=Path, required=True, help="the run's folder")
    one.add_argument("--steps", type=int, help="stop after so many steps, to try a recipe")

    one = verb(
        "compile",
        _compile,
        "fold, quantize and write the int8 file with its manifest",
        "Refuses a network whose int8 file loses more than a point of TAR at FAR 1e-3.",
    )
    one.add_argument("recipe", type=Path, help="the recipe of the run")
    one.add_argument("--cache", type=Path, required=True, help="what prepare wrote")
    one.add_argument("--run", dest="run_dir", type=Path, required=True, help="the run's folder")
    one.add_argument("--models", type=Path, required=True, help="where the model directory is written")

    one = verb(
        "calibrate",
        _calibrate,
        "measure impostor and genuine scores of held-out people",
        "Writes thresholds and their tail into the manifest; a door's promise rests on them.",
    )
    one.add_argument("recipe", type=Path, help="the recipe of the run, for its held-out people")
    one.add_argument("--cache", type=Path, required=True, help="what prepare wrote")
    one.add_argument("--models", type=Path, required=True, help="the model directory")
    one.add_argument("--json", action="store_true", help="print one JSON object")

    one = verb(
        "evaluate",
        _evaluate,
        "score pairs of photographs, as LFW's view 2",
        "Of several faces in a photograph the one nearest its centre counts, if it is at least half as "
        "tall as the tallest. A pair with a photograph in which no face is found does not match.",
    )
    one.add_argument("--lfw", type=Path, required=True, help="folder of pairs.csv and PERSON/*.jpg or *.tar")
    one.add_argument("--limit", type=int, help="only so many pairs, spread evenly: a quick look")
    one.add_argument("--cross", action="store_true", help="also all pairs of the people with two photographs")
    measuring(one)

    one = verb(
        "identify",
        _identify,
        "enrol people from one photo each, show others, count the errors",
        "Thresholds come from the manifest for the gallery's size: FMR = 1 - (1 - FPIR)^(1/N).",
    )
    one.add_argument(
        "--gallery", type=Path, help="PERSON/*.jpg as folder or tar; the first photo of each is enrolled"
    )
    one.add_argument(
        "--probes", type=Path, help="PERSON/*.jpg as folder or tar; people not in the gallery are strangers"
    )
    one.add_argument("--lfw", type=Path, help="draw both from one collection instead")
    one.add_argument("--people", type=int, default=50, help="with --lfw: people to enrol (50)")
    one.add_argument(
        "--probes-count",
        type=int,
        default=500,
        help="with --lfw: photos to show (500), up to half of them of enrolled people",
    )
    one.add_argument("--seed", type=int, default=0, help="with --lfw: which draw (0)")
    one.add_argument("--fpir", type=float, action="append", help="a promise; may be given several times")
    measuring(one)
    return parser


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on standard error, one a part; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def show(part: str, done: int, total: int) -> None:
            if part not in tasks:
                tasks[part] = progress.add_task(part, total=total)
            progress.update(tasks[part], completed=done)

        yield show


def _plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Without what JSON does not know."""
    if isinstance(value, dict):
        plain = {key: _plain(item) for key, item in value.items()}
        if "hits" in plain and plain.get("trials"):
            plain["value"] = plain["hits"] / plain["trials"]
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


if __name__ == "__main__":
    sys.exit(main())
