"""`janusctl log verify|export|checkpoint`, `visits` and `unlock-face`, against a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from janusd.cli import logs
from janusd.cli.main import main
from janusd.door import Entry
from support.fake_door import CHECKPOINT, FakeDoor
from support.serving import serving

Screen = pytest.CaptureFixture[str]


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDoor]:
    door = FakeDoor()
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    with serving(tmp_path / "control", door):
        yield door


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "checkpoint").write_text(f"{CHECKPOINT}\n")
    return tmp_path / "checkpoint"


def test_a_checkpoint_is_one_line_to_carry_away(door: FakeDoor, capsys: Screen) -> None:
    assert main(["log", "checkpoint"]) == 0
    assert capsys.readouterr().out == f"{CHECKPOINT}\n"


def test_the_log_is_verified_against_it_live_and_exported(
    door: FakeDoor, checkpoint: Path, tmp_path: Path, capsys: Screen
) -> None:
    assert main(["log", "verify", "--checkpoint", str(checkpoint)]) == 0
    assert "5 entries after 0 bear the tags" in capsys.readouterr().out
    assert main(["log", "export"]) == 0
    exported = tmp_path / "log.jsonl"
    exported.write_text(capsys.readouterr().out)
    assert main(["log", "verify", "--checkpoint", str(checkpoint), "--file", str(exported)]) == 0
    exported.write_text(exported.read_text().replace("Anna Berg", "Anna Borg", 1))
    assert main(["log", "verify", "--json", "--checkpoint", str(checkpoint), "--file", str(exported)]) == 5
    out = capsys.readouterr().out
    told = json.loads(out[out.index("{") :])
    assert (told["good"], told["wrong"]) == (1, "entry 2 was altered, or written by somebody else")


def test_without_a_checkpoint_it_says_what_that_does_not_stop(door: FakeDoor, capsys: Screen) -> None:
    assert main(["log", "verify"]) == 0
    shown = capsys.readouterr().out
    assert "up to entry 5" in shown
    assert "does not stop a thief" in shown


@pytest.mark.parametrize("text", ["", "janus-log-1:AAAA", "something else"])
def test_what_is_no_checkpoint_is_said(door: FakeDoor, tmp_path: Path, text: str, capsys: Screen) -> None:
    (tmp_path / "no").write_text(text)
    assert main(["log", "verify", "--checkpoint", str(tmp_path / "no")]) == 2
    assert "no checkpoint of a door log" in capsys.readouterr().err


def test_a_checkpoint_with_foreign_letters_is_said_in_own_words(
    door: FakeDoor, tmp_path: Path, capsys: Screen
) -> None:
    (tmp_path / "no").write_text("janus-log-1:Ä", encoding="utf-8")
    assert main(["log", "verify", "--checkpoint", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.endswith(": this is no checkpoint of a door log\n")


@pytest.mark.parametrize(
    "altered",
    [
        {"tag": "no hex"}, {"tag": 7}, {"number": "2"}, {"number": True}, {"number": 1 << 63},
        {"at_us": 1.5}, {"name": None}, {"name": "\ud800"}, {"extra": 1},
    ],
    ids=str,
)  # fmt: skip
def test_an_export_that_was_altered_is_refused_in_a_line(
    door: FakeDoor, checkpoint: Path, tmp_path: Path, capsys: Screen, altered: dict[str, object]
) -> None:
    main(["log", "export"])
    first, *rest = capsys.readouterr().out.splitlines()
    exported = tmp_path / "log.jsonl"
    exported.write_text("\n".join([json.dumps(json.loads(first) | altered), *rest]))
    assert main(["log", "verify", "--checkpoint", str(checkpoint), "--file", str(exported)]) == 2
    assert "is no log that janusctl log export wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", ["export --limit 5", "export --since today", "show --file f", "show --checkpoint f", "verify 5",
              "checkpoint --limit 5"],
)  # fmt: skip
def test_what_a_word_does_not_take_is_said_not_ignored(door: FakeDoor, capsys: Screen, words: str) -> None:
    assert main(["log", *words.split()]) == 2
    assert f", not for {words.split(maxsplit=1)[0]}\n" in capsys.readouterr().err
    assert not door.asked


def test_visits_are_counted_by_person_and_day(
    door: FakeDoor, capsys: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_local", lambda at: (at[:10], at[11:16]))
    hostile = "eve\x1b[2J\n2026-11-22  Anna Berg  9x"
    for at, name in (("2026-11-21T17:00", "Anna Berg"), ("2026-11-22T08:00", hostile)):
        door.entries.append(Entry(len(door.entries) + 1, at, "decision", "matched", name, ""))
    assert main(["visits"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].split() == ["2026-11-21", "Anna", "Berg", "2x", "07:14", "to", "17:00"]
    assert lines[1].isprintable()
    assert main(["visits", "--json"]) == 0
    assert [one["times"] for one in json.loads(capsys.readouterr().out)] == [2, 1]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_visits_say_that_older_lines_are_not_counted(
    door: FakeDoor, capsys: Screen, monkeypatch: pytest.MonkeyPatch, form: list[str]
) -> None:
    monkeypatch.setattr(logs, "_MOST_ENTRIES", len(door.entries))
    assert main(["visits", *form]) == 0
    assert "Older than the newest 5 lines: not counted." in capsys.readouterr().err


def test_a_picture_of_a_late_entry_can_be_asked_for(door: FakeDoor, tmp_path: Path, capsys: Screen) -> None:
    assert main(["log", "snapshot", "4", "--file", str(tmp_path / "who.jpg")]) == 0
    assert (tmp_path / "who.jpg").read_bytes().startswith(b"\xff\xd8")
    assert main(["log", "snapshot", "123456", "--json"]) == 1
    assert ("snapshot", 123456) in door.asked
    assert "there is no snapshot of entry 123456" in capsys.readouterr().err


def test_what_is_not_an_unlock_is_no_visit() -> None:
    unlock = Entry(1, "2026-11-21T07:14:40+00:00", "decision", "matched", "Ada", "")
    others = [replace(unlock, kind="fault"), replace(unlock, reason="not_now"), replace(unlock, at="x")]
    assert sum(one.times for one in logs.count([unlock, *others])) == 2
    assert logs.count(others)[0].day == "?"


def test_face_unlock_is_switched_on_again(door: FakeDoor, capsys: Screen) -> None:
    assert main(["unlock-face"]) == 0
    assert "face unlock is on" in capsys.readouterr().out
    assert ("unlock_face",) in door.asked
