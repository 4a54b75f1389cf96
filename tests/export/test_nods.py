"""What a nod does, in a few presentations each: the figures are `janus-export nods`'s own to print."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from janusd import models
from janusd.config import ModelSection
from janusd.core.manifest import operating_point
from janusd.demo.album import album
from janusd.main import open_pipeline
from janusd_export.evaluation import nods
from janusd_export.evaluation.nods import Nodded
from janusd_export.main import main


def quiet(part: str, done: int, total: int) -> None:
    del part, done, total


@pytest.fixture(scope="module")
def paths() -> dict[str, Nodded]:
    return {row.species: row for row in nods.paths(4, 1, quiet)}


@pytest.fixture(scope="module")
def challenges() -> dict[str, Nodded]:
    return {row.species: row for row in nods.challenges(4, 1, quiet)}


def test_a_head_that_nods_shows_relief_and_is_never_called_flat(paths: dict[str, Nodded]) -> None:
    row = paths["head nods by 30 degrees"]
    assert (row.passed, row.flat, row.trials) == (4, 0, 4)


def test_a_print_that_is_nodded_is_never_called_live(paths: dict[str, Nodded]) -> None:
    prints = [row for row in paths.values() if row.is_attack]
    assert len(prints) == 3
    assert not any(row.passed for row in prints)
    assert paths["print nodded by 50 degrees"].flat


def test_who_nods_instead_of_turning_passes_no_challenge(challenges: dict[str, Nodded]) -> None:
    rows = [row for row in challenges.values() if "nod" in row.species]
    assert len(rows) == 4
    assert not any(row.passed for row in rows)


def test_who_turns_with_the_head_up_or_down_passes_nearly_always(challenges: dict[str, Nodded]) -> None:
    rows = [row for row in challenges.values() if row.species.startswith("turns as asked, head")]
    assert len(rows) == 5
    assert sum(row.passed for row in rows) >= 17


def test_the_score_falls_as_a_face_nods_and_the_door_reads_which_way() -> None:
    ada, ben = (album()[name] for name in ("ada", "ben"))
    people = [replace(one, enrol=one.enrol[:2], street=one.street[:1]) for one in (ada, ben)]
    pipeline = open_pipeline(ModelSection(), models.load(models.RELEASED))
    threshold = operating_point(pipeline.spec.calibration, 1e-3).threshold
    rows = nods.pictures(pipeline, threshold, quiet, people)
    assert [row.pitch_deg for row in rows] == list(nods.PITCHES_DEG)
    assert all(row.shown == 2 for row in rows)
    plain = rows[3]
    assert (plain.fit, plain.matched, plain.others, plain.yaw_deg) == (2, 2, 0, 0.0)
    assert rows[0].score < rows[1].score < plain.score > rows[5].score > rows[6].score
    assert rows[0].read_deg < plain.read_deg < rows[6].read_deg
    assert rows[0].true_deg < plain.true_deg < rows[6].true_deg
    assert np.isfinite([row.genuine for row in rows]).all()


@pytest.mark.slow
def test_a_portrait_that_nods_is_never_called_flat_by_what_the_detector_finds() -> None:
    pipeline = open_pipeline(ModelSection(), models.load(models.RELEASED))
    rows = list(nods.films(pipeline, quiet, [album()["ada"]]))
    assert [row.trials for row in rows] == [1, 1]
    assert not any(row.flat for row in rows)


def test_the_verb_says_simulated_in_every_line_and_as_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nods, "pictures", lambda *_: [nods.Bent(10.0, 4, 4, 3, 3)])
    monkeypatch.setattr(nods, "films", lambda *_: [])
    monkeypatch.setattr(nods, "challenges", lambda *_: [Nodded("challenge", "nods", False, 4, 1)])
    monkeypatch.setattr(nods, "paths", lambda *_: [Nodded("path", "print", True, 4, 0, 2)])
    assert main(["nods"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("SIMULATED") for line in lines)
    assert "matched 3" in lines[1]
    assert "APCER    0.0% [0.0%, 60.2%]  0 of 4, called flat 2" in lines[2]
    assert main(["nods", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["is"] == "SIMULATED"
    assert [row["species"] for row in said["geometry"]] == ["print", "nods"]
