"""Play the door's question with photographs: enrol people from one photo each, show others, count errors.

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

import numpy as np

from janusd import models
from janusd.core.gallery import Gallery
from janusd.core.manifest import fmr_for_gallery, operating_point
from janusd.core.match import identify as search
from janusd_export.device import Embedded, Progress, embed_photos
from janusd_export.errors import ExportError
from janusd_export.metrics import Rate, rate
from janusd_export.photos import Photo, open_photos

FPIR_TARGETS = (1e-1, 1e-2, 1e-3, 1.0 / 730.5)
"""The last is a door's default promise: one false unlock a year at two strangers' tries a day."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What happened at the threshold of one promise."""

    fpir_promised: float
    fmr: float
    threshold: float
    is_extrapolated: bool
    fnir: Rate
    fpir: Rate
    wrong_person: int
    """Of the false negatives: enrolled people answered as somebody else."""


@dataclass(frozen=True, slots=True)
class IdentifyReport:
    """What `janus-export identify` prints."""

    enrolled: int
    not_enrolled: list[str]
    """People of the gallery in whose photo no face was found: all their probes count as false negatives."""
    mated: int
    non_mated: int
    missed_probes: int
    rank_1: Rate
    """Mated probes whose own person is the most similar one, at any score."""
    thresholds: list[Threshold]


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is enrolled from which photo, and which photos are shown."""

    gallery: tuple[Photo, ...]
    probes: tuple[Photo, ...]


def plan_collections(gallery: Path, probes: Path) -> Plan:
    """One photo (the first by name) of each person of `gallery`; all of `probes` but those very pictures."""
    first: dict[str, Photo] = {}
    for photo in open_photos(gallery):
        first.setdefault(photo.person, photo)
    taken = {photo.read() for photo in first.values()}
    return Plan(tuple(first.values()), tuple(p for p in open_photos(probes) if p.read() not in taken))


def plan_lfw(folder: Path, people: int, probes: int, seed: int) -> Plan:
    """Draw a door from a collection: `people` residents, one photo each, and `probes` other photos.

    Residents are drawn from people with two or more photos. Half of the probes are drawn from the residents'
    other photos, fewer if there are not so many; the rest are strangers, one photo each.
    """
    rng = np.random.default_rng(seed)
    by_person: dict[str, list[Photo]] = {}
    for photo in open_photos(folder):
        by_person.setdefault(photo.person, []).append(photo)
    several = sorted(name for name, photos in by_person.items() if len(photos) >= 2)
    if people > len(several):
        raise ExportError(
            f"{folder} has {len(several)} people with two photos, fewer than the {people} to enrol"
        )
    residents = set(rng.choice(several, people, replace=False).tolist())
    gallery, others = [], []
    for name in sorted(residents):
        chosen = int(rng.integers(len(by_person[name])))
        gallery.append(by_person[name][chosen])
        others += [photo for number, photo in enumerate(by_person[name]) if number != chosen]
    mated = _draw(others, min(len(others), probes // 2), rng)
    strangers = [
        photos[int(rng.integers(len(photos)))]
        for name, photos in sorted(by_person.items())
        if name not in residents
    ]
    if probes - len(mated) > len(strangers):
        raise ExportError(f"{folder} has only {len(strangers)} strangers to show")
    return Plan(tuple(gallery), tuple(mated + _draw(strangers, probes - len(mated), rng)))


def identify(
    plan: Plan,
    models_dir: Path,
    cache_dir: Path | None,
    *,
    fpir_targets: Sequence[float] = FPIR_TARGETS,
    jobs: int = 1,
    progress: Progress | None = None,
) -> IdentifyReport:
    """Enrol, show, count."""
    every = (*plan.gallery, *plan.probes)
    embedded = embed_photos(every, models_dir, cache_dir, jobs=jobs, progress=progress)
    return report(plan, embedded, models_dir, fpir_targets)


def report(plan: Plan, embedded: Embedded, models_dir: Path, fpir_targets: Sequence[float]) -> IdentifyReport:
    """Count over photographs that are embedded: first the gallery's, then the probes."""
    calibration = models.load(models_dir).manifest.encoder.calibration
    enrolled = len(plan.gallery)
    gallery = Gallery.of_embeddings(
        {
            photo.person: [embedded.embeddings[number]]
            for number, photo in enumerate(plan.gallery)
            if embedded.is_found[number]
        }
    )
    people = {photo.person for photo in plan.gallery}
    is_mated = np.array([photo.person in people for photo in plan.probes])
    answers: list[
        tuple[str, float]
    ] = []  # best person and score of each probe; nobody where no face was found
    for number in range(len(plan.probes)):
        best = None
        if embedded.is_found[enrolled + number]:
            best, _ = search(embedded.embeddings[enrolled + number], gallery)
        answers.append((best.person_id, best.score) if best else ("", -np.inf))
    is_right = np.array([best == photo.person for (best, _), photo in zip(answers, plan.probes, strict=True)])
    scores = np.array([score for _, score in answers])
    thresholds = []
    for promised in fpir_targets:
        point = operating_point(calibration, fmr_for_gallery(promised, len(gallery)))
        opens = scores >= point.threshold
        thresholds.append(
            Threshold(
                promised,
                point.fmr,
                point.threshold,
                point.is_extrapolated,
                fnir=rate(int((is_mated & ~(opens & is_right)).sum()), int(is_mated.sum())),
                fpir=rate(int((~is_mated & opens).sum()), int((~is_mated).sum())),
                wrong_person=int((is_mated & opens & ~is_right).sum()),
            )
        )
    return IdentifyReport(
        enrolled=len(gallery),
        not_enrolled=sorted(people - {t.person_id for t in gallery.templates}),
        mated=int(is_mated.sum()),
        non_mated=int((~is_mated).sum()),
        missed_probes=int((~embedded.is_found[enrolled:]).sum()),
        rank_1=rate(int((is_mated & is_right).sum()), int(is_mated.sum())),
        thresholds=thresholds,
    )


def _draw(photos: list[Photo], count: int, rng: np.random.Generator) -> list[Photo]:
    return [photos[i] for i in sorted(rng.choice(len(photos), count, replace=False).tolist())]
