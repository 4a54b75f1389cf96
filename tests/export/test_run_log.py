"""A run's diary stays readable, whatever ended the run before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from janusd_export.errors import ExportError
from janusd_export.training import run_log
from janusd_export.training.run_log import RunLog


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_what_a_kill_cut_in_half_is_taken_away_before_the_next_line(tmp_path: Path) -> None:
    RunLog(tmp_path)(event="start", step=0)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "st')
    RunLog(tmp_path)(event="start", step=1)
    assert [line["step"] for line in lines(tmp_path)] == [0, 1]


def test_what_a_full_disk_cut_in_half_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say = RunLog(tmp_path)
    say(event="start", step=0)

    class Full:
        def dumps(self, _: object) -> str:
            with (tmp_path / "log.jsonl").open("a") as file:
                file.write('{"event": "st')
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_log, "json", Full())
    with pytest.raises(ExportError, match="No space left"):
        say(event="step", step=1)
    assert [line["step"] for line in lines(tmp_path)] == [0]
