"""Which rows of one set are nearest to which of another, in blocks: no matrix of all cosines ever exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
_BLOCK = 2048  # cosines in memory at a time: the square of it, 16 MB


def pairs_above(
    vectors: Matrix, cosine: float, progress: Callable[[int], None] | None = None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], Matrix]]:
    """(first, second, cosine) of all pairs first < second of (N, D) unit rows at or above this cosine."""
    for top in range(0, len(vectors), _BLOCK):
        for left in range(top, len(vectors), _BLOCK):
            found = vectors[top : top + _BLOCK] @ vectors[left : left + _BLOCK].T
            first, second = np.nonzero(found >= cosine)
            if left == top:
                is_once = first < second
                first, second = first[is_once], second[is_once]
            if len(first):
                yield first + top, second + left, found[first, second]
        if progress:
            progress(min(top + _BLOCK, len(vectors)))


def nearest(
    vectors: Matrix, others: Matrix, progress: Callable[[int], None] | None = None
) -> tuple[NDArray[np.intp], Matrix]:
    """(n,) the row of `others` nearest to each of (n, D) `vectors`, and its cosine (-1 without others)."""
    which = np.zeros(len(vectors), np.intp)
    best = np.full(len(vectors), -1.0, np.float32)
    for top in range(0, len(vectors), _BLOCK):
        rows = slice(top, top + _BLOCK)
        for left in range(0, len(others), _BLOCK):
            found = vectors[rows] @ others[left : left + _BLOCK].T
            place = found.argmax(axis=1)
            value = np.take_along_axis(found, place[:, None], axis=1)[:, 0]
            is_nearer = value > best[rows]
            which[rows] = np.where(is_nearer, place + left, which[rows])
            best[rows] = np.where(is_nearer, value, best[rows])
        if progress:
            progress(min(top + _BLOCK, len(vectors)))
    return which, best
