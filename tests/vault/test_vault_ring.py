"""What is kept of unlocks: only for a while, only here, and gone when it is told to go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault_kit import DEVICE, MODEL, embeddings

from janusd.errors import InstallerError, VaultExposed
from janusd.vault.keys import FileKey
from janusd.vault.ring import SLOT_BYTES, SLOTS, Ring, Unlock


@pytest.fixture
def ring(path: Path, key: FileKey) -> Ring:
    return Ring(path.with_name("unlocks"), key, DEVICE, MODEL)


def unlock(number: int, person: str = "ada", at_us: int = 0) -> Unlock:
    return Unlock(number, at_us or number, person, embeddings(number, 1)[0])


def test_an_unlock_is_there_again_after_a_restart(ring: Ring, path: Path, key: FileKey) -> None:
    ring.keep(unlock(7), 4)
    again = Ring(path.with_name("unlocks"), key, DEVICE, MODEL)
    found = again.find(7)
    assert found is not None
    assert (found.number, found.person_id) == (7, "ada")
    np.testing.assert_allclose(found.embedding, embeddings(7, 1)[0], atol=3e-7)
    assert again.find(8) is None


def test_nothing_is_kept_unless_the_owner_wants_it(ring: Ring, path: Path) -> None:
    assert ring.find(1) is None
    ring.keep(unlock(1), 0)
    assert not path.with_name("unlocks").exists()
    ring.keep(unlock(2), 3)
    ring.keep(unlock(3), 0)  # switched off again
    assert not path.with_name("unlocks").exists()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=12))
def test_never_more_are_kept_than_asked_for_and_those_are_the_newest(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("ring")
    key = folder / "key"
    key.write_bytes(bytes(range(32)))
    key.chmod(0o600)
    ring = Ring(folder / "janus" / "unlocks", FileKey(key), DEVICE, MODEL)
    for number, slots in enumerate(wanted, start=1):
        ring.keep(unlock(number), slots)
        kept = [one for one in range(1, number + 1) if ring.find(one) is not None]
        assert len(kept) <= slots
        assert number in kept


def test_what_is_dropped_is_gone_from_the_file(ring: Ring, path: Path) -> None:
    for number in range(1, 5):
        ring.keep(unlock(number, "ada" if number % 2 else "bob", at_us=number * 10), 8)
    boxes = slots(path)
    assert ring.drop(person_id="ada") == 2
    assert ring.drop(number=2) == 1
    assert ring.drop(before_us=40) == 0
    assert [ring.find(number) is not None for number in range(1, 5)] == [False, False, False, True]
    after = path.with_name("unlocks").read_bytes()
    assert [box[40:72] in after for box in boxes[:4]] == [False, False, False, True]
    assert ring.drop(before_us=41) == 1


def slots(path: Path) -> list[bytes]:
    raw = path.with_name("unlocks").read_bytes()
    return [raw[at : at + SLOT_BYTES] for at in range(0, len(raw), SLOT_BYTES)]


def test_no_name_or_embedding_lies_in_the_clear_and_the_file_is_ours_alone(ring: Ring, path: Path) -> None:
    ring.keep(unlock(7, "a person's id"), 2)
    raw = path.with_name("unlocks").read_bytes()
    assert b"a person's id" not in raw
    assert embeddings(7, 1)[0].tobytes()[:16] not in raw
    assert len(raw) == SLOTS * SLOT_BYTES
    path.with_name("unlocks").chmod(0o644)
    with pytest.raises(VaultExposed):
        ring.find(7)


def test_a_slot_altered_moved_or_of_another_door_holds_nothing(ring: Ring, path: Path, key: FileKey) -> None:
    ring.keep(unlock(7), 2)
    file = path.with_name("unlocks")
    whole = file.read_bytes()
    for at in (0, 3, 4, 20, 60, 200):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert ring.find(7) is None
    file.write_bytes(bytes(SLOT_BYTES) + whole[:SLOT_BYTES] + bytes((SLOTS - 2) * SLOT_BYTES))
    assert ring.find(7) is None
    file.write_bytes(whole)
    assert Ring(file, key, b"e" * 32, MODEL).find(7) is None
    assert Ring(file, key, DEVICE, b"n" * 32).find(7) is None  # another encoder's: not to be compared
    assert ring.find(7) is not None


def test_a_disk_that_will_not_is_said(ring: Ring, path: Path) -> None:
    path.with_name("unlocks").mkdir(mode=0o700)
    with pytest.raises((InstallerError, VaultExposed)):
        ring.keep(unlock(1), 2)
