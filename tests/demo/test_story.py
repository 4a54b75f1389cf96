"""The demo and the bench as a newcomer runs them, only shorter."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from janusd.core.reason import Reason
from janusd.demo import bench
from janusd.demo.__main__ import main
from janusd.demo.running import Pulse, RunningDoor
from janusd.demo.scene import Light
from janusd.demo.story import Outcome
from janusd.demo.street import Visit
from janusd.door import Event
from janusd_hw.latch_simulated import SimulatedLatch


@pytest.mark.slow
def test_a_short_story_comes_out_right_and_leaves_a_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "sheet.png"
    assert main(["--visits", "2", "--json", "--picture", str(picture)]) == 0
    said = capsys.readouterr()
    figures = json.loads(said.out)
    assert figures["visits"] == {
        "residents": 1, "right_unlocks": 1, "others": 1, "right_refusals": 1, "wrong_unlocks": 0,
    }  # fmt: skip
    assert figures["latency_ms"]["median"]["whole"] > 0
    assert "The story came out right" in said.err
    assert cv2.imread(str(picture)).shape[1] == 5 * 240


def test_the_bench_times_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["--frames", "3", "--json"]) == 0
    stages = json.loads(capsys.readouterr().out)["stages"]
    assert {"detect", "align", "quality", "embed", "match", "policy"} < set(stages)
    whole = stages["frame to decision, one face"]["median_ms"]
    # Medians of few frames need not add up to the last microsecond.
    assert whole >= 0.8 * (stages["detect"]["median_ms"] + stages["embed"]["median_ms"]) > 0
    assert bench.main(["--frames", "3"]) == 0
    assert "Frame to decision" in capsys.readouterr().out


RESIDENT = Visit(("ada",), Light.NOON, Reason.MATCHED, 1)
STRANGER = Visit(("stranger-01",), Light.NOON, Reason.UNKNOWN, 1)


def event(reason: Reason, name: str = "") -> Event:
    return Event("", 0, reason.value, reason is Reason.MATCHED, name, None, "", {})


FOR_ADA = Pulse(0.0, 1.0, "matched ada")


@pytest.mark.parametrize(
    ("visit", "events", "pulses", "is_right", "is_wrong_unlock"),
    [
        (RESIDENT, [event(Reason.MATCHED, "ada")], [FOR_ADA], True, False),
        (RESIDENT, [event(Reason.MATCHED, "ben")], [Pulse(0.0, 1.0, "matched ben")], False, True),
        (RESIDENT, [event(Reason.UNKNOWN)], [], False, False),
        (RESIDENT, [event(Reason.MATCHED, "ada")], [], False, False),
        (STRANGER, [event(Reason.UNKNOWN)], [], True, False),
        (STRANGER, [event(Reason.MATCHED, "ada")], [FOR_ADA], False, True),
        (STRANGER, [event(Reason.UNKNOWN)], [FOR_ADA], False, True),
    ],
)
def test_the_story_is_a_strict_judge(
    visit: Visit, events: list[Event], pulses: list[Pulse], is_right: bool, is_wrong_unlock: bool
) -> None:
    outcome = Outcome(visit, events, pulses)
    assert (outcome.is_right, outcome.is_wrong_unlock) == (is_right, is_wrong_unlock)


def test_an_outcome_tells_what_was_said_most_often() -> None:
    said = [event(Reason.NO_FACE)] * 5 + [event(Reason.TOO_SMALL)] + [event(Reason.UNKNOWN)] * 2
    assert Outcome(STRANGER, said, []).reason == "unknown"
    assert Outcome(STRANGER, [event(Reason.NO_FACE)], []).reason == "no_face"


def test_a_pulse_lasts_until_it_locks_or_the_next_takes_over(tmp_path: Path) -> None:
    door = RunningDoor(tmp_path)
    clock = [10.0]
    latch = SimulatedLatch(timeline_file=tmp_path / "latch.jsonl", now_s=lambda: clock[-1])
    latch.release(30.0, "matched ada")
    clock.append(10.9)
    latch.release(30.0, "matched ben")
    first, second = door.pulses()
    assert (first.held_s, first.why) == (pytest.approx(0.9), "matched ada")
    assert second == Pulse(10.9, None, "matched ben")
    clock.append(11.9)
    latch.lock()
    assert door.pulses()[-1].held_s == pytest.approx(1.0)
    latch.close()
