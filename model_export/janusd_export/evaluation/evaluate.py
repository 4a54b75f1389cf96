"""Measure an encoder on a collection of photographs, through the door's own path: read top to bottom."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd.core.manifest import Calibration, operating_point
from janusd_export import metrics
from janusd_export.errors import ExportError
from janusd_export.evaluation import atlas, curves, identify, matchers, peers, robustness, subgroups
from janusd_export.evaluation.curves import Ranked
from janusd_export.evaluation.findings import (
    FORMAT,
    Confusion,
    Cross,
    Encoder,
    Evaluation,
    Network,
    OperatingPoint,
    Pairs,
    Promise,
    WorstPair,
)
from janusd_export.faces.device import Embedded, OtherEncoder, embed_photos, encoder_ms
from janusd_export.faces.photos import Photo, by_name, open_photos

FOLDS = 10
FOLD_SEED = 0  # the original folds of LFW view 2 are not kept in pairs.csv: these are ours, and fixed
MISSED = -1.0  # the score of a pair in which a face was not found: it can never match
CHOSEN_FMR = 1e-3
PROMISED = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
WORST = 12

Show = Callable[[str, int, int], None]
"""Called with (part, done, all)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs, by name, and whether they show one person."""

    a: str
    b: str
    is_same: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is measured beyond the listed pairs."""

    limit: int | None = None
    """Take every so many pairs, for a quick look."""
    cross: bool = False
    matchers: bool = False
    map: bool = False
    robustness: int = 0
    """Genuine pairs whose second photograph is changed."""
    attributes: Path | None = None
    others: Sequence[OtherEncoder] = ()
    fmr: float = CHOSEN_FMR
    """The threshold of confusion, robustness and subgroups is the manifest's for this rate."""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rows:
    """The listed pairs as rows of the embedded photographs."""

    pairs: list[Pair]
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    is_same: NDArray[np.bool_]
    fold: NDArray[np.int64]


def read_pairs(path: Path) -> list[Pair]:
    """Read `image_a,image_b,same`. Raises ExportError naming file and line."""
    pairs = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["same"] not in ("0", "1"):
                    raise ValueError(f"same is {row['same']!r}, must be 0 or 1")
                pairs.append(Pair(row["image_a"], row["image_b"], row["same"] == "1"))
    except (OSError, KeyError, ValueError) as error:
        raise ExportError(
            f"{path}, after {len(pairs)} pairs: {error!r}: give image_a,image_b,same"
        ) from error
    if {pair.is_same for pair in pairs} != {True, False}:
        raise ExportError(f"{path} needs pairs of one person (same=1) and of two (same=0)")
    return pairs


def evaluate(
    folder: Path,
    models_dir: Path,
    cache_dir: Path | None,
    wanted: Wanted | None = None,
    *,
    jobs: int = 1,
    show: Show | None = None,
) -> Evaluation:
    """Score the pairs of FOLDER/pairs.csv, and all else that is wanted."""
    wanted = wanted or Wanted()

    def tell(part: str) -> Callable[[int, int], None]:
        return lambda done, total: show(part, done, total) if show else None

    # 1. Which photographs, and where they are.
    pairs = read_pairs(folder / "pairs.csv")
    if wanted.limit is not None and wanted.limit < len(pairs):
        pairs = [pairs[int(i)] for i in np.linspace(0, len(pairs) - 1, wanted.limit)]
    photos = _photos(folder, pairs, wanted.cross)

    # 2. Through the door's path: detector, alignment, int8 encoder.
    embedded = embed_photos(photos, models_dir, cache_dir, jobs=jobs, progress=tell("photographs"))
    rows = rows_of(pairs, embedded)
    manifest = models.load(models_dir).manifest
    described = manifest.encoder
    calibration = described.calibration

    # 3. One comparison at a time: the listed pairs, then all pairs.
    found_pairs = report_pairs(rows, embedded, calibration, wanted.fmr)
    cross = report_cross(embedded, calibration) if wanted.cross else None

    # 4. One search at a time.
    doors = identify.doors(embedded, calibration)

    # 5. What else was asked for; what cannot be done is said, not skipped.
    notes = list(wanted.notes)
    threshold = operating_point(calibration, wanted.fmr).threshold if calibration.table else None
    if threshold is None:
        notes.append("the model is not calibrated (janus-export calibrate): no promise was checked")
    compared = _try(
        wanted.matchers,
        notes,
        lambda: matchers.report(embedded, rows.a, rows.b, rows.is_same, rows.fold),
    )
    drawn = _try(wanted.map, notes, lambda: atlas.draw(embedded))
    by_label, sturdy = None, None
    if threshold is not None and wanted.attributes:
        by_label = subgroups.measure(embedded, wanted.attributes, threshold, wanted.fmr)
    if threshold is not None and wanted.robustness:
        sample = _genuine_sample(rows, embedded, wanted.robustness)
        sturdy = robustness.measure(
            sample, models_dir, cache_dir, threshold, wanted.fmr, jobs=jobs, progress=show
        )

    # 6. Other encoders behind the same detector.
    run_ms = encoder_ms(models_dir)
    size = (models_dir / described.file).stat().st_size
    views = 2 if described.mirrored else 1
    networks = [network("int8", f"{described.name}, as released", rows, embedded, wanted.cross)]
    first = int(np.argmax(embedded.is_found))
    ours_ms = peers.embedding_ms(peers.Released(models_dir), embedded.photos[first])
    networks = [msgspec.structs.replace(networks[0], bytes=size, embedding_ms=ours_ms)]
    for other in wanted.others:

        def compare(other: OtherEncoder = other) -> Network:
            seen = embed_photos(
                photos, models_dir, cache_dir, other=other, jobs=jobs, progress=tell(other.name)
            )
            return _cost(network(other.name, other.key, rows, seen, wanted.cross), other, seen, embedded)

        made = _try(True, notes, compare)
        networks += [made] if made else []

    return Evaluation(
        format=FORMAT,
        encoder=Encoder(
            described.name,
            described.version,
            described.sha256,
            size,
            run_ms,
            views,
            described.output.shape[-1],
            manifest.detector.identity if manifest.detector else described.detector,
            dict(described.training),
        ),
        collection=f"{folder.name}: {len(photos):,} photographs, {len(pairs):,} listed pairs",
        pairs=found_pairs,
        cross=cross,
        doors=doors,
        matchers=compared,
        subgroups=by_label,
        sturdiness=sturdy,
        networks=networks,
        map=drawn,
        notes=notes,
    )


