"""Raw output to embedding: all the meaning of an encoder's answer.

The direction of an embedding says whose face it is. A blurred, small or half-hidden face points there with
more noise, and noise draws every cosine towards zero, of friends and of strangers. An encoder that learnt
directions alone answers such a face with a shorter vector. So a score makes up for what the noise of its two
faces takes (Spearman, "The proof and measurement of association between two things", 1904): an embedding is a
little longer than 1 where the answer was short, a little shorter where it was long, and a score is the dot
product of two. docs/adr/0023 has figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from janusd.core.manifest import Attenuation
from janusd.core.types import Embedding

SHORTEST: Final = 0.9
LONGEST: Final = 1.1
"""Of an embedding: no answer of an encoder, however strange its picture, raises a score further."""


def of_answers(answers: Sequence[NDArray[np.float32]], attenuation: Attenuation | None = None) -> Embedding:
    """What an encoder's real answers (D,) for the views of one face say together."""
    direction = _unit(np.sum([_unit(answer) for answer in answers], axis=0, dtype=np.float32))
    if attenuation is None or not direction.any():  # a dead output resembles nobody: all zeros it stays
        return direction
    return direction * lengths(np.array([sureness(answers)], np.float32), attenuation)


def sureness(answers: Sequence[NDArray[np.float32]]) -> float:
    """How long an encoder's answers for the views of one face are, in the mean."""
    return float(np.mean([np.linalg.norm(answer) for answer in answers]))


def lengths(sureness: NDArray[np.float32], attenuation: Attenuation) -> NDArray[np.float32]:
    """(n,) of embeddings whose answers are (n,) long, all above 0."""
    wanted = np.power(sureness / np.float32(attenuation.typical), np.float32(-attenuation.exponent))
    ends: NDArray[np.float32] = np.clip(wanted, SHORTEST, LONGEST)
    return ends


def combine(embeddings: Sequence[Embedding]) -> Embedding:
    """The mean of embeddings of one face: between them, and as long as they are in the mean."""
    if len(embeddings) == 1:
        return embeddings[0]
    length = np.mean([np.linalg.norm(one) for one in embeddings])
    return _unit(np.sum(embeddings, axis=0, dtype=np.float32)) * np.float32(length)


def _unit(vector: Embedding) -> Embedding:
    norm = np.float32(np.linalg.norm(vector))
    return vector / norm if norm > 0 else vector
