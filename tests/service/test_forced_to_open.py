"""Forced to open, at a running door: who stands there sees what they always see; one line calls for help."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from janusd.cli.logs import count
from janusd.config import parse
from janusd.door import Event, TermsChange
from janusd.errors import EnrolmentRefused
from janusd.journal import journald
from janusd.ports import Sign
from support.painted_door import QUICK, Rig, Script

CALM = [0.35, 0.5, 1.4, 2.3, 3.2]
"""2-1-1-1"""
FORCED = [0.35, 1.2, 1.4, 2.3, 3.2]
"""1-2-1-1"""
_LOOKS_DOWN = range(4, 39)
BOTH = TermsChange(second="code", code="2-1-1-1", duress="code", duress_code="1-2-1-1")


class Lamp:
    """An indicator that remembers."""

    name = "lamp"

    def __init__(self) -> None:
        self.shown: list[tuple[Sign, str]] = []

    def show(self, sign: Sign, words: str) -> None:
        self.shown.append((sign, words))


class Visit:
    """Ada comes, and presses the button at these moments."""

    def __init__(self, folder: Path, presses_s: list[float], terms: TermsChange = BOTH) -> None:
        folder.mkdir(mode=0o700)
        self.rig = Rig(folder, parse(QUICK + "[idle]\ngate = false\n"))
        self.lamp = Lamp()
        self.rig.door._signboard._indicator = self.lamp
        self.rig.enrol("a", "Ada")
        self.rig.door.steward.set_terms("Ada", terms)
        presses = list(presses_s)
        for frame in Script("a" * 44).frames():
            if frame.sequence in _LOOKS_DOWN:  # at the button
                continue
            while presses and frame.captured_s >= presses[0]:
                self.rig.door.press(presses.pop(0))
            self.rig.door._see(frame)

    @property
    def seen(self) -> list[Event]:
        """What `janusctl watch` was told, but for when, and how long each stage took."""
        return [replace(event, at="", stage_ms={}) for event in self.rig.events]

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        entries = self.rig.door.log("", 100)
        return [(one.kind, one.reason, one.name) for one in entries if one.kind in ("decision", "duress")]


class Systemd:
    """Its journal, as far as a door talks to it. The kernel queues ten lines: they are read as they come."""

    def __init__(self, path: Path) -> None:
        self.lines: list[dict[str, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def close(self) -> None:
        if not self._reading.is_alive():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self._socket.getsockname())
        self._reading.join(10)
        self._socket.close()

    def _read(self) -> None:
        while (datagram := self._socket.recv(65536)) != b"end":
            self.lines.append(dict(line.split("=", 1) for line in datagram.decode().splitlines()))


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Systemd]:
    """What it is told, complete once it is closed."""
    heard = Systemd(tmp_path / "journal")
    monkeypatch.setattr(journald, "is_there", lambda: True)
    monkeypatch.setattr(journald.tell, "__defaults__", (tmp_path / "journal",))
    yield heard
    heard.close()


def test_forced_to_open_the_door_shows_and_does_what_it_always_does(tmp_path: Path) -> None:
    calm, forced = Visit(tmp_path / "calm", CALM), Visit(tmp_path / "forced", FORCED)
    assert forced.seen == calm.seen
    assert forced.lamp.shown == calm.lamp.shown
    assert forced.rig.releases == calm.rig.releases == ["matched Ada"]
    assert forced.rig.ledger.tally == calm.rig.ledger.tally
    statuses = [
        replace(visit.rig.door.status(), uptime_s=0.0, key_source="", is_released=False)  # one came later
        for visit in (calm, forced)
    ]
    assert statuses[0] == statuses[1]
    findings = [[one.check for one in visit.rig.door.doctor()] for visit in (calm, forced)]
    assert findings[0] == findings[1]
    for visit in (calm, forced):
        visit.rig.door.close()


def test_one_line_of_the_door_log_calls_for_help_in_its_place(tmp_path: Path) -> None:
    calm, forced = Visit(tmp_path / "calm", CALM), Visit(tmp_path / "forced", FORCED)
    as_always = [("decision", "second_factor", "Ada"), ("decision", "matched", "Ada")]
    assert [line for line in calm.lines if line in as_always] == as_always
    assert forced.lines == [("duress", *line[1:]) if line == as_always[1] else line for line in calm.lines]
    assert forced.rig.door.verify_log() == calm.rig.door.verify_log()
    assert [one.times for one in count(forced.rig.door.log("", 100))] == [1]
    number = next(one.number for one in forced.rig.door.log("", 100) if one.kind == "duress")
    assert forced.rig.door.steward.dispute(number).name == "Ada"
    assert "1-2-1-1" not in str(forced.rig.door.export_log(0, 100))
    for visit in (calm, forced):
        visit.rig.door.close()


def test_systemds_journal_hears_it_as_an_alert_beside_the_unlock_that_others_follow(
    tmp_path: Path, systemd: Systemd
) -> None:
    visit = Visit(tmp_path / "door", FORCED)
    systemd.close()
    lines = systemd.lines
    (alert,) = [line for line in lines if line["JANUS_CODE"] == "JANUS-DURESS"]
    (unlock,) = [line for line in lines if line["JANUS_CODE"] == "JANUS-DECISION-MATCHED"]
    assert (alert["PRIORITY"], unlock["PRIORITY"]) == ("1", "5")
    assert (alert["JANUS_NUMBER"], alert["JANUS_TAG"]) == (unlock["JANUS_NUMBER"], unlock["JANUS_TAG"])
    assert "Ada" not in str(lines)
    visit.rig.door.close()


def test_somebody_whose_coming_is_a_call_for_help_needs_no_button(tmp_path: Path) -> None:
    visit = Visit(tmp_path / "door", [], TermsChange(duress="always"))
    assert visit.rig.releases[:1] == ["matched Ada"]
    assert visit.lines[0] == ("duress", "matched", "Ada")
    visit.rig.door.close()


def test_an_owner_gives_and_takes_it_and_the_log_says_that_it_is_there(tmp_path: Path) -> None:
    rig = Rig(tmp_path, parse(QUICK))
    rig.enrol("a", "Ada")
    steward = rig.door.steward
    with pytest.raises(EnrolmentRefused, match="a slip"):
        steward.set_terms("Ada", replace(BOTH, duress_code="2-1-1-2"))
    with pytest.raises(EnrolmentRefused, match="dance"):
        steward.set_terms("Ada", TermsChange(duress="dance"))
    assert steward.set_terms("Ada", BOTH).duress == "code"
    assert steward.set_terms("Ada", TermsChange(hours="mon 08:00-18:00")).duress == "code"
    assert steward.set_terms("Ada", TermsChange(second="confirm")).duress == "none"
    assert steward.set_terms("Ada", BOTH).duress == "code"
    assert steward.set_terms("Ada", TermsChange(duress="none")).second == "code"
    rules = [one.note for one in rig.door.log("", 100) if one.kind == "rules"]
    assert [note.endswith("; duress code") for note in rules] == [False, True, True, False, True, False]
    assert steward.explain("Ada", "").by_rules_of == "then"
    rig.door.close()
