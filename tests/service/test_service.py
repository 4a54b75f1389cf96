"""The service with painted faces: everything real but networks, camera and latch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from janusd.config import parse
from janusd.core import policy
from janusd.core.forward import Checkpoint, Line, first_wrong
from janusd.core.limiter import Tally
from janusd.core.reason import Reason
from janusd.core.types import Decision, Image
from janusd.door import Event, TermsChange, Told
from janusd.errors import (
    EnrolmentBusy,
    EnrolmentRefused,
    InstallerError,
    LatchError,
    OwnerError,
    PersonExists,
    PersonNotFound,
)
from janusd.journal import Journal, journald
from janusd.journal.ledger import Ledger
from janusd.service.notes import Notes
from janusd_hw.fakes import paint
from support.painted_door import QUICK, Rig, Script, wait_until


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, parse(QUICK + "[idle]\ngate = false"))
    yield rig
    rig.door.close()


def test_a_resident_is_let_in_and_a_stranger_is_not(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    assert rig.play("..aaa..zzz") == [
        "no_face", "no_face", "gathering", "gathering", "matched",
        "no_face", "no_face", "gathering", "gathering", "unknown",
    ]  # fmt: skip
    assert rig.releases == ["matched Ada"]


def test_the_event_of_an_unlock_tells_name_score_and_stages(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.play("aaa")
    event = rig.events[-1]
    assert (event.unlocks, event.name) == (True, "Ada")
    assert event.score is not None
    assert list(event.stage_ms) == ["detect", "align", "quality", "embed", "match"]


def test_two_faces_open_for_neither(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.enrol("b", "Ben")
    assert set(rig.play("222222")) == {"two_faces"}
    assert rig.releases == []


def test_the_door_log_tells_what_happened_in_order(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.play("aaa..zzz")
    told = [(entry.kind, entry.reason, entry.name) for entry in rig.door.log("", 100)]
    assert told[:5] == [
        ("enrolled", "", "Ada"),
        ("rules", "", "Ada"),
        ("started", "", ""),
        ("decision", "matched", "Ada"),
        ("decision", "unknown", ""),
    ]
    assert told[-1][0] == "stopped"


def test_a_reason_that_lasts_is_logged_once(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.play("z" * 20)
    assert [e.reason for e in rig.door.log("", 100) if e.kind == "decision"] == ["unknown", "locked_out"]


def test_reasons_that_come_and_go_are_logged_once_in_ten_seconds_each(rig: Rig) -> None:
    """Somebody with a second face beside theirs must not wear out the card, nor push out older snapshots."""
    notes = Notes(rig.door._journal)
    for frame in range(300):  # 30 s
        reason = (Reason.STEP_AWAY, Reason.TWO_FACES)[frame % 2]
        notes.decision(Decision(frame / 10, reason), "")
    reasons = [entry.reason for entry in rig.door.log("", 1000)]
    assert reasons == ["step_away", "two_faces"] * 3
    assert notes.decision(Decision(30.0, Reason.TWO_FACES), "") is False
    assert notes.decision(Decision(30.0, Reason.MATCHED, "ada"), "Ada") is True
    assert notes.decision(Decision(30.1, Reason.TWO_FACES), "") is True  # somebody came in between


def test_the_tag_that_the_journal_of_systemd_is_told_is_of_that_entry(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[int, bytes] = {}
    monkeypatch.setattr(journald, "is_there", lambda: True)
    monkeypatch.setattr(journald, "tell", lambda _, __, number, tag: told.update({number: tag}) or True)
    append = rig.door._notes._journal.append

    def overtaken(*words: Any, **more: Any) -> Line:
        line = append(*words, **more)
        append("fault", note="of another thread")
        return line

    monkeypatch.setattr(rig.door._notes._journal, "append", overtaken)
    rig.door._notes.write("reloaded")
    lines = {line.number: line.tag for line in rig.door._journal.lines()}
    assert told == {1: lines[1]}


def test_the_latch_is_locked_again_when_the_door_stops_mid_release(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.play("aaa")
    assert not rig.latch.is_released


def test_a_lost_camera_is_reopened_and_logged_once(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.play("aa!", "aaa")
    assert rig.releases == ["matched Ada"]
    assert rig.kinds().count("fault") >= 1


def test_the_idle_gate_spares_the_networks_in_an_empty_doorway(tmp_path: Path) -> None:
    rig = Rig(tmp_path, parse(QUICK))
    rig.play("." * 90)
    assert rig.detector.calls < 50
    assert rig.door.status().idle_frames == 90 - rig.detector.calls
    rig.door.close()


def test_somebody_forgotten_is_a_stranger_from_then_on_and_after_a_restart(rig: Rig, tmp_path: Path) -> None:
    rig.enrol("a", "Ada")
    rig.enrol("b", "Ben")
    rig.door.forget("ada")
    assert rig.play("aaaa")[-1] in ("unknown", "locked_out")
    rig.door.close()
    again = Rig(tmp_path, parse(QUICK))
    assert [person.name for person in again.door.people()] == ["Ben"]
    again.door.close()


def test_forgetting_somebody_unknown_is_refused(rig: Rig) -> None:
    with pytest.raises(PersonNotFound):
        rig.door.forget("nobody")


def test_one_enrolment_at_a_time(rig: Rig) -> None:
    token = rig.door.begin_enrolment("Ada", "")
    with pytest.raises(EnrolmentBusy, match="Ada is being enrolled"):
        rig.door.begin_enrolment("Ben", "")
    rig.door.abandon_enrolment("some other token")
    with pytest.raises(EnrolmentBusy):
        rig.door.begin_enrolment("Ben", "")
    rig.door.abandon_enrolment(token)
    assert rig.door.begin_enrolment("Ben", "")


def test_an_abandoned_enrolment_stores_nothing_and_its_token_is_dead(rig: Rig) -> None:
    token = rig.door.begin_enrolment("Ada", "")
    rig.door.add_image(token, paint("a"))
    rig.door.abandon_enrolment(token)
    for late in (lambda: rig.door.commit_enrolment(token), lambda: rig.door.add_image(token, paint("a"))):
        with pytest.raises(EnrolmentRefused, match="no longer open"):
            late()
    assert rig.door.people() == []


def test_names_and_hours_that_cannot_be_are_refused_at_once(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    with pytest.raises(PersonExists):
        rig.door.begin_enrolment("ADA", "")
    with pytest.raises(EnrolmentRefused, match="cannot read hours"):
        rig.door.begin_enrolment("Ben", "whenever")
    with pytest.raises(OwnerError):
        rig.door.begin_enrolment("two\nlines", "")


def test_somebody_is_stored_on_the_terms_they_were_enrolled_on(rig: Rig) -> None:
    token = rig.door.begin_enrolment("Anna", "")
    with pytest.raises(EnrolmentRefused, match="guest"):
        rig.door.set_enrolment_terms(token, TermsChange(role="guest"))
    with pytest.raises(EnrolmentRefused):
        rig.door.set_enrolment_terms(token, TermsChange(hours="someday"))
    change = TermsChange(hours="sat 09:00-13:00", role="guest", valid_until="2026-12-25T00:00:00+00:00")
    rig.door.set_enrolment_terms(token, change)
    for seed in (100, 101):
        rig.door.add_image(token, paint("a", seed=seed))
    anna = rig.door.commit_enrolment(token)
    assert (anna.role, anna.hours, anna.valid_until[:10]) == ("guest", "sat 09:00-13:00", "2026-12-25")
    rules = [entry.note for entry in rig.door.log("", 100) if entry.kind == "rules"]
    assert len(rules) == 1
    assert "guest" in rules[0]
    token = rig.door.begin_reinforcement("Anna")
    with pytest.raises(EnrolmentRefused, match="keeps the terms"):
        rig.door.set_enrolment_terms(token, TermsChange(role="owner"))


def test_the_same_face_cannot_be_enrolled_under_two_names(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    token = rig.door.begin_enrolment("Eve", "")
    for seed in (5, 6):
        rig.door.add_image(token, paint("a", seed=seed))
    with pytest.raises(EnrolmentRefused, match="looks like Ada"):
        rig.door.commit_enrolment(token)


def test_live_enrolment_takes_frames_and_keeps_the_door_shut_meanwhile(rig: Rig) -> None:
    rig.enrol("b", "Ben")
    rig.cameras = [Script("a" * 400 + "b" * 400)]
    running = threading.Thread(target=rig.door.run)
    token = rig.door.begin_enrolment("Ada", "")
    first = threading.Thread(target=lambda: rig.door.add_live(token, 10.0))
    first.start()
    wait_until(lambda: rig.door.status().state in ("enrolling", "watching") and first.is_alive())
    time.sleep(0.05)
    running.start()
    first.join(10)
    while not rig.door.add_live(token, 5.0).samples >= 2:
        pass
    assert rig.door.status().state == "enrolling"
    assert rig.releases == []
    assert rig.door.commit_enrolment(token).name == "Ada"
    rig.door.stop()
    running.join(10)
    assert not any(event.reason == "unknown" for event in rig.events)


def test_live_enrolment_without_a_camera_says_so_in_time(rig: Rig) -> None:
    token = rig.door.begin_enrolment("Ada", "")
    feedback = rig.door.add_live(token, 0.05)
    assert (feedback.accepted, feedback.reason) == (False, "no_face")


def refusing(rig: Rig, monkeypatch: pytest.MonkeyPatch, times: int) -> list[Told]:
    """Let the lock refuse so often before it is well; give what observers will be told."""
    failures, release, told = iter(range(times)), rig.latch.release, list[Told]()

    def refuse(hold_s: float, why: str) -> None:
        if next(failures, None) is not None:
            raise LatchError("line 17 is held by another process", "stop it")
        release(hold_s, why)

    monkeypatch.setattr(rig.latch, "release", refuse)
    rig.door.follow(told.append)
    return told


def test_a_latch_that_fails_is_a_fault_and_the_door_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.enrol("a", "Ada")
    told = refusing(rig, monkeypatch, 5)
    rig.play("a" * 250)  # asked again after 1, 2, 4, 8 and 10 s, not at every third frame
    assert [kind for kind in rig.kinds() if kind in ("decision", "fault")] == ["decision", "fault"] * 5
    assert (rig.door.status().unlocks, told, rig.releases) == (0, [], [])
    assert {event.unlocks for event in rig.events} == {False}


def test_a_lock_that_is_well_again_lets_in_and_only_then_is_anybody_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.enrol("a", "Ada")
    told = refusing(rig, monkeypatch, 1)
    rig.play("a" * 16)
    assert rig.releases == ["matched Ada"]
    assert ([one.kind for one in told], rig.door.status().unlocks) == (["granted"], 1)


def test_who_calls_for_help_is_heard_though_the_lock_refused_somebody_a_moment_ago(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refusing(rig, monkeypatch, 99)
    keeper = rig.door._doorkeeper
    assert not keeper._act(Decision(10.0, Reason.MATCHED, "ada", 0.9, 1.0), "Ada")
    for frame in range(5):
        helpless = Decision(10.1 + frame / 10, Reason.MATCHED, "ben", 0.9, 1.0, is_duress=True)
        assert not keeper._act(helpless, "Ben")
    assert [one.kind for one in told] == ["granted", "duress"]  # once, as everybody sees it and as owners do
    assert rig.kinds() == ["decision", "fault", "duress"]


def test_a_lock_that_ended_the_hold_is_believed(rig: Rig) -> None:
    """Its own bound may be shorter than [latch] hold_s, or it was started anew: nobody is told to push."""
    rig.enrol("a", "Ada")
    lock = rig.latch.lock
    rig.door.subscribe(lambda event: lock() if event.unlocks else None)
    reasons = rig.play("a" * 9)
    assert "already_open" not in reasons
    assert reasons.count("matched") == 3


def test_a_full_disk_does_not_stop_the_door(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.enrol("a", "Ada")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "append", full)
    rig.play("aaa")
    assert rig.releases == ["matched Ada"]


def test_reload_takes_over_rules_and_names_what_needs_a_restart(rig: Rig) -> None:
    before = rig.door.status().threshold
    fixed = rig.door.reload(parse(QUICK + "[promise]\nyears = 100\n[camera]\nfps = 5"))
    assert fixed == ["camera"]
    assert rig.door.status().threshold > before
    assert "100 years" in rig.door.status().promise
    stricter = parse(QUICK.replace("hold_s = 1", "hold_s = 2\nline = 4"))
    assert rig.door.reload(stricter) == ["latch"]


def test_the_language_of_the_signs_is_taken_over_while_running(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    rig.door.reload(parse(QUICK))
    assert rig.door._signboard.words.language == "de"
    assert rig.door.reload(parse(QUICK + '[signs]\nlanguage = "fr"')) == []
    assert rig.door._signboard.words.language == "fr"


def test_more_people_raise_the_threshold(rig: Rig) -> None:
    alone = rig.door.status().threshold
    for letter, name in zip("abcd", ("Ada", "Ben", "Chloe", "Dan"), strict=True):
        rig.enrol(letter, name)
    assert rig.door.status().threshold > alone
    assert (rig.door.status().people, rig.door.status().templates) == (4, 8)


def test_doctor_finds_what_is_wrong_with_a_development_door(rig: Rig) -> None:
    found = {finding.check: finding for finding in rig.door.doctor()}
    assert found["camera"].verdict == "fail"
    assert found["key"].verdict == "warn"
    assert found["latch"].verdict == "warn"
    assert found["door log"].verdict == "ok"
    assert (found["model"].verdict, found["model"].detail) == ("fail", "painted version 0, not signed")
    assert all(finding.remedy for finding in found.values() if finding.verdict != "ok")


def test_status_shows_a_lockout_and_how_long_it_lasts(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    statuses = []
    rig.door.subscribe(lambda event: statuses.append(rig.door.status()))
    rig.play("z" * 8)
    assert statuses[-1].state == "locked out"
    assert 0 < statuses[-1].locked_out_for_s <= 30


def test_a_listener_that_left_hears_nothing_more(rig: Rig) -> None:
    heard: list[Event] = []
    rig.door.subscribe(heard.append)()
    rig.play("..")
    assert heard == []
    assert len(rig.events) == 2


def test_a_silent_loop_shows_to_the_watchdog(rig: Rig) -> None:
    rig.clock.advance(60)
    assert rig.door.silent_s >= 60


def test_a_picture_of_any_small_shape_is_only_ever_a_refusal(rig: Rig) -> None:
    token = rig.door.begin_enrolment("Ada", "")
    for shape in ((16, 16, 3), (16, 400, 3)):
        picture: Image = np.zeros(shape, np.uint8)
        assert not rig.door.add_image(token, picture).accepted


def test_failed_tries_are_remembered_across_restarts_and_switch_faces_off(tmp_path: Path) -> None:
    config = parse(QUICK.replace("failures = 1", "failures = 10") + "[idle]\ngate = false")
    rig = Rig(tmp_path, config)
    rig.enrol("a", "Ada")
    spent = []
    while not rig.ledger.tally.is_off:
        rig.play("zzzz..." * 4)
        spent.append(rig.ledger.tally.spent)
        rig.ledger.write(replace(rig.ledger.tally, wait_s=0.0))  # as if the wait had been served
        rig.door.close()
        rig = Rig(tmp_path, config)
    assert spent == [4, 8, 10, 14, 18, 20]
    assert rig.play("aaa")[-1] == "face_off"
    assert next(f for f in rig.door.doctor() if f.check == "tries").verdict == "fail"
    rig.door.unlock_face()
    assert rig.kinds()[-1] == "face_on"
    rig.door.close()
    again = Rig(tmp_path, config)
    assert again.play("aaa")[-1] == "matched"
    again.door.close()


def test_a_charge_is_on_disk_before_the_verdict(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.enrol("a", "Ada")
    order: list[str] = []
    write, judge = Ledger.write, policy.judge

    def writing(ledger: Ledger, tally: Tally) -> None:
        order.append(f"spent {tally.spent}")
        write(ledger, tally)

    def judging(*args: object) -> object:
        state, decision = judge(*args)  # type: ignore[arg-type]
        order.append(decision.reason.value)
        return state, decision

    monkeypatch.setattr(Ledger, "write", writing)
    monkeypatch.setattr(policy, "judge", judging)
    rig.play("aaa")
    assert order[:5] == ["gathering", "gathering", "spent 1", "matched", "spent 0"]


def test_a_ledger_that_cannot_be_written_is_a_fault_and_the_door_counts_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.enrol("a", "Ada")

    def full(*_: object) -> None:
        raise InstallerError("the ledger of tries cannot be written", "see whether its disk is full")

    monkeypatch.setattr(Ledger, "write", full)
    assert rig.play("zzzzzzzzz")[-1] == "locked_out"
    assert rig.kinds().count("fault") >= 1


def test_who_has_hours_is_told_that_the_clock_is_not_to_be_believed(rig: Rig) -> None:
    rig.enrol("a", "Ada", "mon-sun 00:00-24:00")
    assert rig.play("aaa")[-1] == "clock_untrusted"
    assert "clock_untrusted" in [entry.reason for entry in rig.door.log("", 100)]
    assert rig.releases == []


def test_old_entries_are_dropped_while_the_date_is_believed(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.clock.set_wall(datetime.now(UTC) + timedelta(days=366))
    rig.play("..")
    assert rig.kinds()[:2] == ["started", "pruned"] or rig.kinds()[0] == "pruned"
    assert rig.door.verify_log() == len(rig.kinds()) + 2  # enrolled, and on what terms


def test_a_log_is_not_pruned_by_a_clock_that_is_not_believed(rig: Rig) -> None:
    rig.enrol("a", "Ada")
    rig.play("..")
    assert rig.kinds()[0] == "enrolled"


def test_an_owner_checks_the_doors_log_from_a_checkpoint(rig: Rig) -> None:
    checkpoint = Checkpoint.parse(rig.door.log_checkpoint())
    rig.enrol("a", "Ada")
    told = rig.door.export_log(0, 100)
    lines = [
        Line(e.number, e.at_us, (e.at, e.kind, e.reason, e.name, e.note, e.person_id), bytes.fromhex(e.tag))
        for e in told
    ]
    assert first_wrong(checkpoint, lines) == (2, "")
    assert rig.kinds() == ["checkpoint", "enrolled", "rules"]
