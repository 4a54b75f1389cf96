"""From samples of one face to a template: fit pictures, one and the same person, different views."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from janusd.core import match
from janusd.core.gallery import Gallery
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Embedding
from janusd.door import Feedback
from janusd.errors import EnrolmentRefused
from janusd.pipeline import Probe

ANOTHER_PERSON = "another_person"
DUPLICATE_VIEW = "duplicate_view"
GOOD = "good"

_SAME_VIEW = 0.97
"""Samples more alike than this add nothing: consecutive frames of somebody who holds still."""


@dataclass(slots=True)
class Enrolment:
    """One enrolment under way. Holds samples in memory only; nothing is stored until it is finished."""

    name: str
    schedule: Schedule
    hours: str
    wanted: int
    least: int
    same_person: float
    """Samples must score at least this against the mean of the earlier ones."""
    _samples: list[Embedding] = field(default_factory=list)

    def offer(self, probe: Probe) -> Feedback:
        """Take a picture as a sample, or say why not."""
        if probe.embedding is None:
            reason = probe.reason or Reason.NO_FACE
            return self._feedback(reason.value, reason.hint)
        if self._samples:
            scores = [match.verify(probe.embedding, sample) for sample in self._samples]
            if max(scores) < self.same_person:
                return self._feedback(ANOTHER_PERSON, "This looks like somebody else than before.")
            if max(scores) > _SAME_VIEW:
                return self._feedback(DUPLICATE_VIEW, "Turn your head a little.")
        self._samples.append(probe.embedding)
        return self._feedback(GOOD, "Good.", accepted=True)

    @property
    def is_complete(self) -> bool:
        """Whether as many samples as wanted have been accepted."""
        return len(self._samples) >= self.wanted

    def finish(self, gallery: Gallery, threshold: float) -> NDArray[np.float32]:
        """(n, D) float32 embeddings of the template.

        Raises EnrolmentRefused when the samples are too few, or match somebody who is enrolled already.
        """
        if len(self._samples) < self.least:
            raise EnrolmentRefused(
                f"{len(self._samples)} of at least {self.least} usable samples of {self.name}",
                "add clear pictures of the face from slightly different sides",
            )
        for sample in self._samples:
            best, _ = match.identify(sample, gallery)
            twin = gallery.person(best.person_id) if best and best.score >= threshold else None
            if twin is not None:
                raise EnrolmentRefused(
                    f"{self.name} looks like {twin.name}, who is enrolled already",
                    f"forget {twin.name} first if they are the same person",
                )
        return np.stack(self._samples)

    def _feedback(self, reason: str, hint: str, *, accepted: bool = False) -> Feedback:
        return Feedback(accepted, reason, hint, len(self._samples), self.wanted)
