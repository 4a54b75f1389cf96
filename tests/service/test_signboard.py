"""What lamp and buzzer say of a decision: the short tone is for an open door, the long one for a shut one."""

from __future__ import annotations

from pathlib import Path

import pytest

from janusd.config import parse
from janusd.core.reason import Reason
from janusd.core.types import Decision
from janusd.errors import LatchError
from janusd.ports import Sign
from janusd.service.door_service import LOCK_IS_FAULTY
from janusd.service.signboard import Signboard
from support.painted_door import QUICK, Rig


class Lamp:
    """An indicator that remembers."""

    name = "lamp"

    def __init__(self) -> None:
        self.shown: list[tuple[Sign, str]] = []

    def show(self, sign: Sign, words: str) -> None:
        self.shown.append((sign, words))


@pytest.mark.parametrize(
    "reason", [Reason.UNKNOWN, Reason.GUARDED, Reason.NOT_NOW, Reason.NOT_VALID, Reason.SUSPENDED]
)
def test_whoever_is_not_welcome_gets_the_same_long_tone(reason: Reason) -> None:
    lamp = Lamp()
    Signboard(lamp).tell(Decision(0.0, reason, "ada"), reason.hint)
    assert lamp.shown == [(Sign.SHUT, reason.hint)]


def test_a_lock_that_refuses_is_not_shown_as_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(hold_s: float, why: str) -> None:
        raise LatchError("line 17 is held by another process", "stop it")

    folder = tmp_path / "door"
    folder.mkdir(mode=0o700)
    rig, lamp = Rig(folder, parse(QUICK)), Lamp()
    rig.door._signboard._indicator = lamp
    rig.enrol("a", "Ada")
    monkeypatch.setattr(rig.latch, "release", refuse)
    rig.play("a" * 6)
    assert (Sign.PROBLEM, LOCK_IS_FAULTY) in lamp.shown
    assert Sign.OPEN not in {sign for sign, _ in lamp.shown}
