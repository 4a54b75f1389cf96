"""The harness itself: a little of each trial, and a table that does not end well by saying nothing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("apsw")

from torture import __main__ as torture
from torture.row import Row, is_well, table

LITTLE = {
    "faults": 60, "kills": 2, "drops": 3, "crowd": 4, "messages": 600, "socket": 60, "guessing": 2,
    "latency": 40,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # see tests/vault
@pytest.mark.parametrize("trial", torture.TRIALS, ids=lambda trial: trial.name)
def test_a_little_of_each_harms_nothing(trial: torture.Trial, tmp_path: Path) -> None:
    ticks: list[None] = []
    rows = trial.run(LITTLE.get(trial.name, 10), 7, tmp_path, lambda: ticks.append(None))
    assert is_well(rows), table(rows)
    assert ticks


def test_the_table_shows_what_was_harmed() -> None:
    row = Row("power cuts", 10_000, Counter(refused=9_990), Counter(lost=2), "a note", 61.0)
    drawn = table([row, Row("faults", 12)])
    assert "power cuts     10,000  9,990 refused      2      61" in drawn
    assert "2 lost" in drawn
    assert "a note" in drawn


def test_it_is_well_only_where_all_was_tried_and_nothing_harmed() -> None:
    assert is_well([Row("cuts", 5)])
    assert not is_well([])
    assert not is_well([Row("cuts", 5), Row("faults", 0)])
    assert not is_well([Row("cuts", 5, harm=Counter(lost=1))])


def test_its_json_says_the_seed_and_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert torture.main(["--only", "forging", "--times", "3", "--json", "--seed", "9"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["seed"] == 9
    assert [row["what"] for row in told["rows"]] == ["hostile names and notes logged"]


def test_harm_ends_it_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    harmed = torture.Trial("bad", lambda *_: [Row("bad", 1, harm=Counter(lost=1))], 1, 1)
    monkeypatch.setattr(torture, "TRIALS", (harmed,))
    assert torture.main([]) == 1
