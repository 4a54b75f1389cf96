"""The people enrolled at a door, as the matcher sees them.

A person is compared as the mean of their samples: what one photograph's light and look add to a face cancels
out, and a stranger gets one chance a person, not one a sample. docs/adr/0022 has figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from janusd.core.embed import combine
from janusd.core.schedule import Schedule
from janusd.core.terms import ALWAYS, Terms
from janusd.core.types import Embedding

_MEAN_COUNTS_AS: Final = 2
"""Comparisons, where thresholds are made for comparing two photographs: at one that lets strangers match one
photograph in a thousand times, they matched the mean of five 1.1 to 2.0 times."""


@dataclass(frozen=True, slots=True)
class Template:
    """What is stored of one person: embeddings of several samples of their face."""

    person_id: str
    """Random, stable, never shown; the name may change, this does not."""
    name: str
    embeddings: NDArray[np.float32]
    """(n, D) float32, rows of about unit length, one a sample."""
    schedule: Schedule = field(default_factory=Schedule)
    terms: Terms = ALWAYS
    guards: NDArray[np.float32] | None = None
    """(g, D) float32, rows of about unit length: tries that were let in as this person, and were not."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """All people in one matrix. Immutable: a changed gallery is a new one, swapped in at once."""

    templates: tuple[Template, ...]
    matrix: NDArray[np.float32]
    """(people, D) float32: the mean of each person's samples."""

    @classmethod
    def of(cls, templates: Sequence[Template]) -> Gallery:
        """Build the matrix of these templates."""
        kept = tuple(template for template in templates if len(template.embeddings))
        if not kept:
            return cls((), np.empty((0, 0), np.float32))
        means = np.stack([combine(list(template.embeddings)) for template in kept])
        return cls(kept, means.astype(np.float32, copy=False))

    @classmethod
    def of_embeddings(cls, people: Mapping[str, Sequence[Embedding]]) -> Gallery:
        """A gallery of named embeddings, for evaluation and the SDK."""
        return cls.of([Template(name, name, np.stack(rows)) for name, rows in people.items() if rows])

    def __len__(self) -> int:
        """How many people are enrolled."""
        return len(self.templates)

    @property
    def samples(self) -> int:
        """How many samples of all people are enrolled."""
        return sum(len(template.embeddings) for template in self.templates)

    @property
    def comparisons(self) -> int:
        """As how many comparisons of two photographs a search counts, for the promise that is kept."""
        return sum(comparisons(len(template.embeddings)) for template in self.templates)

    def person(self, person_id: str) -> Template | None:
        """The template of that person, or None once they are forgotten."""
        return next((t for t in self.templates if t.person_id == person_id), None)


def comparisons(samples: int) -> int:
    """As how many comparisons of two photographs the comparison with somebody of so many samples counts."""
    return min(samples, _MEAN_COUNTS_AS)
