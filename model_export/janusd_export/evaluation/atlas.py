"""Embeddings of people the network never saw, laid out in a plane so that a person can look at them.

A map is a picture, not a measurement: distances between far islands mean nothing. What is measured is beside
it: how many photographs have one of the same person as their nearest neighbour in the embedding space itself.
"""

# ruff: noqa: PLC0415  # scikit-learn and umap load only where they are used

from __future__ import annotations

import numpy as np

from janusd_export.errors import ExportError
from janusd_export.evaluation.findings import Map
from janusd_export.faces.device import Embedded
from janusd_export.metrics import rate

PEOPLE = 40
PHOTOS = 12
FEWEST = 4


def draw(embedded: Embedded, seed: int = 0) -> Map:
    """The map of up to forty people with four photographs or more. Raises ExportError where none have."""
    rng = np.random.default_rng(seed)
    by_person: dict[str, list[int]] = {}
    for number, photo in enumerate(embedded.photos):
        if embedded.is_found[number]:
            by_person.setdefault(photo.person, []).append(number)
    several = sorted(name for name, rows in by_person.items() if len(rows) >= FEWEST)
    if len(several) < 2:
        raise ExportError(f"a map needs two people with {FEWEST} photographs: give a larger collection")
    names = sorted(rng.choice(several, min(PEOPLE, len(several)), replace=False).tolist())
    rows, person = [], []
    for number, name in enumerate(names):
        chosen = sorted(rng.permutation(by_person[name])[:PHOTOS].tolist())
        rows += chosen
        person += [number] * len(chosen)
    points = embedded.embeddings[rows]
    score = points @ points.T
    np.fill_diagonal(score, -2.0)
    is_own = np.array(person)[score.argmax(axis=1)] == np.array(person)
    method, plane = _lay_out(points, seed)
    span = np.abs(plane - plane.mean(axis=0)).max()
    plane = (plane - plane.mean(axis=0)) / span
    return Map(
        method,
        names,
        [round(float(x), 4) for x in plane[:, 0]],
        [round(float(y), 4) for y in plane[:, 1]],
        person,
        rate(int(is_own.sum()), len(rows)),
    )


def _lay_out(points: np.ndarray, seed: int) -> tuple[str, np.ndarray]:
    try:
        from umap import UMAP

        return "UMAP, cosine", np.asarray(UMAP(metric="cosine", random_state=seed).fit_transform(points))
    except ModuleNotFoundError:
        from sklearn.manifold import TSNE

        perplexity = min(15.0, (len(points) - 1) / 3.0)
        # On unit vectors the squared Euclidean distance is 2 - 2 cosine.
        made = TSNE(perplexity=perplexity, init="pca", learning_rate="auto", random_state=seed, n_jobs=1)
        return f"t-SNE, perplexity {perplexity:g}", np.asarray(made.fit_transform(points))
