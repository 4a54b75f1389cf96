"""The vault's own rotation: no score changes, and two doors' records have nothing in common."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault_kit import embeddings

from janusd.vault.transform import turn, turn_back

SEED = bytes(range(32))


@settings(max_examples=30)
@given(seed=st.binary(min_size=32, max_size=32), samples=st.integers(1, 5), dimensions=st.integers(1, 80))
def test_what_is_turned_comes_back_and_keeps_every_score(seed: bytes, samples: int, dimensions: int) -> None:
    rows = embeddings(3, samples, dimensions)
    turned = turn(seed, rows)
    np.testing.assert_allclose(turn_back(seed, turned), rows, atol=3e-7)
    np.testing.assert_allclose(turned @ turned.T, rows @ rows.T, atol=3e-6)


@pytest.mark.parametrize("dimensions", [128, 512])
def test_two_doors_records_of_one_person_have_nothing_in_common(dimensions: int) -> None:
    rows = embeddings(1, 200, dimensions)
    here, there = turn(SEED, rows), turn(bytes(32), rows)
    mated = np.sum(here * there, axis=1)
    others = np.sum(here * np.roll(there, 1, axis=0), axis=1)
    limit = 4.5 / np.sqrt(dimensions)  # scores of unrelated unit vectors have this standard deviation, / 4.5
    assert abs(mated).max() < limit
    assert abs(others).max() < limit
    assert abs(mated.mean() - others.mean()) < 5 / np.sqrt(dimensions * len(rows))


def test_the_rotation_of_a_seed_is_frozen() -> None:
    """A changed stream would lose everybody at every door."""
    turned = turn(SEED, np.eye(8, dtype=np.float32))
    rounded = np.round(turned.astype(np.float64), 4) + 0.0
    assert hashlib.sha256(rounded.tobytes()).hexdigest() == FROZEN


FROZEN = "a5f2965b5536ecb35f37a51abb9b97e99cdb87c3b4410a8ee8cee9af23d3cbf0"
