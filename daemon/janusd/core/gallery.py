"""The people enrolled at a door, as the matcher sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from janusd.core.schedule import Schedule
from janusd.core.terms import ALWAYS, Terms
from janusd.core.types import Embedding


@dataclass(frozen=True, slots=True)
class Template:
    """What is stored of one person: embeddings of several samples of their face."""

    person_id: str
    """Random, stable, never shown; the name may change, this does not."""
    name: str
    embeddings: NDArray[np.float32]
    """(n, D) float32, rows of unit length, one a sample."""
    schedule: Schedule = field(default_factory=Schedule)
    terms: Terms = ALWAYS
    guards: NDArray[np.float32] | None = None
    """(g, D) float32, rows of unit length: tries that were let in as this person, and were not."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """All templates in one matrix. Immutable: a changed gallery is a new one, swapped in at once."""

    templates: tuple[Template, ...]
    matrix: NDArray[np.float32]
    """(N, D) float32: every enrolled embedding."""
    owner: NDArray[np.intp]
    """(N,) index into `templates` of each row's person."""

    @classmethod
    def of(cls, templates: Sequence[Template]) -> Gallery:
        """Build the matrix of these templates."""
        kept = tuple(template for template in templates if len(template.embeddings))
        if not kept:
            return cls((), np.empty((0, 0), np.float32), np.empty(0, np.intp))
        matrix = np.concatenate([template.embeddings for template in kept]).astype(np.float32, copy=False)
        owner = np.repeat(np.arange(len(kept)), [len(template.embeddings) for template in kept])
        return cls(kept, matrix, owner)

    @classmethod
    def of_embeddings(cls, people: Mapping[str, Sequence[Embedding]]) -> Gallery:
        """A gallery of named embeddings, for evaluation and the SDK."""
        return cls.of([Template(name, name, np.stack(rows)) for name, rows in people.items() if rows])

    def __len__(self) -> int:
        """How many people are enrolled."""
        return len(self.templates)

    def person(self, person_id: str) -> Template | None:
        """The template of that person, or None once they are forgotten."""
        return next((t for t in self.templates if t.person_id == person_id), None)
