from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from vault_kit import DEVICE, MODEL, new_key

from janusd.vault.keys import FileKey
from janusd.vault.store import Vault


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "janus" / "vault.db"


@pytest.fixture
def key(path: Path) -> FileKey:
    return new_key(path.with_name("key"))


@pytest.fixture
def vault(path: Path, key: FileKey) -> Iterator[Vault]:
    Vault.create(path, key, DEVICE)
    opened = Vault.open(path, key, DEVICE, MODEL)
    yield opened
    opened.close()
