"""Crops kept beside the samples: sealed, of use to another encoder, gone when person or owner wants it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from killing import until_killed
from numpy.typing import NDArray
from test_vault_keeper import made_in, names, place_in
from vault_kit import DEVICE, MODEL, embeddings, face

from janusd.core.terms import Role, Terms
from janusd.errors import InstallerError, PersonNotFound, VaultDamaged, VaultRolledBack
from janusd.service.caretaking import CropCare, VaultCaretaker
from janusd.vault import people
from janusd.vault.crops import NONE, Crops
from janusd.vault.keeper import Keeper, Place
from janusd.vault.parcel import Identity, pack, unpack
from janusd.vault.store import Vault

OTHER_MODEL = b"o" * 32


def pictures(seed: int, count: int = 5) -> Crops:
    return np.random.default_rng(seed).integers(0, 256, (count, *NONE.shape[1:]), np.uint8)


def anew(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What another encoder makes of a crop: something that only this crop gives."""
    return embeddings(int(crop[:2, :2].astype(np.uint32).sum()), 1)[0]


def all_anew(crops: Crops) -> NDArray[np.float32]:
    return np.stack([anew(crop) for crop in crops])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Ada's crops are kept, all five; Bob's are not."""
    made = made_in(tmp_path)
    keeper = Keeper.open(made)
    keeper.add("Ada", face(1), "mon-fri 08:00-18:00", Terms(Role.OWNER), crops=pictures(1))
    keeper.add("Bob", face(2))
    keeper.close()
    return made


@pytest.fixture
def keeper(place: Place) -> Iterator[Keeper]:
    opened = Keeper.open(place)
    yield opened
    opened.close()


def kept(keeper: Keeper) -> dict[str, int]:
    return {person.name: person.crops for person in keeper.people()}


def with_other_model(place: Place) -> Keeper:
    return Keeper.open(replace(place, model_digest=OTHER_MODEL))


def crops_of(keeper: Keeper, name: str) -> Crops:
    """As another encoder is shown them, in the order of the samples."""
    seen = []

    def look(crops: Crops) -> NDArray[np.float32]:
        seen.append(crops)
        return all_anew(crops)

    (person,) = (person for person in keeper.people() if person.name == name)
    keeper.re_embed(person.person_id, look)
    return seen[0]


class Door:
    """Who looks after a keeper, and what was written down."""

    def __init__(self, keeper: Keeper, *, are_kept: bool = True, least: int = 3) -> None:
        self.notes: list[tuple[str, str, str, str]] = []
        self.refreshed = self.beats = 0
        care = CropCare(are_kept, least, anew, "janus-x version 9", self.beat)
        identity = Identity.of(bytearray(b"i" * 32), DEVICE)
        self.caretaker = VaultCaretaker(keeper, identity, MODEL, 128, self.refresh, self.note, care)

    def refresh(self) -> None:
        self.refreshed += 1

    def beat(self) -> None:
        self.beats += 1

    def note(
        self, kind: str, reason: str = "", *, person_id: str = "", name: str = "", note: str = ""
    ) -> None:
        self.notes.append((kind, reason, name, note))


def files_with(folder: Path, pieces: list[bytes]) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path.name for path in files if any(piece in path.read_bytes() for piece in pieces)]


def pieces_of(crops: Crops) -> list[bytes]:
    return [crops.tobytes()[at : at + 16] for at in range(0, crops.size - 16, 997)]


def boxes(place: Place) -> list[bytes]:
    """What a closed vault holds of everybody's crops."""
    with sqlite3.connect(place.path) as connection:
        found = [box for (box,) in connection.execute("SELECT box FROM crops ORDER BY person")]
    connection.close()
    return found


def test_nothing_is_kept_unless_asked(place: Place, keeper: Keeper) -> None:
    assert kept(keeper) == {"Ada": 5, "Bob": 0}
    assert keeper.people_with_crops() == 1
    keeper.close()
    assert len(boxes(place)) == 1


def test_no_byte_of_a_crop_stands_in_the_clear_in_any_file(keeper: Keeper, tmp_path: Path) -> None:
    pieces = pieces_of(pictures(1))
    assert files_with(tmp_path, pieces) == []
    (tmp_path / "in-the-clear").write_bytes(pictures(1).tobytes())  # the search itself
    assert files_with(tmp_path, pieces) == ["in-the-clear"]


