"""Embeddings are about of unit length; what is not was no face."""

from __future__ import annotations

import numpy as np
import pytest

from janusd.core.embed import LONGEST, SHORTEST
from janusd.errors import EnrolmentRefused
from janusd.vault.people import checked_embeddings

ROW = np.array([0.6, 0.8], np.float32)


@pytest.mark.parametrize("length", [SHORTEST, 1.0, LONGEST])
def test_a_length_that_an_encoder_gives_is_taken(length: float) -> None:
    assert np.allclose(checked_embeddings([length * ROW]), [length * ROW])


@pytest.mark.parametrize("length", [0.0, 0.89, 1.11, float("nan"), float("inf")])
def test_a_length_that_none_gives_is_refused(length: float) -> None:
    with pytest.raises(EnrolmentRefused, match="of a length that no face has"):
        checked_embeddings([ROW, length * ROW])
