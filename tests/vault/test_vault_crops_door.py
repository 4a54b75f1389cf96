"""Kept crops at a whole door with painted faces: told at enrolment, used by another encoder, in doctor."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from janusd.cli.enrol_report import draw
from janusd.config import parse
from janusd.door import Finding
from janusd_hw.fakes import paint
from support.painted_door import QUICK, Rig

KEEPING = QUICK + "[idle]\ngate = false\n[vault]\nkeep_crops = true\n"
ANOTHER_MODEL = b"n" * 32


def crops_finding(rig: Rig) -> list[Finding]:
    return [finding for finding in rig.door.doctor() if finding.check == "crops"]


def test_with_crops_another_encoder_lets_in_who_was_enrolled_before(tmp_path: Path) -> None:
    rig = Rig(tmp_path, parse(KEEPING))
    rig.enrol("a", "Ada")
    rig.door.close()
    rig = Rig(tmp_path, parse(KEEPING), model=ANOTHER_MODEL)
    assert rig.door.status().people == 0
    assert rig.play("..aaa")[-1] == "matched"
    assert rig.kinds().count("re_embedded") == 1
    rig.door.close()


def test_without_them_they_are_asked_to_enrol_anew(tmp_path: Path) -> None:
    rig = Rig(tmp_path, parse(QUICK + "[idle]\ngate = false"))
    rig.enrol("a", "Ada")
    assert crops_finding(rig) == []
    rig.door.close()
    rig = Rig(tmp_path, parse(KEEPING), model=ANOTHER_MODEL)
    assert rig.play("..aaa")[-1] == "nobody_enrolled"
    (people,) = (finding for finding in rig.door.doctor() if finding.check == "people")
    assert people.verdict == "fail"
    rig.door.close()


def test_turned_off_they_are_gone_when_the_door_has_started(tmp_path: Path) -> None:
    rig = Rig(tmp_path, parse(KEEPING))
    rig.enrol("a", "Ada")
    (finding,) = crops_finding(rig)
    assert finding.verdict == "warn"
    assert finding.detail.startswith("sealed pictures of 1 people are kept: a thief of card and key sees")
    rig.door.close()
    rig = Rig(tmp_path, parse(QUICK + "[idle]\ngate = false"))
    assert rig.play("..aaa")[-1] == "matched"
    assert crops_finding(rig) == []
    assert "crops_destroyed" in [entry.reason for entry in rig.door.log("", 100)]
    rig.door.close()


def test_whoever_is_enrolled_is_told_before_anything_is_stored(tmp_path: Path) -> None:
    for text, is_told in ((KEEPING, True), (QUICK, False)):
        folder = tmp_path / str(is_told)
        folder.mkdir(mode=0o700)
        rig = Rig(folder, parse(text))
        token = rig.door.begin_enrolment("Ada", "")
        for seed in (1, 2):
            rig.door.add_image(token, paint("a", seed=seed))
        drawn = Console(file=StringIO(), width=100)
        drawn.print(draw(rig.door.review_enrolment(token)))
        assert ("vault.keep_crops" in drawn.file.getvalue()) == is_told  # type: ignore[attr-defined]
        rig.door.close()