def _photos(folder: Path, pairs: list[Pair], with_cross: bool) -> list[Photo]:
    photos = by_name(open_photos(folder))
    wanted = {name for pair in pairs for name in (pair.a, pair.b)}
    absent = sorted(wanted - set(photos))
    if absent:
        raise ExportError(f"{folder} lacks {len(absent)} photographs of pairs.csv, first {absent[0]}")
    if with_cross:
        counts: dict[str, int] = {}
        for photo in photos.values():
            counts[photo.person] = counts.get(photo.person, 0) + 1
        wanted |= {photo.name for photo in photos.values() if counts[photo.person] >= 2}
    return [photos[name] for name in sorted(wanted)]


def rows_of(pairs: list[Pair], embedded: Embedded) -> Rows:
    """Where the pairs' photographs are, and the fold each pair belongs to."""
    place = {photo.name: number for number, photo in enumerate(embedded.photos)}
    a = np.array([place[pair.a] for pair in pairs])
    b = np.array([place[pair.b] for pair in pairs])
    people = [(embedded.photos[i].person, embedded.photos[j].person) for i, j in zip(a, b, strict=True)]
    fold = metrics.folds_by_first_person(people, FOLDS, FOLD_SEED)
    return Rows(pairs, a, b, np.array([pair.is_same for pair in pairs]), fold)


def scores_of(rows: Rows, embedded: Embedded) -> NDArray[np.float32]:
    """The score of each listed pair; a pair with a missed face can never match."""
    e = embedded.embeddings
    scores = np.einsum("nd,nd->n", e[rows.a], e[rows.b]).astype(np.float32)
    scores[~(embedded.is_found[rows.a] & embedded.is_found[rows.b])] = MISSED
    return scores


def report_pairs(rows: Rows, embedded: Embedded, calibration: Calibration, fmr: float) -> Pairs:
    """Rates of the listed pairs."""
    scores = scores_of(rows, embedded)
    accuracy, each = metrics.folded_accuracy(scores, rows.is_same, rows.fold)
    ranked = Ranked.of(scores[rows.is_same], scores[~rows.is_same])
    used = np.unique(np.concatenate([rows.a, rows.b]))
    friends = np.flatnonzero(rows.is_same)[np.argsort(scores[rows.is_same], kind="stable")[:WORST]]
    strangers = np.flatnonzero(~rows.is_same)[np.argsort(-scores[~rows.is_same], kind="stable")[:WORST]]
    return Pairs(
        genuine=len(ranked.genuine),
        impostor=len(ranked.impostor),
        photos=len(used),
        missed_photos=int((~embedded.is_found[used]).sum()),
        missed_pairs=int((~(embedded.is_found[rows.a] & embedded.is_found[rows.b])).sum()),
        accuracy=accuracy,
        accuracy_of_folds=each,
        equal_error_rate=curves.equal_error_rate(ranked),
        points=curves.operating_points(ranked),
        curve=curves.tradeoff(ranked),
        histogram=curves.histogram(ranked),
        worst=[
            WorstPair(rows.pairs[i].a, rows.pairs[i].b, bool(rows.is_same[i]), round(float(scores[i]), 4))
            for i in (*friends.tolist(), *strangers.tolist())
        ],
        confusion=_confusion(ranked, calibration, fmr),
    )


def _confusion(ranked: Ranked, calibration: Calibration, fmr: float) -> Confusion | None:
    if not calibration.table:
        return None
    point = operating_point(calibration, fmr)
    friends, strangers = ranked.matches(point.threshold), ranked.false_matches(point.threshold)
    return Confusion(
        fmr,
        point.threshold,
        point.is_extrapolated,
        true_match=friends,
        false_non_match=len(ranked.genuine) - friends,
        false_match=strangers,
        true_non_match=len(ranked.impostor) - strangers,
    )


