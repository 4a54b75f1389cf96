"""How long one embedding takes beside MobileFaceNet: both run, and the table says what was measured."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from janusd import models
from janusd_export.evaluation import pace
from janusd_export.main import main
from janusd_export.verbs.pace import lines

pytestmark = pytest.mark.filterwarnings("ignore")  # the converter's own


def test_the_yardstick_is_the_published_one_and_both_were_timed() -> None:
    found = pace.measure(models.load(), rounds=20)
    assert found.yardstick.macs == pytest.approx(221e6, rel=0.01)
    assert found.rounds == pace.BLOCKS
    assert 0 < found.low <= found.ratio <= found.high
    assert found.ours.ms > 0
    assert f"a door embeds 2 views of a face: {2 * found.ratio:.2f}" in lines(found)[-1]


def test_json_holds_the_same_names(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["pace", "--rounds", "20", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)  # and nothing of the converter's
    assert found["yardstick"]["name"] == "MobileFaceNet, float"
    assert found["views"] == 2
