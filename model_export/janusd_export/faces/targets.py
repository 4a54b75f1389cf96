"""One target for each face out of several teachers' opinions.

Each teacher's embedding (mean of a face and its mirror image) is centred, brought to unit length and weighted
by the inverse spread of its impostor scores, so that the sum of cosines is the sum of z-scores: the two
teachers err on different faces. The weighted vectors are joined and rotated onto their principal axes, which
a student can hold. Means, weights and axes come from training faces only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Fusion:
    """How the teachers' embeddings are joined."""

    means: tuple[Matrix, ...]
    """(D_t,) the mean unit embedding of each teacher."""
    weights: tuple[float, ...]
    axes: Matrix
    """(sum of D_t, D) orthonormal columns."""

    def __call__(self, teachers: list[Matrix]) -> Matrix:
        """Give the (N, D) unit targets of faces whose teacher embeddings are (N, D_t)."""
        return unit(self._joined(teachers) @ self.axes)

    def _joined(self, teachers: list[Matrix]) -> Matrix:
        parts = [w * unit(unit(e) - m) for e, m, w in zip(teachers, self.means, self.weights, strict=True)]
        return np.concatenate(parts, axis=1)


def fit_fusion(teachers: list[Matrix], dimensions: int, rng: np.random.Generator) -> Fusion:
    """Fit to the (N, D_t) embeddings of the training faces."""
    means = tuple(unit(e).mean(axis=0) for e in teachers)
    a, b = rng.integers(0, len(teachers[0]), (2, 50_000))  # almost all of these pairs are of two people
    spreads = []
    for embeddings, mean in zip(teachers, means, strict=True):
        centred = unit(unit(embeddings) - mean)
        spreads.append(float(np.einsum("nd,nd->n", centred[a], centred[b])[a != b].std()))
    weights = tuple(
        float(np.sqrt(1.0 / s)) for s in spreads
    )  # a cosine of weighted vectors carries the square
    unrotated = Fusion(means, weights, np.zeros((0, 0), np.float32))
    joined = unrotated._joined(teachers)
    _, axes = np.linalg.eigh(joined.T.astype(np.float64) @ joined)  # ascending
    return Fusion(means, weights, np.ascontiguousarray(axes[:, ::-1][:, :dimensions], np.float32))


def towards_person(target: Matrix, person: NDArray[np.int32], weight: float) -> Matrix:
    """Mix each labelled face's target with the mean of its person's; unlabelled (-1) faces stay.

    A face that hardly resembles its person's mean is probably mislabelled and stays as well.
    """
    if weight == 0.0:
        return target
    sums = np.zeros((person.max() + 1, target.shape[1]), np.float32)
    known = person >= 0
    np.add.at(sums, person[known], target[known])
    mean = unit(sums[np.maximum(person, 0)])
    trusted = known & (np.einsum("nd,nd->n", mean, target) > 0.5)
    return unit(np.where(trusted[:, None], target + weight * mean, target))


def unit(vectors: Matrix) -> Matrix:
    """Rows scaled to unit length."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
