"""janusctl attack-test: what is counted at the installed door, and what that allows to claim."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from janusd.cli import attack_test
from janusd.cli.attack_test import outcome, read, summary
from janusd.cli.main import main
from janusd.door import Event
from janusd.errors import OwnerError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Still:
    """A door before which nothing happens."""

    asked = 0

    def watch(self) -> Iterator[tuple[Event, int]]:
        Still.asked += 1
        return iter(())


def presented(path: Path, *, json: bool) -> argparse.Namespace:
    return argparse.Namespace(file=path, json=json, species="phone", count=2, seconds=0.01)


@pytest.mark.parametrize("form", [True, False])
def test_with_json_words_and_prompts_go_to_standard_error(tmp_path, capsys, monkeypatch, form) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("\n\n"))
    assert attack_test.run(Still(), presented(tmp_path / "a.jsonl", json=form)) == 0
    said = capsys.readouterr()
    assert ("try 2 of 2" in said.err, "try 2 of 2" in said.out) == (form, not form)
    if form:
        assert [one["trials"] for one in json.loads(said.out)] == [2]
    assert len(read(tmp_path / "a.jsonl")) == 2


def test_a_record_that_cannot_be_written_is_said_before_the_first_try(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(""))
    before = Still.asked
    with pytest.raises(OwnerError, match="cannot be written: Is a directory; name another file"):
        attack_test.run(Still(), presented(tmp_path, json=False))
    assert Still.asked == before


def event(reason: str, *, unlocks: bool = False) -> Event:
    return Event("", 0, reason, unlocks, "", None, "", {})


def record(path: Path, **tries: tuple[int, int]) -> Path:
    """Write (accepted, tries) of each species."""
    lines = [
        json.dumps({"at": "", "species": species, "accepted": number < accepted, "reason": "unknown"})
        for species, (accepted, count) in tries.items()
        for number in range(count)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_none_of_42_carries_a_claim_of_seven_per_cent(tmp_path, capsys) -> None:
    path = record(tmp_path / "a.jsonl", print=(0, 42), phone=(0, 41), genuine=(55, 60))
    assert main(["attack-test", "report", "--file", str(path)]) == 0
    said = capsys.readouterr().out
    assert "print                    APCER 0 of 42: 0.0 % [0.0 %, 8.4 %]" in said
    assert said.count("a claim of 7 % holds") == 1
    assert "to claim 7 % it takes 0 of 42: 1 more tries without an error" in said
    assert "genuine                  BPCER 5 of 60: 8.3 %" in said


def test_as_json_each_species_has_its_rate_and_bounds(tmp_path, capsys) -> None:
    path = record(tmp_path / "a.jsonl", phone=(2, 20))
    assert main(["--json", "attack-test", "report", "--file", str(path)]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["name"], one["rate"], one["errors"], one["trials"]) == ("phone", "APCER", 2, 20)
    assert one["low"] < 0.1 < one["high"]
    assert one["more"] > 42


def test_a_report_without_genuine_tries_says_what_it_lacks(tmp_path, capsys) -> None:
    main(["attack-test", "report", "--file", str(record(tmp_path / "a.jsonl", phone=(0, 3)))])
    assert "No genuine tries" in capsys.readouterr().out


def test_an_opened_door_is_an_accepted_attack_whatever_else_was_said() -> None:
    made = outcome("phone", [event("flat"), event("matched", unlocks=True)])
    assert made is not None
    assert made.accepted


def test_a_door_that_was_not_looking_proves_nothing() -> None:
    assert outcome("phone", [event("unknown"), event("locked_out")]) is None


def test_what_the_door_said_most_often_is_kept() -> None:
    made = outcome(
        "phone", [event("no_face"), event("gathering"), event("flat"), event("flat"), event("unknown")]
    )
    assert made is not None
    assert (made.accepted, made.reason) == (False, "flat")


@pytest.mark.parametrize(
    "line", ["no json", "[]", "{}", '{"at": "", "species": "x", "accepted": "yes", "reason": ""}', "null"]
)
def test_a_line_that_is_no_presentation_is_named(tmp_path, line) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(OwnerError, match="line 1"):
        read(path)


def test_a_hostile_species_forges_no_line(tmp_path, capsys) -> None:
    path = record(tmp_path / "a.jsonl", **{"x\nphone APCER 0 of 42\x1b[2J": (1, 1)})
    main(["attack-test", "report", "--file", str(path)])
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert not any(line.startswith("phone") for line in said.splitlines())


def test_genuine_comes_last_and_counts_refusals(tmp_path) -> None:
    counted = summary(read(record(tmp_path / "a.jsonl", genuine=(9, 10), zebra=(0, 1))))
    assert [(one.name, one.errors) for one in counted] == [("zebra", 0), (attack_test.GENUINE, 1)]


def test_nothing_recorded_says_what_to_do(tmp_path) -> None:
    with pytest.raises(OwnerError, match="cannot be read"):
        read(tmp_path / "none.jsonl")
