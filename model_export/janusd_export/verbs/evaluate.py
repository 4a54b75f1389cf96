"""janus-export evaluate."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from janusd import models
from janusd_export.errors import ExportError
from janusd_export.terminal import bars, measuring, plain

if TYPE_CHECKING:
    from janusd_export.evaluation.findings import Evaluation, OperatingPoint
    from janusd_export.faces.device import OtherEncoder
    from janusd_export.metrics import Rate

WHAT = "measure an encoder on photographs, from raw image to score"
MORE = (
    "Of several faces in a photograph the one nearest its centre counts, if it is at least half as "
    "tall as the tallest. A pair with a photograph in which no face is found does not match. "
    "Intervals are 95 %."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--lfw", type=Path, required=True, help="pairs.csv beside PERSON/*.jpg or *.tar")
    parser.add_argument("--limit", type=int, help="only so many pairs, spread evenly: a quick look")
    parser.add_argument("--cross", action="store_true", help="also all pairs of people with two photographs")
    parser.add_argument(
        "--matchers", action="store_true", help="also k-NN and support vector machines on the same embeddings"
    )
    parser.add_argument("--map", action="store_true", help="also a map of the embeddings, for the report")
    parser.add_argument(
        "--robustness",
        type=int,
        default=0,
        metavar="PAIRS",
        help="also errors in SIMULATED bad light, blur, distance, turn and cover, on so many pairs (200)",
    )
    parser.add_argument(
        "--attributes", type=Path, metavar="CSV", help="person,ATTRIBUTE,...: errors by label"
    )
    parser.add_argument(
        "--float", type=Path, metavar="FILE|RUN", help="also the float network: a .tflite, or a run's folder"
    )
    parser.add_argument("--recipe", type=Path, help="with --float RUN: its recipe")
    parser.add_argument("--teachers", type=Path, metavar="DIR", help="also the teachers in this folder")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="dlib|sface=ONNX",
        help="also a network of others; may be given several times",
    )
    parser.add_argument(
        "--fmr", type=float, default=1e-3, help="rate of the threshold that is looked at (1e-3)"
    )
    parser.add_argument("--all", action="store_true", help="--cross --matchers --map --robustness 200")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="keep everything found, for janus-export report"
    )
    measuring(parser, keeps_embeddings=True)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import msgspec

    from janusd_export.evaluation import findings
    from janusd_export.evaluation.evaluate import Wanted, evaluate

    if not 0.0 < options.fmr < 1.0:
        raise ExportError(f"--fmr is {options.fmr:g}, must lie between 0 and 1")
    every = options.all
    wanted = Wanted(
        limit=options.limit,
        cross=options.cross or every,
        matchers=options.matchers or every,
        map=options.map or every,
        robustness=options.robustness or (200 if every else 0),
        attributes=options.attributes,
        others=others(options),
        fmr=options.fmr,
    )
    with bars() as show:
        found = evaluate(options.lfw, options.models, options.cache, wanted, jobs=options.jobs, show=show)
    if options.out:
        findings.write(options.out, found)
    if options.json:
        print(json.dumps(plain(msgspec.to_builtins(found)), indent=2))
        return
    _print(found)


def others(options: argparse.Namespace) -> list[OtherEncoder]:
    """The encoders that are asked for. Raises ExportError where one is asked for wrongly."""
    from janusd_export.evaluation import peers

    like = models.load(options.models).manifest.encoder
    found: list[OtherEncoder] = []
    if options.float and options.float.is_dir():
        if options.recipe is None:
            raise ExportError("--float RUN needs --recipe, the recipe of that run")
        found.append(peers.FloatRun(options.float, options.recipe, like))
    elif options.float:
        found.append(peers.FloatLiteRt(options.float, like))
    if options.teachers:
        found += peers.teachers(options.teachers)
    for peer in options.peer:
        name, _, path = peer.partition("=")
        if name == "dlib" and not path:
            found.append(peers.Dlib())
        elif name == "sface" and path:
            found.append(peers.SFace(Path(path)))
        else:
            raise ExportError(f"--peer {peer} is unknown: give dlib, or sface=FILE.onnx")
    return found


def _print(found: Evaluation) -> None:
    encoder, pairs, cross = found.encoder, found.pairs, found.cross
    print(f"{encoder.name} {encoder.version}, detector {encoder.detector}, int8, no quality floor")
    print(
        f"{encoder.bytes:,} bytes; one run {encoder.encoder_ms:.2f} ms of one processor core (median of "
        f"100), "
        f"{encoder.views} an embedding"
    )
    print(f"{pairs.genuine:,} genuine and {pairs.impostor:,} impostor pairs of {pairs.photos:,} photographs")
    print(
        f"no face found in {pairs.missed_photos} photographs: "
        f"{pairs.missed_pairs} pairs, counted as not matching"
    )
    print(f"accuracy (10 folds)  {pairs.accuracy}")
    print(f"equal error rate     {100 * pairs.equal_error_rate:.2f} %")
    _print_points(pairs.points)
    if cross:
        print(
            f"\nall pairs of {cross.photos:,} photographs of the {cross.people:,} people with two or more: "
            f"{cross.genuine:,} genuine, {cross.impostor:,} impostor"
        )
        print(f"equal error rate     {100 * cross.equal_error_rate:.2f} %")
        _print_points(cross.points)
        for row in cross.promises:
            basis = "extrapolated" if row.is_extrapolated else "measured"
            print(
                f"manifest's threshold {row.threshold:.4f} for FMR {row.fmr:g} ({basis}): "
                f"here {_tiny(row.found)}"
            )
    if pairs.confusion:
        chosen = pairs.confusion
        print(
            f"\nat the manifest's threshold {chosen.threshold:.4f} for FMR {chosen.fmr:g}, listed pairs: "
            f"{chosen.true_match:,} friends match, {chosen.false_non_match:,} do not; "
            f"{chosen.false_match:,} strangers match, {chosen.true_non_match:,} do not"
        )
    _print_curve(found)
    for door in found.doors:
        print(
            f"\ngallery of {door.enrolled:,}, one photograph each, {door.draws} drawn: {door.mated:,} "
            f"searches "
            f"by residents, {door.non_mated:,} by strangers; rank 1 {door.rank_1}"
        )
        for point in door.thresholds:
            basis = ", extrapolated" if point.is_extrapolated else ""
            print(f"  promise FPIR {point.fpir_promised:.3g} (threshold {point.threshold:.4f}{basis})")
            print(f"    FNIR {point.fnir}, of them taken for another: {point.wrong_person}")
            print(f"    FPIR {point.fpir}")
    _print_rest(found)


def _print_curve(found: Evaluation) -> None:
    """A dozen points of the trade-off; all of them are in --json and --out."""
    curve = (found.cross or found.pairs).curve
    print(
        f"\nDET and ROC of {'all' if found.cross else 'the listed'} pairs ({len(curve.fmr)} points in --json)"
    )
    print("  threshold        FMR       FNMR        TAR")
    step = max(1, len(curve.fmr) // 12)
    for i in range(0, len(curve.fmr), step):
        print(
            f"  {curve.threshold[i]:9.4f}  {curve.fmr[i]:9.2e}  {100 * curve.fnmr[i]:7.2f} %  "
            f"{100 - 100 * curve.fnmr[i]:7.2f} %"
        )


def _print_rest(found: Evaluation) -> None:
    if found.matchers:
        bench = found.matchers
        print(
            f"\nmatchers on the same embeddings: {bench.enrolled} people enrolled from {bench.samples} "
            f"photographs "
            f"each, {bench.mated:,} of theirs and {bench.non_mated:,} strangers shown"
        )
        for row in bench.rows:
            print(f"  {row.name:<14} rank 1 {row.rank_1}")
            print(f"  {'':<14} FNIR {row.fnir} where FPIR is {row.fpir}")
        if bench.pair_svm:
            print(f"  SVM on pairs   accuracy (10 folds) {bench.pair_svm}")
    if found.subgroups:
        print(f"\nby label, at threshold {found.subgroups.threshold:.4f} (FMR {found.subgroups.fmr:g})")
        for group in found.subgroups.rows:
            print(f"  {group.attribute}={group.value}: {group.people:,} people, {group.photos:,} photographs")
            print(f"    FNMR {group.fnmr}\n    FMR  {_tiny(group.fmr)}")
    if found.sturdiness:
        sturdy = found.sturdiness
        print(
            f"\nSIMULATED changes to one photograph of {sturdy.pairs} pairs, threshold {sturdy.threshold:.4f}"
        )
        for curve in sturdy.curves:
            print(f"  {curve.kind} ({curve.axis})")
            for point in curve.points:
                print(
                    f"    {point.label:>9}  FNMR {point.fnmr}; no face {point.missed.hits}; "
                    f"FMR {_tiny(point.fmr)}"
                )
    if len(found.networks) > 1:
        print("\nencoders behind the same detector, on the same photographs")
        for network in found.networks:
            points = [*network.points[1:2], *network.cross[2:3]]
            shares = [f"{100 * p.matched.value:.2f} % at FAR {p.fmr:g}" for p in points if p.matched]
            size = f"{network.bytes:,} bytes" if network.bytes else ""
            spent = f"{network.embedding_ms:.1f} ms" if network.embedding_ms else ""
            print(f"  {network.name:<34} {network.accuracy}; " + ", ".join([*shares, size, spent]))
    for note in found.notes:
        print(f"\nnot measured: {note}")


def _print_points(points: Sequence[OperatingPoint]) -> None:
    for point in points:
        if point.matched is None:
            print(f"TAR at FAR {point.fmr:<7g}   {point.note}")
            continue
        note = f"; {point.note}" if point.note else ""
        print(f"TAR at FAR {point.fmr:<7g}   {point.matched}, threshold {point.threshold:.4f}{note}")
        if point.by_people:
            low, high = point.by_people
            print(f"{'':<21}[{100 * low:.2f}, {100 * high:.2f}] drawing people, not comparisons")


def _tiny(rate: Rate) -> str:
    """A rate that may be one in a million."""
    return f"{rate.value:.2e} [{rate.low:.2e}, {rate.high:.2e}], {rate.hits:,} of {rate.trials:,}"
