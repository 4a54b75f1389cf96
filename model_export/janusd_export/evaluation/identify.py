"""Play the door's question with photographs: enrol people from a photo or more, show others, count errors.

Words of ISO/IEC 19795-1. A probe of an enrolled person that is not answered with that person at or above the
threshold is a false negative (FNIR), whether the face was missed, scored too low or was taken for somebody
else. A probe of a stranger who is answered with anybody is a false positive (FPIR). No quality floor and no
agreement of several frames: each photograph is one forced answer, harder than a door, which waits for a
better frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd.core.gallery import Gallery, Template
from janusd.core.manifest import Calibration, fmr_for_gallery, promised_point
from janusd.core.match import identify as search
from janusd.core.types import Embedding
from janusd_export.errors import ExportError
from janusd_export.evaluation.findings import Door, DoorThreshold
from janusd_export.faces.device import Embedded, Progress, embed_photos
from janusd_export.faces.photos import Photo, open_photos
from janusd_export.metrics import Rate, rate

FPIR_TARGETS = (1e-1, 1e-2, 1e-3, 1.0 / 730.5)
"""The last is a door's default promise: one false unlock a year at two strangers' tries a day."""


SIZES = (10, 100, 1000)
"""Galleries of a flat, a house, an office."""
DRAWS = {10: 20, 100: 5}
"""How often such a gallery is drawn: few people alone would say little. Larger ones are drawn once."""
STRANGERS = 1000  # shown to one drawn gallery
OTHERS = 5  # photographs of one resident that are shown: LFW has 530 of one man


@dataclass(frozen=True, slots=True)
class IdentifyReport:
    """What `janus-export identify` prints; with --json, what `card` reads."""

    encoder: str
    sha256: str
    """Of its file."""
    drawn: str
    """Which photographs: where from, and by which draw."""
    samples: int
    """Photographs that each was enrolled from."""
    is_nearest: bool
    """Whether each of these counted alone, instead of their mean."""
    enrolled: int
    not_enrolled: list[str]
    """People of the gallery in whose photo no face was found: all their probes count as false negatives."""
    mated: int
    non_mated: int
    missed_probes: int
    rank_1: Rate
    """Mated probes whose own person is the most similar one, at any score."""
    thresholds: list[DoorThreshold]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is enrolled from which photos, and which photos are shown."""

    gallery: tuple[Photo, ...]
    probes: tuple[Photo, ...]
    samples: int = 1
    """Photographs that each is enrolled from, at most."""
    drawn: str = ""
    """Where from, and by which draw."""


def plan_collections(gallery: Path, probes: Path, samples: int = 1) -> Plan:
    """So many photos (the first by name) of each person of `gallery`; all of `probes` but those pictures."""
    first: dict[str, list[Photo]] = {}
    for photo in open_photos(gallery):
        first.setdefault(photo.person, []).append(photo)
    enrolled = [photo for photos in first.values() for photo in photos[:samples]]
    taken = {photo.read() for photo in enrolled}
    shown = tuple(p for p in open_photos(probes) if p.read() not in taken)
    return Plan(tuple(enrolled), shown, samples, f"{gallery.name} and {probes.name}")


