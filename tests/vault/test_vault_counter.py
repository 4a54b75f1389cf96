"""Vault and anchor put back together, told by a counter: a fake one, and a TPM's where swtpm is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from killing import until_killed
from vault_kit import DEVICE, MODEL, embeddings, new_key

from janusd.errors import AnchorLost, InstallerError, VaultRolledBack
from janusd.ports import Counter
from janusd.vault import format as sealed
from janusd.vault.anchor import COUNTED_BYTES, MARK_BYTES, FileAnchor, begin_count, what_it_stops
from janusd.vault.keeper import Keeper, Place
from janusd.vault.keys import FileKey, KeyRing
from janusd.vault.store import Vault
from janusd_hw.counter_fake import FakeCounter
from janusd_hw.tpm import TpmCounter
from support.software_tpm import software_tpm


@pytest.fixture(params=["fake", "TPM"])
def counter(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Counter]:
    with ExitStack() as running:
        made: Counter = FakeCounter(tmp_path / "counter")
        if request.param == "TPM":
            made = TpmCounter(running.enter_context(software_tpm(tmp_path / "tpm")))
        made.make()
        yield made


def disk(folder: Path) -> Path:
    """A disk with vault, key, backups and anchor on it."""
    return folder / "disk"


def place_on(folder: Path, counter: Counter | None) -> Place:
    path = disk(folder) / "janus" / "vault.db"
    anchor = FileAnchor(disk(folder) / "janus-anchor" / "vault", counter)
    return Place(path, KeyRing(FileKey(path.with_name("key"))), DEVICE, MODEL, anchor)


@pytest.fixture
def place(tmp_path: Path, counter: Counter) -> Place:
    made = place_on(tmp_path, counter)
    key = new_key(made.path.with_name("key"))
    Vault.create(made.path, key, DEVICE, made.anchor)
    keeper = Keeper.open(made)
    keeper.add("Ada", embeddings(1))
    keeper.add("Eve", embeddings(2))
    keeper.close()
    return made


def names(keeper: Keeper) -> list[str]:
    return [person.name for person in keeper.people()]


def put_back(folder: Path, old: Path) -> None:
    shutil.rmtree(disk(folder))
    shutil.copytree(old, disk(folder))


def test_a_whole_older_disk_is_refused_anchor_backups_key_and_all(place: Place, tmp_path: Path) -> None:
    shutil.copytree(disk(tmp_path), tmp_path / "old")
    keeper = Keeper.open(place)
    keeper.forget("Eve")
    keeper.close()
    put_back(tmp_path, tmp_path / "old")
    keeper = Keeper.open(place)
    assert "vault and anchor are older copies, put back together" in keeper.fault
    assert keeper.templates() == []
    (name,) = keeper.quarantined()
    with pytest.raises(VaultRolledBack, match="restore NAME --accept-older"):
        keeper.restore()  # its backups are of the same old disk
    with pytest.raises(VaultRolledBack):
        keeper.restore(name)
    assert keeper.templates() == []
    keeper.close()


def test_the_owner_may_take_it_all_the_same_and_it_is_counted_again(place: Place, tmp_path: Path) -> None:
    shutil.copytree(disk(tmp_path), tmp_path / "old")
    keeper = Keeper.open(place)
    keeper.add("Bob", embeddings(3))
    keeper.close()
    put_back(tmp_path, tmp_path / "old")
    keeper = Keeper.open(place)
    (name,) = keeper.quarantined()
    keeper.restore(name, accept_older=True)
    assert names(keeper) == ["Ada", "Eve"]
    assert keeper.fault == ""
    keeper.close()
    shutil.copytree(disk(tmp_path), tmp_path / "newer")
    keeper = Keeper.open(place)
    keeper.forget("Eve")
    keeper.close()
    put_back(tmp_path, tmp_path / "newer")
    assert "put back together" in Keeper.open(place).fault


def test_a_counter_that_somebody_moved_on_is_an_alarm_with_a_way_out(place: Place, counter: Counter) -> None:
    counter.increment()
    keeper = Keeper.open(place)
    assert "put back together" in keeper.fault
    (name,) = keeper.quarantined()
    keeper.restore(name, accept_older=True)
    assert (names(keeper), keeper.fault) == (["Ada", "Eve"], "")
    keeper.close()


def test_a_start_moves_nothing(place: Place, counter: Counter) -> None:
    before = counter.read()
    for _ in range(3):
        Keeper.open(place).close()
    assert counter.read() == before


def test_a_crash_before_the_counter_moved_is_made_good_at_the_next_start(
    place: Place, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = counter.read()
    with monkeypatch.context() as killed:
        killed.setattr(type(counter), "increment", lambda _: None)
        keeper = Keeper.open(place)
        keeper.forget("Eve")
        keeper.close()
    assert counter.read() == before
    keeper = Keeper.open(place)
    assert (names(keeper), keeper.fault, counter.read()) == (["Ada"], "", before + 1)
    keeper.close()


def test_another_tpm_is_told(place: Place, tmp_path: Path) -> None:
    other = FakeCounter(tmp_path / "other")
    other.path.write_text("0")
    anchor = replace(place.anchor, counter=other)  # type: ignore[type-var]
    keeper = Keeper.open(replace(place, anchor=anchor))
    assert "that is another TPM" in keeper.fault
    assert keeper.quarantined() == []  # it is not the vault's fault
    keeper.restore("vault.db", accept_older=True)
    assert names(keeper) == ["Ada", "Eve"]
    keeper.close()


def test_turning_the_counter_off_in_the_file_is_no_way_around_it(place: Place, tmp_path: Path) -> None:
    keeper = Keeper.open(place_on(tmp_path, None))
    assert "is counted, and janus.toml names no counter" in keeper.fault
    assert keeper.templates() == []
    keeper.restore("vault.db", accept_older=True)  # but the owner may: a TPM dies
    assert names(keeper) == ["Ada", "Eve"]
    keeper.close()


def test_a_counter_turned_on_later_counts_from_the_installers_word_on(
    counter: Counter, tmp_path: Path
) -> None:
    uncounted = place_on(tmp_path, None)
    Vault.create(uncounted.path, new_key(uncounted.path.with_name("key")), DEVICE, uncounted.anchor)
    keeper = Keeper.open(uncounted)
    keeper.add("Ada", embeddings(1))
    keeper.close()
    place = place_on(tmp_path, counter)
    assert isinstance(place.anchor, FileAnchor)
    assert len(place.anchor.path.read_bytes()) == MARK_BYTES
    keeper = Keeper.open(place)
    assert "made before there was a counter" in keeper.fault
    keeper.close()
    keks = (sealed.kek(FileKey(place.path.with_name("key")).key(), DEVICE),)
    assert begin_count(place.anchor, keks, DEVICE)
    assert not begin_count(place.anchor, keks, DEVICE)
    assert len(place.anchor.path.read_bytes()) == COUNTED_BYTES
    keeper = Keeper.open(place)
    assert (names(keeper), keeper.fault) == (["Ada"], "")
    keeper.close()


@pytest.mark.parametrize("bit", range(0, 8 * COUNTED_BYTES, 61))
def test_an_altered_count_is_refused(tmp_path: Path, bit: int) -> None:
    counter = FakeCounter(tmp_path / "counter")
    counter.make()
    place = place_on(tmp_path, counter)
    Vault.create(place.path, new_key(place.path.with_name("key")), DEVICE, place.anchor)
    Keeper.open(place).close()
    assert isinstance(place.anchor, FileAnchor)
    mark = bytearray(place.anchor.path.read_bytes())
    mark[bit // 8] ^= 1 << bit % 8
    place.anchor.write(bytes(mark))
    with pytest.raises(AnchorLost, match="not one this vault's key made"):
        Vault.open(place.path, place.ring.present(), DEVICE, MODEL, anchor=place.anchor)


def test_a_tpm_that_is_silent_stops_the_second_change_not_the_door(tmp_path: Path) -> None:
    counter = FakeCounter(tmp_path / "counter")
    counter.make()
    place = place_on(tmp_path, counter)
    Vault.create(place.path, new_key(place.path.with_name("key")), DEVICE, place.anchor)
    keeper = Keeper.open(place)
    counter.is_silent = True
    keeper.add("Ada", embeddings(1))
    assert "does not answer" in keeper.fault
    with pytest.raises(InstallerError, match="does not answer"):
        keeper.add("Bob", embeddings(2))
    assert len(keeper.templates()) == 1
    counter.is_silent = False
    keeper.add("Bob", embeddings(2))
    assert keeper.fault == ""
    keeper.close()


def test_a_change_of_key_is_counted_too(place: Place, counter: Counter, tmp_path: Path) -> None:
    shutil.copytree(disk(tmp_path), tmp_path / "old")
    keeper = Keeper.open(place)
    before = counter.read()
    keeper.rekey()
    assert counter.read() == before + 1
    keeper.close()
    keeper = Keeper.open(place)
    assert (names(keeper), keeper.fault) == (["Ada", "Eve"], "")
    keeper.close()
    put_back(tmp_path, tmp_path / "old")  # with its old key, which opens it
    assert "put back together" in Keeper.open(place).fault


def test_the_doctor_is_told_what_the_anchor_stops(tmp_path: Path) -> None:
    vault = tmp_path / "janus" / "vault.db"
    vault.parent.mkdir()
    (tmp_path / "a").mkdir()
    stops, said = what_it_stops(FileAnchor(tmp_path / "a" / "x"), vault)
    assert not stops
    assert "not an older disk" in said
    stops, said = what_it_stops(FileAnchor(tmp_path / "a" / "x", FakeCounter(tmp_path / "c")), vault)
    assert stops
    assert "counted by fake counter" in said
    assert what_it_stops(FileAnchor(Path("/proc/self/x")), vault)[0]  # another file system


def change(say: object, folder: Path, device: str, what: str) -> None:
    """One change of a counted vault, in a process that will be killed."""
    counter = TpmCounter(device) if device else FakeCounter(folder / "counter")
    keeper = Keeper.open(place_on(folder, counter))
    if what == "add":
        keeper.add("Bob", embeddings(2))
    else:
        keeper.forget("Ada")
    say("done")  # type: ignore[operator]
    keeper.close()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["add", "forget"])
def test_a_kill_at_every_step_between_vault_anchor_and_counter_locks_nobody_out_nor_brings_anybody_back(
    tmp_path: Path, what: str
) -> None:
    template = tmp_path / "template"
    counter = FakeCounter(template / "counter")
    template.mkdir()
    counter.make()
    place = place_on(template, counter)
    Vault.create(place.path, new_key(place.path.with_name("key")), DEVICE, place.anchor)
    keeper = Keeper.open(place)
    keeper.add("Ada", embeddings(1))
    keeper.close()
    before, after = ["Ada"], (["Ada", "Bob"] if what == "add" else [])
    kills, undone, behind = 0, 0, 0
    while True:
        folder = tmp_path / str(kills)
        shutil.copytree(template, folder)
        said = until_killed(change, kills, folder, "", what)
        counter = FakeCounter(folder / "counter")
        stood = counter.read()
        keeper = Keeper.open(place_on(folder, counter))
        assert keeper.fault == ""
        found = names(keeper)
        assert found == after or (found == before and not said)
        undone += found == before
        behind += counter.read() == stood + 1  # the opening moved it on
        keeper.close()
        old = disk(folder)
        if found == after:  # what was there before the change is refused from now on
            shutil.rmtree(old)
            shutil.copytree(disk(template), old)
            assert "put back together" in Keeper.open(place_on(folder, counter)).fault
        shutil.rmtree(folder)
        if said is None:
            break
        kills += 1
    print(
        f"{what}: killed at each of {kills} steps, {undone} times undone, {behind} times before the counter"
    )
    assert kills > 10
    assert 0 < undone < kills
    assert behind > 0


@pytest.mark.slow
def test_a_kill_while_a_real_tpm_counts_locks_nobody_out(tmp_path: Path) -> None:
    with software_tpm(tmp_path / "tpm") as device:
        counter = TpmCounter(device)
        counter.make()
        place = place_on(tmp_path, counter)
        Vault.create(place.path, new_key(place.path.with_name("key")), DEVICE, place.anchor)
        keeper = Keeper.open(place)
        keeper.add("Ada", embeddings(1))
        keeper.close()
        kills = 0
        while until_killed(change, kills, tmp_path, device, "add") is not None:
            keeper = Keeper.open(place)
            assert keeper.fault == ""
            assert "Ada" in names(keeper)
            if "Bob" in names(keeper):
                keeper.forget("Bob")
            keeper.close()
            kills += 3
        assert kills > 10