def report_cross(embedded: Embedded, calibration: Calibration) -> Cross:
    """Rates of all pairs of the people with two photographs or more. Raises ExportError where nobody has."""
    chosen, scored = _cross_scores(embedded)
    ranked = Ranked.of(scored.genuine, scored.impostor)
    points = curves.operating_points(ranked)
    shown = [point for point in points if point.threshold is not None]
    ends = curves.bootstrap_matched(scored, [point.fmr for point in shown]) if shown else []
    points = [
        *(msgspec.structs.replace(point, by_people=end) for point, end in zip(shown, ends, strict=True)),
        *(point for point in points if point.threshold is None),
    ]
    photos = [embedded.photos[int(row)].name for row in chosen]
    worst = np.argsort(scored.genuine, kind="stable")[:WORST]
    return Cross(
        people=len(np.unique(scored.person)),
        photos=len(chosen),
        genuine=len(ranked.genuine),
        impostor=len(ranked.impostor),
        equal_error_rate=curves.equal_error_rate(ranked),
        points=points,
        curve=curves.tradeoff(ranked),
        histogram=curves.histogram(ranked),
        worst=[
            *(_worst(photos, scored.genuine_rows[i], True, scored.genuine[i]) for i in worst),
            *(_worst(photos, scored.top_rows[i], False, scored.top_impostor[i]) for i in range(WORST)),
        ],
        promises=promises(ranked, calibration),
    )


def promises(ranked: Ranked, calibration: Calibration) -> list[Promise]:
    """What the manifest's thresholds let through here: other people and cameras than they were set on."""
    if not calibration.table:
        return []
    found = []
    for fmr in PROMISED:
        point = operating_point(calibration, fmr)
        matched = metrics.rate(ranked.false_matches(point.threshold), len(ranked.impostor))
        found.append(Promise(fmr, point.threshold, point.is_extrapolated, matched))
    return found


def _cross_scores(embedded: Embedded) -> tuple[NDArray[np.intp], curves.AllPairs]:
    names = [photo.person for photo in embedded.photos]
    _, number, counts = np.unique(names, return_inverse=True, return_counts=True)
    chosen = np.flatnonzero(counts[number] >= 2)
    if len(np.unique(number[chosen])) < 2:
        raise ExportError("all pairs need two people with two photographs: leave --cross out")
    return chosen, curves.all_pairs(embedded.embeddings[chosen], number[chosen].astype(np.int32))


def _worst(photos: list[str], rows: NDArray[np.int32], is_same: bool, score: np.float32) -> WorstPair:
    return WorstPair(photos[int(rows[0])], photos[int(rows[1])], is_same, round(float(score), 4))


def network(name: str, what: str, rows: Rows, embedded: Embedded, with_cross: bool) -> Network:
    """The rates by which encoders are compared."""
    scores = scores_of(rows, embedded)
    ranked = Ranked.of(scores[rows.is_same], scores[~rows.is_same])
    cross: list[OperatingPoint] = []
    if with_cross:
        _, scored = _cross_scores(embedded)
        cross = curves.operating_points(Ranked.of(scored.genuine, scored.impostor))
    return Network(
        name,
        what,
        accuracy=metrics.folded_accuracy(scores, rows.is_same, rows.fold)[0],
        equal_error_rate=curves.equal_error_rate(ranked),
        points=curves.operating_points(ranked),
        cross=cross,
    )


def _cost(found: Network, other: OtherEncoder, seen: Embedded, ours: Embedded) -> Network:
    """With its size, its time, and how near its embeddings are to the released encoder's."""
    both = seen.is_found & ours.is_found
    cosine = None
    if seen.embeddings.shape == ours.embeddings.shape and other.name == "float":
        cosine = float(np.einsum("nd,nd->n", seen.embeddings[both], ours.embeddings[both]).mean())
    first = int(np.argmax(both))
    spent_ms = peers.embedding_ms(other, seen.photos[first])
    return msgspec.structs.replace(found, bytes=peers.file_bytes(other), embedding_ms=spent_ms, cosine=cosine)


def _genuine_sample(rows: Rows, embedded: Embedded, count: int) -> list[tuple[Photo, Photo]]:
    """Genuine pairs spread evenly over the list, both of whose faces are found."""
    found = embedded.is_found
    there = np.flatnonzero(rows.is_same & found[rows.a] & found[rows.b])
    chosen = there[np.unique(np.linspace(0, len(there) - 1, min(count, len(there))).astype(np.int64))]
    return [(embedded.photos[rows.a[i]], embedded.photos[rows.b[i]]) for i in chosen]


_Made = TypeVar("_Made")


def _try(is_wanted: bool, notes: list[str], make: Callable[[], _Made]) -> _Made | None:
    """What `make` gives; where it cannot be done, None and a note that says why."""
    if not is_wanted:
        return None
    try:
        return make()
    except ExportError as error:
        notes.append(str(error))
    except ModuleNotFoundError as error:
        notes.append(f"{error.name} is not installed: run make setup-export, or leave out what needs it")
    return None
