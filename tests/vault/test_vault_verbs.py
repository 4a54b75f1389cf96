"""`janusctl vault` and `janusctl people export|import` over a real socket, with a real vault behind it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_vault_keeper import made_in
from vault_kit import DEVICE, MODEL, embeddings

from janusd.cli.main import main
from janusd.errors import EnrolmentRefused
from janusd.service.caretaking import VaultCaretaker
from janusd.vault import parcel as parcels
from janusd.vault.format import Record
from janusd.vault.keeper import Keeper
from janusd.vault.parcel import Identity
from support.fake_door import FakeDoor
from support.serving import Caller, serving


class Rig:
    """One door's vault, its socket, and what it wrote down."""

    def __init__(self, folder: Path, *people: str) -> None:
        folder.mkdir(mode=0o700)
        self.place = made_in(folder, *people)
        self.keeper = Keeper.open(self.place)
        self.notes: list[tuple[str, str, str, str]] = []
        self.refreshed = 0
        self.identity = Identity.of(folder.name.encode(), DEVICE)
        self.door = FakeDoor()
        self.door.caretaker = VaultCaretaker(self.keeper, self.identity, MODEL, 128, self.refresh, self.note)
        self.socket = folder / "control"

    def refresh(self) -> None:
        self.refreshed += 1

    def note(
        self, kind: str, reason: str = "", *, person_id: str = "", name: str = "", note: str = ""
    ) -> None:
        self.notes.append((kind, reason, name, note))

    def ask(self, *words: str) -> int:
        with serving(self.socket, self.door):
            return main([*words, "--socket", str(self.socket)])

    def names(self) -> list[str]:
        return [person.name for person in self.keeper.people()]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "front", "Ada", "Bob")
    yield made
    made.keeper.close()


def test_show_says_how_the_vault_is(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert rig.ask("vault", "show") == 0
    said = capsys.readouterr().out
    assert "well, 2 changes\n" in said
    assert "vault-000000000002.db" in said
    assert rig.ask("vault", "show", "--json") == 0
    assert json.loads(capsys.readouterr().out)["address"] == rig.identity.address


def test_a_damaged_vault_is_shown_and_restored(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.keeper.close()
    rig.place.path.write_bytes(b"eaten by the card")
    rig.keeper = Keeper.open(rig.place)
    rig.door.caretaker = VaultCaretaker(rig.keeper, rig.identity, MODEL, 128, rig.refresh, rig.note)
    assert rig.ask("vault", "show") == 5
    assert "set aside as" in capsys.readouterr().out
    assert rig.ask("vault", "restore") == 0
    assert rig.names() == ["Ada", "Bob"]
    assert rig.refreshed == 1
    assert ("vault", "restored", "", "vault-000000000002.db") in rig.notes
    assert rig.ask("vault", "restore", "vault-000000000077.db") == 1
    assert "no copy" in capsys.readouterr().err


def test_backup_rekey_and_renew_do_as_they_say_and_are_written_down(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    key = (rig.place.path.parent / "key").read_bytes()
    assert rig.ask("vault", "backup") == rig.ask("vault", "rekey") == rig.ask("vault", "renew") == 0
    assert (rig.place.path.parent / "key").read_bytes() != key
    assert [reason for _, reason, _, _ in rig.notes] == ["backed_up", "rekeyed", "renewed"]
    assert rig.names() == ["Ada", "Bob"]


@pytest.mark.parametrize("how", ["passphrase", "address"])
def test_people_move_from_one_door_to_another(
    rig: Rig,
    tmp_path: Path,
    how: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parcels, "_SCRYPT_N", 2**10)  # test_vault_parcel.py takes the time it takes
    other = Rig(tmp_path / "back")
    parcel, secret = tmp_path / "people", tmp_path / "passphrase"
    secret.write_text("five words drawn by dice\n")
    if how == "passphrase":
        assert rig.ask("people", "export", str(parcel), "--passphrase-file", str(secret)) == 0
        arguments = ["--passphrase-file", str(secret)]
    else:
        assert rig.ask("people", "export", str(parcel), "--to", other.identity.address) == 0
        arguments = ["--sealed"]
    assert parcel.stat().st_mode & 0o777 == 0o600
    signed = ["--from", rig.identity.signs_as]
    assert other.ask("people", "import", str(parcel), *arguments, "--from", other.identity.signs_as) == 1
    assert other.names() == []
    assert other.ask("people", "import", str(parcel), *arguments, *signed) == 0
    assert other.names() == ["Ada", "Bob"]
    assert other.ask("people", "import", str(parcel), *arguments) == 1
    assert "Ada is enrolled already, so nobody was imported; forget or rename" in capsys.readouterr().err
    other.keeper.close()


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        (Record("Eve", "", "2026-11-22", embeddings(3, dimensions=16)), "128 numbers, as this door's do"),
        (Record("Eve", "", "2026\x1b[2J", embeddings(3)), "no time at which somebody was enrolled"),
    ],
)
def test_a_parcel_that_no_door_made_is_refused_before_anybody_is_stored(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, record: Record, complaint: str
) -> None:
    """Embeddings of another length would stop the next start."""
    monkeypatch.setattr(parcels, "_SCRYPT_N", 2**10)
    other = Identity.of(bytearray(32), bytes(32))
    parcel = parcels.pack((record,), MODEL, other, passphrase="five words drawn by dice")
    with pytest.raises(EnrolmentRefused, match=complaint):
        rig.door.caretaker.import_people(base64.b64encode(parcel).decode(), "five words drawn by dice", "")
    assert rig.names() == ["Ada", "Bob"]


def test_an_export_overwrites_nothing_and_asks_nobody_who_is_not_there(
    rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").write_text("precious")
    assert rig.ask("people", "export", str(tmp_path / "there")) == 2
    assert (tmp_path / "there").read_text() == "precious"
    assert rig.ask("people", "export", str(tmp_path / "new")) == 2
    assert "--passphrase-file" in capsys.readouterr().err


def test_parts_that_are_too_large_or_no_parcel_are_refused(rig: Rig) -> None:
    with serving(rig.socket, rig.door), Caller(rig.socket) as caller:
        assert "error" in caller.call("AddParcelPart", part="A" * 8193)
        caller.call("AddParcelPart", part="not base64!")
        assert caller.call("ImportPeople", passphrase="x" * 20)["parameters"]["kind"] == "EnrolmentRefused"
        assert caller.call("ImportPeople", passphrase="x" * 20)["parameters"]["kind"] == "VaultDamaged"
