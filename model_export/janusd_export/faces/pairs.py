"""Which faces are compared with which: balanced batches, all pairs, sampled pairs, hard negatives.

All pairs of n faces are n (n - 1) / 2: fine for a hundred people, a file of terabytes for a large collection.
So pairs are streams here. A stream of samples has a seed and no end, costs the same memory however long it
runs, and block number k depends on the seed and k only, so that it can be taken up anywhere.

Only labelled faces are compared: two faces of unknown people may be of one person. A face is never compared
with itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from janusd_export.errors import ExportError

Rows = NDArray[np.intp]
"""Row numbers of faces in a cache."""


@dataclass(frozen=True, slots=True)
class People:
    """Labelled rows, grouped by person."""

    rows: Rows
    """(M,) sorted by person."""
    starts: Rows
    """(P + 1,) person p has rows[starts[p] : starts[p + 1]]."""

    @property
    def counts(self) -> Rows:
        """(P,) faces a person."""
        return np.diff(self.starts)

    @property
    def genuine_pairs(self) -> int:
        """Unordered pairs of two faces of one person."""
        counts = self.counts.astype(object)  # Python's integers: no overflow however many faces
        return int((counts * (counts - 1) // 2).sum()) if len(counts) else 0

    @property
    def impostor_pairs(self) -> int:
        """Unordered pairs of faces of two people."""
        return len(self.rows) * (len(self.rows) - 1) // 2 - self.genuine_pairs


@dataclass(frozen=True, slots=True)
class Pairs:
    """A block of comparisons."""

    first: Rows
    second: Rows
    is_same: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Triplets:
    """A block of anchors, each with a face of the same person and one of another that resembles it."""

    anchor: Rows
    positive: Rows
    negative: Rows


class Hardness(StrEnum):
    """Which negative an anchor gets."""

    HARD = "hard"
    """The most similar one there is."""
    SEMI_HARD = "semi-hard"
    """The most similar one that is less similar than the positive, and by less than a margin (Schroff et al.,
    FaceNet, CVPR 2015, section 3.2)."""


def group(person: NDArray[np.int32], is_used: NDArray[np.bool_] | None = None) -> People:
    """Group (N,) person numbers, -1 being unknown; `is_used` leaves rows out."""
    known = person >= 0 if is_used is None else (person >= 0) & is_used
    rows = np.flatnonzero(known)
    rows = rows[np.argsort(person[rows], kind="stable")]
    sorted_person = person[rows]
    borders = np.flatnonzero(np.diff(sorted_person)) + 1
    starts = np.concatenate([[0], borders, [len(rows)]]) if len(rows) else np.zeros(1)
    return People(rows, starts.astype(np.intp))


def all_pairs(people: People, block: int = 65_536) -> Iterator[Pairs]:
    """Every unordered pair of labelled faces once, in blocks of at most `block`."""
    number = np.repeat(np.arange(len(people.counts)), people.counts)  # (M,) whose row it is
    for first in range(len(people.rows) - 1):
        for start in range(first + 1, len(people.rows), block):
            second = np.arange(start, min(start + block, len(people.rows)))
            yield Pairs(
                np.full(len(second), people.rows[first]), people.rows[second], number[second] == number[first]
            )


def sampled_pairs(people: People, seed: int, block: int = 4096, start: int = 0) -> Iterator[Pairs]:
    """Endless blocks, half genuine and half impostor, from block number `start` on.

    Genuine: a person, uniform among those with two faces or more; then one of their pairs, uniform. Impostor:
    two people, uniform among all pairs of people; then a face of each, uniform. So a person with a thousand
    photographs weighs as much as one with two. Pairs may come again. Raises ExportError where there are no
    genuine or no impostor pairs.
    """
    counts = people.counts
    several = np.flatnonzero(counts >= 2)
    if not len(several) or len(counts) < 2:
        raise ExportError("pairs need two people, and one of them with two faces or more: import more")
    for number in itertools.count(start):
        rng = np.random.default_rng([seed, number])
        same = rng.choice(several, block - block // 2)
        a = rng.integers(0, counts[same])
        b = _another(rng, a, counts[same])
        p = rng.integers(0, len(counts), block // 2)
        q = _another(rng, p, np.full(block // 2, len(counts)))
        yield Pairs(
            np.concatenate([_row(people, same, a), _row(people, p, rng.integers(0, counts[p]))]),
            np.concatenate([_row(people, same, b), _row(people, q, rng.integers(0, counts[q]))]),
            np.arange(block) < len(same),
        )


def balanced_batches(
    people: People, people_a_batch: int, faces_a_person: int, seed: int, start: int = 0
) -> Iterator[Rows]:
    """Endless batches of P people with K faces each, (P * K,) rows, from epoch number `start` on.

    Only people with two faces or more. In an epoch each comes once, but for the few that do not fill a batch;
    who they are differs from epoch to epoch. A person with fewer than K faces shows each before any again.
    Raises ExportError where there are fewer than P such people.
    """
    several = np.flatnonzero(people.counts >= 2)
    if len(several) < people_a_batch:
        raise ExportError(
            f"only {len(several)} people have two faces or more: take fewer than {people_a_batch} a batch"
        )
    for epoch in itertools.count(start):
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(several)
        for first in range(0, len(order) - people_a_batch + 1, people_a_batch):
            batch = [
                _some(rng, people, person, faces_a_person) for person in order[first : first + people_a_batch]
            ]
            yield np.concatenate(batch)


def mined_triplets(
    embeddings: NDArray[np.float32],
    people: People,
    hardness: Hardness,
    seed: int,
    *,
    margin: float = 0.2,
    ceiling: float = 1.0,
    block: int = 1024,
) -> Iterator[Triplets]:
    """One triplet for each face of a person with two or more, given (N, D) unit embeddings.

    The positive is another face of the person, uniform. A negative whose cosine is above `ceiling` is taken
    for a label mistake and never chosen: the hardest negatives of a collection are mostly the same person
    under two names. Anchors that no negative is left for are left out. Memory: two blocks of embeddings and
    one of their cosines.
    """
    counts = people.counts
    number = np.repeat(np.arange(len(counts)), counts)  # (M,) whose row it is
    within = np.arange(len(number)) - people.starts[number]
    anchors = np.flatnonzero(counts[number] >= 2)
    for start in range(0, len(anchors), block):
        a = anchors[start : start + block]
        rng = np.random.default_rng([seed, start])
        person = number[a]
        positive = _row(people, person, _another(rng, within[a], counts[person]))
        anchor = people.rows[a]
        ours = embeddings[anchor]
        genuine = np.einsum("nd,nd->n", ours, embeddings[positive])
        best = np.full(len(a), -np.inf, np.float32)
        negative = np.zeros(len(a), np.intp)
        for left in range(0, len(people.rows), block):
            others = people.rows[left : left + block]
            cosine = ours @ embeddings[others].T
            cosine[(person[:, None] == number[left : left + block]) | (cosine > ceiling)] = -np.inf
            if hardness is Hardness.SEMI_HARD:
                is_beyond = (cosine >= genuine[:, None]) | (cosine <= genuine[:, None] - margin)
                cosine[is_beyond] = -np.inf
            nearest = cosine.argmax(axis=1)
            value = np.take_along_axis(cosine, nearest[:, None], axis=1)[:, 0]
            is_better = value > best
            best[is_better], negative[is_better] = value[is_better], others[nearest[is_better]]
        is_found = np.isfinite(best)
        if is_found.any():
            yield Triplets(anchor[is_found], positive[is_found], negative[is_found])


def _row(people: People, person: Rows, place: Rows) -> Rows:
    return people.rows[people.starts[person] + place]


def _another(rng: np.random.Generator, taken: Rows, of: Rows) -> Rows:
    """A place in range(of) that is not `taken`, uniform among the others."""
    other = rng.integers(0, of - 1)
    return other + (other >= taken)


def _some(rng: np.random.Generator, people: People, person: int, count: int) -> Rows:
    own = people.rows[people.starts[person] : people.starts[person + 1]]
    rounds = [rng.permutation(own) for _ in range(-(-count // len(own)))]
    return np.concatenate(rounds)[:count]