def plan_lfw(folder: Path, people: int, probes: int, seed: int, samples: int = 1) -> Plan:
    """Draw a door from a collection: `people` residents, so many photos each, and `probes` other photos.

    Residents are drawn from people with more photos than that. Half of the probes are drawn from the
    residents' other photos, fewer if there are not so many; the rest are strangers, one photo each.
    """
    rng = np.random.default_rng(seed)
    by_person: dict[str, list[Photo]] = {}
    for photo in open_photos(folder):
        by_person.setdefault(photo.person, []).append(photo)
    several = sorted(name for name, photos in by_person.items() if len(photos) > samples)
    if people > len(several):
        raise ExportError(
            f"{folder} has {len(several)} people with {samples + 1} photos or more, "
            f"fewer than the {people} to enrol"
        )
    residents = set(rng.choice(several, people, replace=False).tolist())
    gallery, others = [], []
    for name in sorted(residents):
        chosen: set[int] = set()
        while len(chosen) < samples:
            chosen.add(int(rng.integers(len(by_person[name]))))
        gallery += [by_person[name][number] for number in sorted(chosen)]
        others += [photo for number, photo in enumerate(by_person[name]) if number not in chosen]
    mated = _draw(others, min(len(others), probes // 2), rng)
    strangers = [
        photos[int(rng.integers(len(photos)))]
        for name, photos in sorted(by_person.items())
        if name not in residents
    ]
    if probes - len(mated) > len(strangers):
        raise ExportError(f"{folder} has only {len(strangers)} strangers to show")
    shown = (*mated, *_draw(strangers, probes - len(mated), rng))
    return Plan(tuple(gallery), shown, samples, f"{folder.name}, seed {seed}")


def read(path: Path) -> IdentifyReport:
    """Read what `janus-export identify --json` printed. Raises ExportError naming file and field."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=IdentifyReport)
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportError(
            f"{path} is not what identify prints: {error}: write it with identify --json > {path.name}"
        ) from error


def identify(
    plan: Plan,
    models_dir: Path,
    cache_dir: Path | None,
    *,
    fpir_targets: Sequence[float] = FPIR_TARGETS,
    nearest: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> IdentifyReport:
    """Enrol, show, count; `nearest` compares with each photo alone, as though each were somebody."""
    every = (*plan.gallery, *plan.probes)
    embedded = embed_photos(every, models_dir, cache_dir, jobs=jobs, progress=progress)
    return report(plan, embedded, models_dir, fpir_targets, nearest=nearest)


def report(
    plan: Plan,
    embedded: Embedded,
    models_dir: Path,
    fpir_targets: Sequence[float],
    *,
    nearest: bool = False,
) -> IdentifyReport:
    """Count over photographs that are embedded: first the gallery's, then the probes."""
    encoder = models.load(models_dir).manifest.encoder
    shown_from = len(plan.gallery)
    samples: dict[tuple[str, str], list[Embedding]] = {}  # by whom it stands for, and their name
    for number, photo in enumerate(plan.gallery):
        if embedded.is_found[number]:
            entry = str(number) if nearest else photo.person
            samples.setdefault((entry, photo.person), []).append(embedded.embeddings[number])
    gallery = Gallery.of([Template(*entry, np.stack(rows)) for entry, rows in samples.items()])
    people = {photo.person for photo in plan.gallery}
    enrolled = {template.name for template in gallery.templates}
    seen = show(embedded, gallery, np.arange(shown_from, shown_from + len(plan.probes)), people)
    is_mated, is_right = seen.is_mated, seen.is_right
    thresholds = [_at(seen, encoder.calibration, promised, gallery.comparisons) for promised in fpir_targets]
    return IdentifyReport(
        encoder=encoder.name,
        sha256=encoder.sha256,
        drawn=plan.drawn,
        samples=plan.samples,
        is_nearest=nearest,
        enrolled=len(enrolled),
        not_enrolled=sorted(people - enrolled),
        mated=int(is_mated.sum()),
        non_mated=int((~is_mated).sum()),
        missed_probes=int((~embedded.is_found[shown_from:]).sum()),
        rank_1=rate(int((is_mated & is_right).sum()), int(is_mated.sum())),
        thresholds=thresholds,
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """The door's answer to each probe. Arrays correspond."""

    is_mated: NDArray[np.bool_]
    is_right: NDArray[np.bool_]
    """The most similar person is the probe's own."""
    score: NDArray[np.float64]
    """Of the most similar person; minus infinity where no face was found."""


def show(embedded: Embedded, gallery: Gallery, probes: NDArray[np.intp], people: set[str]) -> Shown:
    """Search the gallery for each of these rows. `people` are those who were to be enrolled."""
    names, scores = [], []
    for number in probes.tolist():
        best = search(embedded.embeddings[number], gallery)[0] if embedded.is_found[number] else None
        template = gallery.person(best.person_id) if best else None
        names.append(template.name if template else "")
        scores.append(best.score if best else -np.inf)
    own = [embedded.photos[number].person for number in probes.tolist()]
    return Shown(
        np.array([person in people for person in own], bool),
        np.array([name == person for name, person in zip(names, own, strict=True)], bool),
        np.array(scores),
    )


def doors(
    embedded: Embedded,
    calibration: Calibration,
    sizes: Sequence[int] = SIZES,
    targets: Sequence[float] = FPIR_TARGETS,
    seed: int = 0,
) -> list[Door]:
    """Identification at each gallery size that the photographs allow, thresholds from the manifest.

    Residents are drawn from people with two or more photographs and enrolled from one; their others (at most
    five) are shown, and one of each of up to a thousand strangers.
    """
    by_person: dict[str, list[int]] = {}
    for number, photo in enumerate(embedded.photos):
        by_person.setdefault(photo.person, []).append(number)
    several = sorted(name for name, rows in by_person.items() if len(rows) >= 2)
    found = []
    for size in sizes:
        if size > len(several) or size >= len(by_person):
            continue  # nobody left to be enrolled, or to be a stranger
        rng = np.random.default_rng((seed, size))
        draws = DRAWS.get(size, 1)
        parts = [_play(embedded, by_person, several, size, rng) for _ in range(draws)]
        found.append(_door(parts, calibration, size, targets))
    return found


def _play(
    embedded: Embedded,
    by_person: dict[str, list[int]],
    several: list[str],
    size: int,
    rng: np.random.Generator,
) -> Shown:
    residents = set(rng.choice(several, size, replace=False).tolist())
    gallery, probes = {}, []
    for name in sorted(residents):
        rows = rng.permutation(by_person[name]).tolist()
        if embedded.is_found[rows[0]]:
            gallery[name] = [embedded.embeddings[rows[0]]]
        probes += rows[1 : 1 + OTHERS]
    strangers = sorted(set(by_person) - residents)
    for name in rng.permutation(strangers)[:STRANGERS].tolist():
        probes.append(int(rng.choice(by_person[name])))
    return show(embedded, Gallery.of_embeddings(gallery), np.array(probes, np.intp), residents)


def _door(parts: list[Shown], calibration: Calibration, size: int, targets: Sequence[float]) -> Door:
    seen = Shown(
        np.concatenate([part.is_mated for part in parts]),
        np.concatenate([part.is_right for part in parts]),
        np.concatenate([part.score for part in parts]),
    )
    fpir, fnir = search_curve(seen)
    return Door(
        enrolled=size,
        draws=len(parts),
        mated=int(seen.is_mated.sum()),
        non_mated=int((~seen.is_mated).sum()),
        rank_1=rate(int((seen.is_mated & seen.is_right).sum()), int(seen.is_mated.sum())),
        thresholds=[_at(seen, calibration, target, size) for target in targets] if calibration.table else [],
        curve_fpir=fpir,
        curve_fnir=fnir,
    )


def search_curve(seen: Shown, points: int = 40) -> tuple[list[float], list[float]]:
    """(FPIR, FNIR) over thresholds, FPIR falling: from all strangers who are seen let in to none of them."""
    strangers = np.sort(seen.score[~seen.is_mated])[::-1]
    own = np.where(seen.is_right, seen.score, -np.inf)[seen.is_mated]
    if not len(strangers) or not len(own):
        return [], []
    seen_ones = int(np.isfinite(strangers).sum())  # who is not found is never let in
    allowed = np.unique(np.geomspace(1, max(1, seen_ones), points).astype(np.int64))[::-1]
    thresholds = [float(strangers[n - 1]) for n in allowed if seen_ones]
    thresholds.append(float(np.nextafter(strangers[0], np.inf)))
    return (
        [float((strangers >= t).mean()) for t in thresholds],
        [float((~(own >= t)).mean()) for t in thresholds],
    )


def _at(seen: Shown, calibration: Calibration, promised: float, enrolled: int) -> DoorThreshold:
    """Errors at the threshold that keeps this promise for a gallery of this size."""
    point = promised_point(calibration, fmr_for_gallery(promised, enrolled))
    opens = seen.score >= point.threshold
    mated, right = seen.is_mated, seen.is_right
    return DoorThreshold(
        promised,
        point.fmr,
        point.threshold,
        point.is_extrapolated,
        fnir=rate(int((mated & ~(opens & right)).sum()), int(mated.sum())),
        fpir=rate(int((~mated & opens).sum()), int((~mated).sum())),
        wrong_person=int((mated & opens & ~right).sum()),
    )


def _draw(photos: list[Photo], count: int, rng: np.random.Generator) -> list[Photo]:
    return [photos[i] for i in sorted(rng.choice(len(photos), count, replace=False).tolist())]
