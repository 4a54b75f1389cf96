"""janusctl about duress: its code never stands on the command line, and owners see in words what was."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from janusd.cli.main import main
from janusd.door import Person, TermsChange
from support.fake_door import ENTRIES, FakeDoor, FakeSteward
from support.serving import serving

ANNA = Person("Anna Berg", "2026-11-21T07:02:11+00:00", 5, "")
Screen = pytest.CaptureFixture[str]


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDoor]:
    door = FakeDoor([ANNA])
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    with serving(tmp_path / "control", door):
        yield door


def test_both_codes_come_from_files(door: FakeDoor, tmp_path: Path, capsys: Screen) -> None:
    (tmp_path / "own").write_text("3-1-4-2\n")
    (tmp_path / "forced").write_text("2-7-1-8\nnot this\n")
    own, forced = str(tmp_path / "own"), str(tmp_path / "forced")
    asked = ["people", "set", "Anna Berg", "--second", "code", "--duress", "code"]
    assert main([*asked, "--code-file", own, "--duress-file", forced]) == 0
    assert isinstance(door.steward, FakeSteward)
    change = TermsChange(second="code", code="3-1-4-2", duress="code", duress_code="2-7-1-8")
    assert door.steward.asked == [("set_terms", "Anna Berg", change)]
    assert "2-7-1-8" not in capsys.readouterr().out
    assert main([*asked, "--code-file", own]) == 2
    assert "add --duress-file" in capsys.readouterr().err
    assert main(["people", "set", "Anna Berg", "--duress-file", forced]) == 2
    assert "goes with --duress code" in capsys.readouterr().err


def test_owners_read_in_list_and_log_that_there_is_one_and_that_it_was_used(
    door: FakeDoor, capsys: Screen
) -> None:
    door.enrolled["Anna Berg"] = replace(ANNA, second="code", duress="code")
    door.entries[2] = replace(ENTRIES[2], kind="duress")
    assert main(["people"]) == 0
    assert "duress: code" in capsys.readouterr().out
    assert main(["log"]) == 0
    assert "unlocked, duress" in capsys.readouterr().out
    assert main(["visits"]) == 0
    assert "Anna Berg    1x" in capsys.readouterr().out
