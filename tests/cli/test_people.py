"""janusctl about people and their rules: against a real socket and a stand-in door."""

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from janusd.cli.logs import count
from janusd.cli.main import main
from janusd.cli.terms import parse_day
from janusd.door import Entry, Explanation, Person, TermsChange
from support.fake_door import ENTRIES, FakeDoor, FakeSteward
from support.serving import serving

ANNA = Person("Anna Berg", "2026-11-21T07:02:11+00:00", 5, "mon-fri 08:00-18:00")
Screen = pytest.CaptureFixture[str]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor([ANNA])


@pytest.fixture
def steward(door: FakeDoor) -> FakeSteward:
    assert isinstance(door.steward, FakeSteward)
    return door.steward


@pytest.fixture(autouse=True)
def path(tmp_path: Path, door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    with serving(tmp_path / "control", door):
        yield tmp_path / "control"


def test_a_guest_comes_until_their_day_is_over(steward: FakeSteward, capsys: Screen):
    assert main(["people", "set", "Anna Berg", "--role", "guest", "--until", "2026-12-24"]) == 0
    (asked,) = steward.asked
    change = asked[2]
    assert isinstance(change, TermsChange)
    assert datetime.fromisoformat(str(change.valid_until)) == datetime(2026, 12, 25).astimezone()
    assert replace(change, valid_until=None) == TermsChange(role="guest")
    assert "guest" in capsys.readouterr().out


def test_hours_may_be_taken_away_and_dates_too(steward: FakeSteward):
    assert main(["people", "set", "Anna Berg", "--hours", "", "--from", "none", "--no-two-people"]) == 0
    assert steward.asked == [
        ("set_terms", "Anna Berg", TermsChange(hours="", valid_from="", needs_two=False))
    ]


def test_a_code_comes_from_a_file_or_a_question_and_never_from_the_command_line(
    steward: FakeSteward, tmp_path: Path, capsys: Screen, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "code").write_text("3-1-4-2\n")
    assert (
        main(["people", "set", "Anna Berg", "--second", "code", "--code-file", str(tmp_path / "code")]) == 0
    )
    assert steward.asked[-1] == ("set_terms", "Anna Berg", TermsChange(second="code", code="3-1-4-2"))
    assert "3-1-4-2" not in capsys.readouterr().out
    assert main(["people", "set", "Anna Berg", "--second", "code"]) == 2
    assert "add --code-file" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Terminal())
    typed = iter(["1-2-3-4", "1-2-3-4", "1-2-3-4", "1-2-3-5"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
    assert main(["people", "set", "Anna Berg", "--second", "code"]) == 0
    assert steward.asked[-1] == ("set_terms", "Anna Berg", TermsChange(second="code", code="1-2-3-4"))
    assert main(["people", "set", "Anna Berg", "--second", "code"]) == 2
    assert "the two codes differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], "nothing is to be changed"),
        (["--role", "guest"], "a guest needs --until DAY"),
        (["--until", "soon"], "write 2026-12-24"),
        (["--code-file", "/nowhere"], "a code goes with --second code"),
        (["--second", "code", "--code-file", "/nowhere/at/all"], "cannot be read"),
    ],
)
def test_what_cannot_be_meant_is_said_before_the_door_is_asked(
    steward: FakeSteward, capsys: Screen, given: list[str], complaint: str
):
    assert main(["people", "set", "Anna Berg", *given]) == 2
    assert complaint in capsys.readouterr().err
    assert steward.asked == []


def test_suspended_people_are_shown_so_and_names_change(door: FakeDoor, capsys: Screen):
    assert main(["people", "suspend", "Anna Berg"]) == 0
    assert "suspended" in capsys.readouterr().out
    assert main(["people", "resume", "Anna Berg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_suspended"] is False
    assert main(["people", "rename", "Anna Berg", "Anna"]) == 0
    assert list(door.enrolled) == ["Anna"]
    assert main(["people", "suspend", "Bob"]) == 1
    assert "nobody called Bob" in capsys.readouterr().err


def test_the_list_says_who_is_what_and_what_is_asked_of_them(door: FakeDoor, capsys: Screen):
    door.enrolled["Zoe"] = replace(
        ANNA,
        name="Zoe",
        role="guest",
        hours="",
        valid_until="2026-12-24T18:00:00+00:00",
        second="code",
        needs_two=True,
    )
    assert main(["people"]) == 0
    shown = capsys.readouterr().out
    assert "face + code + a second person" in shown
    assert "always, until 2026-12-24" in shown
    assert main(["people", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[1]["role"] == "guest"


def test_why_says_by_which_rules_and_what_the_log_holds(steward: FakeSteward, capsys: Screen):
    assert main(["why", "Anna Berg", "--at", "2026-11-22T18:05:00+00:00"]) == 0
    shown = capsys.readouterr().out
    assert "not welcome" in shown
    assert "Rules as they were then, from the door log" in shown
    assert "that was a Sunday" in shown
    assert "nobody enrolled is similar enough" in shown
    assert steward.asked == [("explain", "Anna Berg", "2026-11-22T18:05:00+00:00")]
    assert main(["why", "Anna Berg", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["by_rules_of"] == "then"


def test_why_says_when_only_todays_rules_are_known(
    steward: FakeSteward, capsys: Screen, monkeypatch: pytest.MonkeyPatch
):
    told = Explanation("Anna Berg", "2020-01-01T09:00:00+01:00", True, "", "now", "role resident", [], [], [])
    monkeypatch.setattr(steward, "explain", lambda *_: told)
    assert main(["why", "Anna Berg"]) == 0
    shown = capsys.readouterr().out
    assert ": welcome." in shown
    assert "the door log does not hold those of that time" in shown
    assert "holds nothing from five minutes around" in shown


def test_a_dispute_says_what_became_of_it_and_how_to_keep_more(steward: FakeSteward, capsys: Screen):
    assert main(["dispute", "3"]) == 0
    shown = capsys.readouterr().out
    assert "Entry 3" in shown
    assert "Nothing was kept of that try." in shown
    assert "[disputes] keep_unlocks" in shown
    for bad in ("0", "three", "-1", "9" * 30):
        with pytest.raises(SystemExit):
            main(["dispute", "--", bad])


def test_the_word_for_somebody_is_given_by_name(steward: FakeSteward, capsys: Screen):
    assert main(["confirm", "Anna Berg"]) == 0
    assert "is confirmed" in capsys.readouterr().out
    assert steward.asked == [("confirm", "Anna Berg")]


def test_disputed_visits_are_counted_apart():
    marked = Entry(9, "2026-11-22T08:00:00+00:00", "disputed", "", "Anna Berg", "entry 3: nothing was kept")
    assert [one.disputed for one in count(ENTRIES)] == [0]
    assert [one.disputed for one in count([*ENTRIES, marked])] == [1]


def test_days_are_read_with_the_offset_of_their_own_season():
    assert parse_day("none", is_end=True) == ""
    end = datetime.fromisoformat(parse_day("2026-07-01", is_end=True))
    assert end == datetime(2026, 7, 2).astimezone()
    exact = datetime.fromisoformat(parse_day("2026-07-01 18:00", is_end=True))
    assert exact == datetime(2026, 7, 1, 18).astimezone()