def test_they_last_through_whatever_else_changes_bit_for_bit(keeper: Keeper, place: Place) -> None:
    keeper.change("Ada", lambda opened, of: people.renamed(opened, of, "Ada L"), takes_away=False)
    keeper.rekey()
    keeper.renew()
    (ada,) = (person for person in keeper.people() if person.crops)
    keeper.add_samples(ada.person_id, face(1, 6)[5:], pictures(3, 1))
    (name,) = keeper.backups()[-1:]
    keeper.close()
    place.path.write_bytes(b"eaten by the card")
    restored = Keeper.open(place)
    assert restored.restore() == name
    assert kept(restored) == {"Ada L": 6, "Bob": 0}
    np.testing.assert_array_equal(crops_of(restored, "Ada L"), np.concatenate([pictures(1), pictures(3, 1)]))
    restored.close()


def test_whoever_is_forgotten_leaves_no_box_of_crops_anywhere(place: Place, tmp_path: Path) -> None:
    pieces = [box[at : at + 16] for box in boxes(place) for at in range(0, len(box) - 16, 997)]
    assert "vault.db" in files_with(tmp_path, pieces)
    keeper = Keeper.open(place)
    keeper.forget("Ada")
    assert files_with(tmp_path, pieces) == []
    keeper.close()


def test_another_encoder_recognises_who_has_crops_and_asks_the_others_to_come(place: Place) -> None:
    keeper = with_other_model(place)
    assert keeper.templates() == []
    door = Door(keeper)
    door.caretaker.tend()
    (template,) = keeper.templates()
    np.testing.assert_allclose(template.embeddings, all_anew(pictures(1)), atol=1e-6)
    ada, bob = keeper.people()
    assert (ada.name, ada.hours, ada.terms, ada.crops) == ("Ada", "mon-fri 08:00-18:00", Terms(Role.OWNER), 5)
    assert (ada.is_stale, bob.is_stale) == (False, True)
    said = "5 of 5 samples, from their crops, for janus-x version 9"
    assert door.notes == [("re_embedded", "", "Ada", said)]
    assert (door.refreshed, door.beats) == (1, 5)
    assert keeper.generation in [int(name[6:18]) for name in keeper.backups()]
    door.caretaker.tend()
    assert len(door.notes) == 1  # once
    keeper.close()
    again = with_other_model(place)
    assert [template.name for template in again.templates()] == ["Ada"]
    again.close()


def test_guards_of_another_encoder_go_and_it_is_said(place: Place) -> None:
    keeper = Keeper.open(place)
    keeper.change("Ada", lambda _, of: people.with_guard(of[1], embeddings(77, 1)[0], 0.05))
    keeper.close()
    keeper = with_other_model(place)
    door = Door(keeper)
    door.caretaker.tend()
    assert [template.guards for template in keeper.templates()] == [None]
    assert door.notes[0][3].endswith("; 1 guards are gone")
    keeper.close()


def test_fewer_crops_than_an_enrolment_needs_make_no_template(tmp_path: Path) -> None:
    place = made_in(tmp_path)
    keeper = Keeper.open(place)
    keeper.add("Eve", face(3), crops=pictures(3, 2))
    keeper.close()
    keeper = with_other_model(place)
    Door(keeper, least=3).caretaker.tend()
    assert [person.is_stale for person in keeper.people()] == [True]
    Door(keeper, least=2).caretaker.tend()
    assert [person.is_stale for person in keeper.people()] == [False]
    keeper.close()


