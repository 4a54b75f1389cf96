"""A vault of the first release opens, everybody in it, whenever the upgrade is interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from killing import until_killed
from vault_kit import DEVICE, MODEL, embeddings

from janusd.errors import VaultRolledBack
from janusd.vault.anchor import FileAnchor
from janusd.vault.keys import FileKey
from janusd.vault.store import Vault

FROZEN = Path(__file__).parents[1] / "vectors" / "vault" / "version-1.db"


def first_release(folder: Path) -> Path:
    """A door of the first release: Ada and Bob, and Eve who was forgotten; the key is bytes 0 to 31."""
    folder.mkdir(mode=0o700)
    shutil.copyfile(FROZEN, folder / "vault.db")
    (folder / "key").write_bytes(bytes(range(32)))
    for name in ("vault.db", "key"):
        (folder / name).chmod(0o600)
    return folder


def opened(folder: Path) -> Vault:
    anchor = FileAnchor(folder / "a" / "anchor")
    return Vault.open(folder / "vault.db", FileKey(folder / "key"), DEVICE, MODEL, anchor=anchor)


def test_everybody_of_the_first_release_is_there_with_the_same_scores(tmp_path: Path) -> None:
    vault = opened(first_release(tmp_path / "door"))
    assert [(person.name, person.hours) for person in vault.people()] == [
        ("Ada", "mon-fri 08:00-18:00"),
        ("Bob", ""),
    ]
    for seed, template in enumerate(vault.templates(), start=1):
        np.testing.assert_allclose(template.embeddings, embeddings(seed, 3), atol=3e-7)
    vault.add("Zoe", embeddings(7))
    vault.close()
    again = opened(tmp_path / "door")
    assert len(again.people()) == 3
    again.close()


def test_no_record_of_the_first_release_stays_in_the_file(tmp_path: Path) -> None:
    folder = first_release(tmp_path / "door")
    before = (folder / "vault.db").read_bytes()
    opened(folder).close()
    after = (folder / "vault.db").read_bytes()
    pieces = {before[at : at + 32] for at in range(4096 * 2, len(before) - 32, 32)}
    assert not [piece for piece in pieces if len(set(piece)) > 12 and piece in after]


def test_the_first_release_put_back_after_the_upgrade_is_refused(tmp_path: Path) -> None:
    folder = first_release(tmp_path / "door")
    opened(folder).close()
    shutil.copyfile(FROZEN, folder / "vault.db")
    with pytest.raises(VaultRolledBack):
        opened(folder)


def upgrade(say: object, folder: Path) -> None:
    vault = opened(folder)
    say("done")  # type: ignore[operator]
    vault.close()


@pytest.mark.slow
def test_an_upgrade_killed_at_any_step_loses_nobody(tmp_path: Path) -> None:
    step, stride = 0, 5
    while True:
        folder = first_release(tmp_path / str(step))
        said = until_killed(upgrade, step, folder)
        vault = opened(folder)
        assert [person.name for person in vault.people()] == ["Ada", "Bob"]
        vault.close()
        if said is None:
            break
        step += stride
    assert step > 20
