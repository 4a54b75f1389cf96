"""Tests of other owners run as root only, since only root can make such files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from janusd.errors import KeyUnavailable
from janusd.ports import KeySource
from janusd.vault.keys import CredentialKey, FileKey, create_key_file, device_id

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    create_key_file(path)
    return path


def refusal(source: KeySource) -> str:
    with pytest.raises(KeyUnavailable) as refused:
        source.key()
    assert refused.value.remedy
    return str(refused.value)


def test_a_new_key_file_is_private_random_and_reads_back(key_file: Path, tmp_path: Path) -> None:
    key = FileKey(key_file).key()
    assert len(key) == 32
    assert key == FileKey(key_file).key() == key_file.read_bytes()
    assert key_file.stat().st_mode & 0o7777 == 0o600
    create_key_file(tmp_path / "other")
    assert FileKey(tmp_path / "other").key() != key


def test_a_key_file_is_never_overwritten(key_file: Path) -> None:
    before = key_file.read_bytes()
    with pytest.raises(KeyUnavailable, match="already"):
        create_key_file(key_file)
    assert key_file.read_bytes() == before


def test_a_key_file_in_no_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="make its folder"):
        create_key_file(tmp_path / "nowhere" / "key")


def test_a_wide_umask_does_not_open_the_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_key_file(tmp_path / "key")
    finally:
        os.umask(before)
    assert (tmp_path / "key").stat().st_mode & 0o7777 == 0o600


def test_a_full_disk_leaves_no_half_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyUnavailable, match="No space left"):
        create_key_file(tmp_path / "key")
    assert not (tmp_path / "key").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_key_open_to_others_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    assert "stands open to others" in refusal(FileKey(key_file))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "0 bytes"), (b"x" * 31, "31 bytes"), (bytes(range(33)), "more than 32"), (bytes(32), "blank")],
)
def test_a_key_of_the_wrong_size_is_refused(key_file: Path, content: bytes, complaint: str) -> None:
    key_file.write_bytes(content)
    assert complaint in refusal(FileKey(key_file))


def test_a_link_a_folder_a_fifo_and_nothing_are_refused(key_file: Path, tmp_path: Path) -> None:
    link, fifo = tmp_path / "link", tmp_path / "fifo"
    link.symlink_to(key_file)
    os.mkfifo(fifo, 0o600)
    assert "symbolic link" in refusal(FileKey(link))
    assert "not a regular file" in refusal(FileKey(fifo))
    assert "not a regular file" in refusal(FileKey(tmp_path))
    assert "No such file" in refusal(FileKey(tmp_path / "missing"))


@needs_root
def test_a_key_of_another_user_is_refused(key_file: Path) -> None:
    os.chown(key_file, 65534, 65534)
    assert "belongs to user 65534" in refusal(FileKey(key_file))


def test_the_file_key_says_which_attacker_it_does_not_stop(key_file: Path) -> None:
    assert FileKey(key_file).name == f"key file {key_file} (development: opens on a stolen card)"


def test_a_systemd_credential_is_read_also_where_an_acl_shows_as_group_read(tmp_path: Path) -> None:
    credential = tmp_path / "janus-key"
    credential.write_bytes(bytes(range(32)))
    source = CredentialKey(tmp_path)
    for mode in (0o400, 0o440):
        credential.chmod(mode)
        assert source.key() == bytes(range(32))
    credential.chmod(0o444)
    assert "stands open" in refusal(source)
    assert source.name == "systemd credential janus-key"


def test_a_missing_credential_says_how_to_give_one(tmp_path: Path) -> None:
    assert "LoadCredentialEncrypted=janus-key" in refusal(CredentialKey(None))
    assert "LoadCredentialEncrypted=janus-key" in refusal(CredentialKey(tmp_path))
    assert "no credential's name" in refusal(CredentialKey(tmp_path, "../key"))


def test_a_device_id_is_stable_its_own_and_hides_the_machine_id(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("0123456789abcdef0123456789abcdef\n")
    two.write_text("0123456789abcdef0123456789abcdee\n")
    assert device_id(one) == device_id(one)
    assert device_id(one) != device_id(two)
    assert len(device_id(one)) == 32
    assert "0123456789abcdef" not in device_id(one).hex()


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0" * 32, "12", "g" * 32, "0" * 31 + "1" + "22"])
def test_a_machine_without_an_id_is_told_how_to_get_one(tmp_path: Path, text: str) -> None:
    path = tmp_path / "machine-id"
    path.write_text(text)
    with pytest.raises(KeyUnavailable, match="systemd-machine-id-setup"):
        device_id(path)
    with pytest.raises(KeyUnavailable, match="No such file"):
        device_id(tmp_path / "missing")