def test_an_encoder_that_fails_leaves_everybody_as_they_were_and_it_is_said(place: Place) -> None:
    keeper = with_other_model(place)
    door = Door(keeper)

    def fails(_: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise InstallerError("the accelerator is gone", "plug it in")

    care = CropCare(True, 3, fails, "x")
    VaultCaretaker(
        keeper, Identity.of(bytearray(32), DEVICE), MODEL, 128, door.refresh, door.note, care
    ).tend()
    assert "the accelerator is gone" in door.notes[0][3]
    assert [person.is_stale for person in keeper.people()] == [True, True]
    keeper.close()


def test_who_has_no_crops_cannot_be_embedded_anew(keeper: Keeper) -> None:
    for person_id in (keeper.people()[1].person_id, "f" * 32):
        with pytest.raises(PersonNotFound, match="enrol them anew"):
            keeper.re_embed(person_id, all_anew)


def test_turned_off_they_are_destroyed_with_every_copy_and_it_is_said(place: Place, tmp_path: Path) -> None:
    pieces = [box[at : at + 16] for box in boxes(place) for at in range(0, len(box) - 16, 997)]
    shutil.copy(place.path, tmp_path / "old.db")
    keeper = Keeper.open(place)
    door = Door(keeper, are_kept=False)
    door.caretaker.tend()
    assert door.notes == [("vault", "crops_destroyed", "", "of 1 people: vault.keep_crops is off")]
    assert kept(keeper) == {"Ada": 0, "Bob": 0}
    assert len(keeper.templates()) == 2
    assert files_with(place.path.parent, pieces) == []
    door.caretaker.tend()
    assert len(door.notes) == 1
    keeper.close()
    shutil.copy(tmp_path / "old.db", place.path)
    again = Keeper.open(place)
    assert "older copy" in again.fault
    assert isinstance(again._trouble, VaultRolledBack)
    again.close()


def test_turned_off_they_are_not_used_a_last_time(place: Place) -> None:
    keeper = with_other_model(place)
    Door(keeper, are_kept=False).caretaker.tend()
    assert keeper.templates() == []
    assert [person.is_stale for person in keeper.people()] == [True, True]
    keeper.close()


def test_they_do_not_travel_to_another_door(keeper: Keeper) -> None:
    identity = Identity.of(bytearray(32), DEVICE)
    parcel = pack(tuple(keeper.records()), MODEL, identity, to=identity.address)
    opened = unpack(parcel, MODEL, identity)
    assert [(person.name, person.crops) for person in opened.people] == [("Ada", 0), ("Bob", 0)]
    assert len(parcel) < pictures(1, 1).size


EDITS = {
    "taken away": "DELETE FROM crops",
    "of nobody": "INSERT INTO crops SELECT 99, box FROM crops",
    "of somebody else": "UPDATE crops SET person = 2",
    "a flipped bit": "UPDATE crops SET box = flipped(box)",
    "cut short": "UPDATE crops SET box = substr(box, 1, 100)",
    "text": "UPDATE crops SET box = CAST('x' AS BLOB)",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_crops_that_were_tampered_with_are_refused_with_the_vault(place: Place, edit: str) -> None:
    with sqlite3.connect(place.path) as connection:
        connection.create_function("flipped", 1, lambda box: box[:4000] + bytes([box[4000] ^ 4]) + box[4001:])
        connection.execute(edit)
    connection.close()
    with pytest.raises(VaultDamaged, match="crops"):
        Vault.open(place.path, place.ring.present(), DEVICE, MODEL, anchor=place.anchor)


def test_older_crops_of_the_same_person_are_refused(place: Place) -> None:
    (older,) = boxes(place)
    keeper = Keeper.open(place)
    keeper.change("Ada", lambda opened, of: people.renamed(opened, of, "Ada L"))
    keeper.close()
    with sqlite3.connect(place.path) as connection:
        connection.execute("UPDATE crops SET box = ?", (older,))
    connection.close()
    with pytest.raises(VaultDamaged, match="crops of person row 1"):
        Vault.open(place.path, place.ring.present(), DEVICE, MODEL, anchor=place.anchor)


def re_embed(say: object, folder: Path, are_kept: bool) -> None:
    """What a start does, in a process that will be killed."""
    keeper = with_other_model(place_in(folder)) if are_kept else Keeper.open(place_in(folder))
    Door(keeper, are_kept=are_kept).caretaker.tend()
    say("done")  # type: ignore[operator]
    keeper.close()


@pytest.mark.slow
@pytest.mark.parametrize("are_kept", [True, False], ids=["re-embedding", "destroying"])
def test_a_start_killed_at_any_step_loses_nobody_and_the_next_one_ends_it(
    tmp_path: Path, are_kept: bool
) -> None:
    template, stride = tmp_path / "template", 5
    keeper = Keeper.open(made_in(template))
    for n, name in enumerate(("Ada", "Bob", "Eve")):
        keeper.add(name, face(n), crops=pictures(n))
    keeper.close()
    step, halfway = 0, 0
    while True:
        folder = tmp_path / str(step)
        shutil.copytree(template, folder)
        said = until_killed(re_embed, step, folder, are_kept)
        place = place_in(folder)
        keeper = with_other_model(place) if are_kept else Keeper.open(place)
        assert (names(keeper), keeper.fault) == (["Ada", "Bob", "Eve"], "")
        halfway += 0 < len(keeper.templates()) < 3
        Door(keeper, are_kept=are_kept).caretaker.tend()
        found = {template.name: template.embeddings for template in keeper.templates()}
        for n, name in enumerate(("Ada", "Bob", "Eve")):
            expected = all_anew(pictures(n)) if are_kept else face(n)
            np.testing.assert_allclose(found[name], expected, atol=1e-6)
        assert kept(keeper) == dict.fromkeys(("Ada", "Bob", "Eve"), 5 if are_kept else 0)
        assert keeper.fault == ""
        keeper.close()
        shutil.rmtree(folder)
        if said is None:
            break
        step += stride
    print(f"killed at {step // stride} steps, {halfway} times with some of three people done")
    assert step > 30
    assert halfway or not are_kept
