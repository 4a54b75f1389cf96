"""Compare embeddings. Gives scores; only `policy` compares a score with a threshold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from janusd.core.gallery import Gallery
from janusd.core.types import Candidate, Embedding


def verify(a: Embedding, b: Embedding) -> float:
    """Score of two embeddings: their cosine, with what noise takes from it made up for; about -1..1."""
    return float(np.dot(a, b))


def person_scores(probe: Embedding, gallery: Gallery) -> NDArray[np.float32]:
    """(people,) float32: the score with the mean of each person's samples."""
    return gallery.matrix @ probe if len(gallery) else np.empty(0, np.float32)


def identify(probe: Embedding, gallery: Gallery) -> tuple[Candidate | None, Candidate | None]:
    """The most similar person, and the most similar other person; None where there are too few people."""
    scores = person_scores(probe, gallery)
    first, second = None, None
    for index in np.argsort(-scores, kind="stable")[:2]:
        template = gallery.templates[index]
        guard = -1.0 if template.guards is None else float(np.max(template.guards @ probe, initial=-1.0))
        candidate = Candidate(template.person_id, float(scores[index]), guard)
        first, second = (candidate, None) if first is None else (first, candidate)
    return first, second
