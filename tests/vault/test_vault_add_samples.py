"""Samples added later go to the one person they are meant for, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vault_kit import DEVICE, MODEL, embeddings

from janusd.errors import EnrolmentRefused, PersonNotFound
from janusd.vault.keys import FileKey
from janusd.vault.store import Vault


def test_added_samples_are_there_after_a_restart_and_the_first_ones_stay(
    vault: Vault, path: Path, key: FileKey
) -> None:
    ada = vault.add("Ada", embeddings(1), "mon-fri 08:00-18:00")
    vault.add("Ben", embeddings(2))
    grown = vault.add_samples(ada.person_id, embeddings(3, samples=2))
    assert (grown.name, grown.samples, grown.hours) == ("Ada", 7, "mon-fri 08:00-18:00")
    assert grown.person_id == ada.person_id
    vault.close()
    again = Vault.open(path, key, DEVICE, MODEL)
    kept = {template.name: template.embeddings for template in again.templates()}
    again.close()
    np.testing.assert_allclose(
        kept["Ada"], np.concatenate([embeddings(1), embeddings(3, samples=2)]), atol=1e-5
    )
    np.testing.assert_allclose(kept["Ben"], embeddings(2), atol=1e-5)


def test_somebody_forgotten_meanwhile_gets_nothing_not_even_under_their_old_name(vault: Vault) -> None:
    ada = vault.add("Ada", embeddings(1))
    vault.forget("Ada")
    vault.add("Ada", embeddings(2))
    with pytest.raises(PersonNotFound):
        vault.add_samples(ada.person_id, embeddings(3))
    assert [person.samples for person in vault.people()] == [5]


def test_a_sample_that_is_no_embedding_changes_nothing(vault: Vault) -> None:
    ada = vault.add("Ada", embeddings(1))
    with pytest.raises(EnrolmentRefused):
        vault.add_samples(ada.person_id, 2 * embeddings(3))
    assert [person.samples for person in vault.people()] == [5]
