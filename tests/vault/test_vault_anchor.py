"""A whole older copy of the vault, put back. Not tested here: vault and file anchor put back together,
which only memory that can't be put back would tell."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import until_killed
from vault_kit import DEVICE, MODEL, embeddings, new_key

from janusd.errors import AnchorLost, InstallerError, OwnerError, VaultLocked, VaultRolledBack
from janusd.vault.anchor import MARK_BYTES, FileAnchor
from janusd.vault.keys import FileKey
from janusd.vault.store import Vault


@pytest.fixture
def anchor(tmp_path: Path) -> FileAnchor:
    return FileAnchor(tmp_path / "elsewhere" / "anchor")


@pytest.fixture
def anchored(path: Path, key: FileKey, anchor: FileAnchor) -> Iterator[Vault]:
    Vault.create(path, key, DEVICE, anchor)
    opened = reopened(path, key, anchor)
    yield opened
    opened.close()


def reopened(path: Path, key: FileKey, anchor: FileAnchor) -> Vault:
    return Vault.open(path, key, DEVICE, MODEL, anchor=anchor)


def names(vault: Vault) -> list[str]:
    return [person.name for person in vault.people()]


def test_an_older_copy_with_somebody_forgotten_is_refused(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor, tmp_path: Path
) -> None:
    anchored.add("Ada", embeddings(1))
    anchored.add("Eve", embeddings(2))
    anchored.close()
    shutil.copy(path, tmp_path / "old.db")
    vault = reopened(path, key, anchor)
    vault.forget("Eve")
    vault.close()
    shutil.copy(tmp_path / "old.db", path)
    before = path.read_bytes()
    with pytest.raises(
        VaultRolledBack, match=r"older copy: change 2, while file .* knows change 3; .*restore"
    ):
        reopened(path, key, anchor)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "others", [("Eve",), ("Eve", "Mallory")], ids=["of the same length", "one step ahead"]
)
def test_another_history_is_refused(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor, tmp_path: Path, others: tuple[str, ...]
) -> None:
    """A copy that a crash kept from being acknowledged, and what was added to it: a generation may fit."""
    anchored.add("Ada", embeddings(1))
    anchored.close()
    shutil.copytree(path.parent, tmp_path / "twin")
    twin = Vault.open(tmp_path / "twin" / "vault.db", key, DEVICE, MODEL)
    for seed, name in enumerate(others, start=2):
        twin.add(name, embeddings(seed))
    twin.close()
    vault = reopened(path, key, anchor)
    vault.add("Bob", embeddings(7))
    vault.close()
    shutil.copy(tmp_path / "twin" / "vault.db", path)
    with pytest.raises(VaultRolledBack):
        reopened(path, key, anchor)


def test_a_vault_one_change_ahead_of_its_mark_opens_and_is_marked(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor
) -> None:
    anchored.add("Ada", embeddings(1))
    behind = anchor.path.read_bytes()
    anchored.add("Bob", embeddings(2))
    now = anchor.path.read_bytes()
    anchored.close()
    anchor.write(behind)
    vault = reopened(path, key, anchor)
    assert names(vault) == ["Ada", "Bob"]
    vault.close()
    assert anchor.path.read_bytes() == now


def test_an_anchor_two_changes_behind_was_put_back_and_is_refused(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor
) -> None:
    behind = anchor.path.read_bytes() if anchor.path.exists() else b""
    anchored.add("Ada", embeddings(1))
    behind = anchor.path.read_bytes()
    anchored.add("Bob", embeddings(2))
    anchored.add("Eve", embeddings(3))
    anchored.close()
    anchor.write(behind)
    with pytest.raises(AnchorLost, match=r"is older \(change 1\) than the vault \(change 3\)"):
        reopened(path, key, anchor)


def test_a_missing_anchor_is_refused_unless_the_vault_is_new(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor
) -> None:
    anchored.close()
    anchor.path.unlink(missing_ok=True)
    vault = reopened(path, key, anchor)  # nobody was ever in it
    vault.add("Ada", embeddings(1))
    vault.close()
    anchor.path.unlink()
    with pytest.raises(AnchorLost, match="holds no anchor"):
        reopened(path, key, anchor)


@pytest.mark.parametrize("bit", range(0, 8 * MARK_BYTES, 37))
def test_an_altered_mark_is_refused(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor, bit: int
) -> None:
    anchored.add("Ada", embeddings(1))
    anchored.close()
    mark = bytearray(anchor.path.read_bytes())
    mark[bit // 8] ^= 1 << bit % 8
    anchor.write(bytes(mark))
    with pytest.raises(AnchorLost, match="not one this vault's key made"):
        reopened(path, key, anchor)


@pytest.mark.parametrize("mark", [b"", b"short", bytes(MARK_BYTES), bytes(300)])
def test_a_mark_of_another_size_or_blank_is_refused(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor, mark: bytes
) -> None:
    anchored.add("Ada", embeddings(1))
    anchored.close()
    anchor.write(mark)
    with pytest.raises(AnchorLost):
        reopened(path, key, anchor)


def test_an_anchor_open_to_others_is_refused(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor
) -> None:
    anchored.add("Ada", embeddings(1))
    anchored.close()
    anchor.path.chmod(0o644)
    with pytest.raises(AnchorLost, match="stands open to others"):
        reopened(path, key, anchor)


def test_another_vault_of_the_same_key_is_refused(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor
) -> None:
    anchored.add("Ada", embeddings(1))
    anchored.close()
    path.unlink()
    Vault.create(path, key, DEVICE)
    with pytest.raises(VaultRolledBack, match="another vault"):
        reopened(path, key, anchor)


def test_a_new_vault_is_not_made_where_one_is_anchored(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor
) -> None:
    anchored.add("Ada", embeddings(1))
    anchored.close()
    path.unlink()
    with pytest.raises(OwnerError, match="vault restore"):
        Vault.create(path, key, DEVICE, anchor)


def test_an_anchor_that_cannot_be_written_stops_the_second_change_not_the_door(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: FileAnchor, __: bytes) -> None:
        raise InstallerError("the anchor cannot be written: No space left on device", "free some")

    with monkeypatch.context() as disk:
        disk.setattr(FileAnchor, "write", full)
        anchored.add("Ada", embeddings(1))
        assert "No space left" in anchored.anchor_fault
        with pytest.raises(InstallerError, match="No space left"):
            anchored.add("Bob", embeddings(2))
        with pytest.raises(InstallerError, match="No space left"):
            anchored.forget("Ada")
        assert names(anchored) == ["Ada"]
    anchored.forget("Ada")
    assert anchored.anchor_fault == ""
    anchored.close()
    vault = reopened(path, key, anchor)
    assert names(vault) == []
    vault.close()


def test_a_person_forgotten_while_the_anchor_fails_is_gone_and_it_is_said(
    anchored: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchored.add("Ada", embeddings(1))

    def full(_: FileAnchor, __: bytes) -> None:
        raise InstallerError("the anchor cannot be written", "free some")

    monkeypatch.setattr(FileAnchor, "write", full)
    with pytest.raises(InstallerError, match="Ada is removed, but an older copy put back"):
        anchored.forget("Ada")
    assert names(anchored) == []


def test_another_key_is_told_from_an_altered_anchor(
    anchored: Vault, path: Path, key: FileKey, anchor: FileAnchor
) -> None:
    anchored.add("Ada", embeddings(1))
    anchored.close()
    with pytest.raises(VaultLocked):
        reopened(path, new_key(path.with_name("other")), anchor)


def change(say: object, folder: Path, what: str) -> None:
    """One change of an anchored vault, in a process that will be killed."""
    vault = reopened(
        folder / "janus" / "vault.db", FileKey(folder / "janus" / "key"), FileAnchor(folder / "a")
    )
    if what == "add":
        vault.add("Bob", embeddings(2))
    else:
        vault.forget("Ada")
    say("done")  # type: ignore[operator]
    vault.close()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["add", "forget"])
def test_a_kill_at_every_step_never_locks_the_owner_out_nor_brings_anybody_back(
    tmp_path: Path, what: str
) -> None:
    template = tmp_path / "template"
    key = new_key(template / "janus" / "key")
    template.chmod(0o700)
    anchor = FileAnchor(template / "a")
    Vault.create(template / "janus" / "vault.db", key, DEVICE, anchor)
    vault = reopened(template / "janus" / "vault.db", key, anchor)
    vault.add("Ada", embeddings(1))
    vault.close()
    before, after = ["Ada"], (["Ada", "Bob"] if what == "add" else [])
    kills, undone = 0, 0
    while True:
        folder = tmp_path / str(kills)
        shutil.copytree(template, folder)
        said = until_killed(change, kills, folder, what)
        path, anchor = folder / "janus" / "vault.db", FileAnchor(folder / "a")
        vault = reopened(path, FileKey(folder / "janus" / "key"), anchor)
        found = names(vault)
        vault.add("Zoe", embeddings(9))  # and it goes on
        vault.close()
        reopened(path, FileKey(folder / "janus" / "key"), anchor).close()
        assert found == after or (found == before and not said)
        undone += found == before
        shutil.rmtree(folder)
        if said is None:
            break
        kills += 1
    print(f"{what}: killed at each of {kills} steps, {undone} times undone, 0 lost")
    assert kills > 10
    assert 0 < undone < kills
