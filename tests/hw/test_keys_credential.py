"""janus-binding: the board's answer on its way to the credential."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from janusd.vault.keys import CredentialBinding
from janusd_hw import keys_credential


def program(folder: Path, answer: str) -> list[str]:
    path = folder / "board"
    path.write_text(f"#!{sys.executable}\nimport sys\nq = sys.stdin.buffer.read()\nprint({answer})\n")
    path.chmod(0o755)
    return [str(path)]


def test_the_answer_lies_there_for_root_alone_and_the_daemon_reads_it_as_a_credential(tmp_path: Path) -> None:
    store = tmp_path / "janus-binding"
    command = program(tmp_path, "__import__('hashlib').sha256(q).hexdigest()")
    assert keys_credential.main(command, store) == 0
    assert stat.S_IMODE(store.stat().st_mode) == 0o400
    first = CredentialBinding(tmp_path).answer(b"question")
    assert keys_credential.main(command, store) == 0  # the next boot asks again, and gets the same
    assert CredentialBinding(tmp_path).answer(b"question") == first
    assert CredentialBinding(tmp_path).answer(b"another") != first
    assert len(first) == 32


@pytest.mark.parametrize(
    ("answer", "said"),
    [("'00' * 32", "no key"), ("'ff'", "no key"), ("sys.exit('no device key')", "no device key")],
)
def test_an_answer_that_is_no_key_is_not_handed_over(
    tmp_path: Path, answer: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "janus-binding"
    assert keys_credential.main(program(tmp_path, answer), store) == 1
    assert not store.exists()
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["-h", "--help", "--version"])
def test_whoever_asks_what_it_is_asks_no_board(
    tmp_path: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert keys_credential.main([flag], tmp_path / "janus-binding") == 0
    assert capsys.readouterr().out.startswith("usage: janus-binding [PROGRAM ARGUMENTS]")
    assert not (tmp_path / "janus-binding").exists()


def test_a_store_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "none" / "janus-binding"
    assert keys_credential.main(program(tmp_path, "'0123456789abcdef' * 4"), store) == 1
    assert "systemd-tmpfiles --create janus.conf" in capsys.readouterr().err
