"""`janusctl bench`, against a real socket: what a door measured, and its place beside other boards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from janusd.cli import bench
from janusd.cli.main import main
from janusd.cli.references import REFERENCES
from support.fake_door import MEASURED, FakeDoor
from support.serving import serving

Screen = pytest.CaptureFixture[str]


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDoor]:
    door = FakeDoor()
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    with serving(tmp_path / "control", door):
        yield door


def test_it_prints_each_stage_and_its_place(door: FakeDoor, capsys: Screen) -> None:
    assert main(["bench", "--seconds", "2"]) == 0
    assert ("measure", 2.0) in door.asked
    shown = capsys.readouterr().out
    assert "12 of 48 frames with a face; in the others one was assumed" in shown
    assert "embed" in shown
    rows = [line for line in shown.splitlines() if "this door" in line or "Raspberry Pi 4" in line]
    assert "Raspberry Pi 4" in rows[0], "7.5 ms at the least stands before our 12.9"
    assert "12.9" in rows[1]


def test_what_is_derived_is_called_a_floor_and_what_is_measured_names_its_command(
    door: FakeDoor, capsys: Screen
) -> None:
    main(["bench"])
    shown = capsys.readouterr().out
    for row in REFERENCES["janus-r9"]:
        (line,) = [line for line in shown.splitlines() if row.board in line]
        assert ("not measured: a floor" in line) == (row.kind == "derived"), line
        assert (f"≥ {row.embed_ms}" in line) == (row.kind == "derived"), line
    assert {row.kind for row in REFERENCES["janus-r9"]} == {"measured", "derived"}


def test_json_holds_the_same(door: FakeDoor, capsys: Screen) -> None:
    assert main(["bench", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["measurement"]["stages"][2] == {
        "stage": "embed",
        "median_ms": 12.9,
        "p95_ms": 14.0,
        "count": 48,
    }
    assert told["place"][-1] == ""
    assert {row["kind"] for row in told["references"]} == {"measured", "derived"}
    assert told["board"]


def test_another_encoder_stands_beside_nothing(door: FakeDoor, capsys: Screen) -> None:
    door.measured = replace(MEASURED, encoder="somebody-s112")
    assert main(["bench"]) == 0
    shown = capsys.readouterr().out
    assert "Nobody has measured somebody-s112 elsewhere" in shown
    assert "Raspberry" not in shown


def test_a_measurement_without_the_encoder_has_no_place() -> None:
    assert bench.place(replace(MEASURED, stages=[]), REFERENCES["janus-r9"]) == []


@pytest.mark.parametrize("seconds", ["0", "21", "nan", "x"])
def test_seconds_have_limits(seconds: str, capsys: Screen) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "--seconds", seconds])
    assert ended.value.code == 2
    assert "from 1 to 20" in capsys.readouterr().err
