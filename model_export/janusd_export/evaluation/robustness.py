"""How errors grow as the photograph gets worse: SIMULATED changes to the second photograph of each pair.

The first photograph stays as it is: people enrol in good light and come home in bad. The threshold stays too,
for a door does not know what time it is. FNMR is of the sampled genuine pairs; FMR of every sampled first
photograph against every changed second one of somebody else, because encoders that see too little tend to
find everybody alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from janusd_export.evaluation.changes import CURVES, Kind
from janusd_export.evaluation.findings import Robustness, RobustPoint, Sturdiness
from janusd_export.faces.device import Embedded, embed_photos
from janusd_export.faces.photos import Photo
from janusd_export.metrics import rate


def measure(
    pairs: Sequence[tuple[Photo, Photo]],
    models_dir: Path,
    cache_dir: Path | None,
    threshold: float,
    fmr: float,
    *,
    kinds: Sequence[Kind] = CURVES,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> Sturdiness:
    """The curves of these genuine pairs (enrolled, shown)."""
    enrolled = embed_photos([a for a, _ in pairs], models_dir, cache_dir, jobs=jobs)
    shown = [b for _, b in pairs]
    plain = embed_photos(shown, models_dir, cache_dir, jobs=jobs)
    curves = []
    every = sum(len(kind.steps) for kind in kinds) * len(pairs)
    done = 0
    for kind in kinds:
        level, label = kind.levels[0]
        points = [compare(enrolled, plain, threshold, level, label)]
        for step in kind.steps:

            def tell(count: int, _: int, before: int = done) -> None:
                if progress:
                    progress("changed photographs", before + count, every)

            changed = embed_photos(shown, models_dir, cache_dir, change=step, jobs=jobs, progress=tell)
            points.append(compare(enrolled, changed, threshold, step.level, step.label))
            done += len(pairs)
        curves.append(Robustness(kind.name, kind.axis, kind.what, points))
    return Sturdiness(len(pairs), threshold, fmr, curves)


def compare(enrolled: Embedded, shown: Embedded, threshold: float, level: float, label: str) -> RobustPoint:
    """Errors of corresponding rows as genuine pairs, and of all others as impostor pairs.

    A pair whose face was not found does not match; such pairs are no impostor comparisons.
    """
    score = enrolled.embeddings @ shown.embeddings.T
    is_seen = enrolled.is_found[:, None] & shown.is_found[None, :]
    matches = (score >= threshold) & is_seen
    a, b = (np.array([photo.person for photo in side.photos]) for side in (enrolled, shown))
    is_other = (a[:, None] != b[None, :]) & is_seen
    missed = int((~shown.is_found).sum())
    return RobustPoint(
        level,
        label,
        fnmr=rate(int((~np.diag(matches)).sum()), len(score)),
        fmr=rate(int(matches[is_other].sum()), int(is_other.sum())),
        missed=rate(missed, len(score)),
    )
