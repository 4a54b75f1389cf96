"""People and rules at a running door: changes are in force at once, in the log, and explained later."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from janusd.config import parse
from janusd.core.limiter import Tally
from janusd.core.reason import Reason
from janusd.door import Explanation, TermsChange
from janusd.errors import EnrolmentRefused, InstallerError, OwnerError, PersonExists, PersonNotFound
from janusd.service.rules import Rules
from janusd.vault.keys import FileKey
from janusd.vault.ring import Ring
from janusd.vault.store import Vault
from janusd_hw.fakes import SPEC
from support.painted_door import QUICK, Rig

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
KEEPS = "[disputes]\nkeep_unlocks = 4\n"


class Door(Rig):
    """A rig whose steward keeps unlocks."""

    def __init__(self, folder: Path, more: str = "") -> None:
        super().__init__(folder, parse(QUICK + "[idle]\ngate = false\n" + more))
        self.clock.set_wall(NOON)
        self.ring = Ring(folder / "unlocks", FileKey(folder / "key"), b"d" * 32, bytes.fromhex(SPEC.sha256))
        self.door.steward._ring = self.ring

    def numbers(self, reason: str = "matched") -> list[int]:
        return [entry.number for entry in self.door.log("", 100) if entry.reason == reason]

    def notes(self, kind: str) -> list[tuple[str, str]]:
        return [(entry.name, entry.note) for entry in self.door.log("", 100) if entry.kind == kind]


def no_anchor(_: Vault) -> None:
    raise InstallerError("the anchor cannot be written", "free space")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Door]:
    rig = Door(tmp_path, KEEPS)
    yield rig
    rig.door.close()


def test_who_is_suspended_stays_outside_and_comes_in_again_when_resumed(rig: Door) -> None:
    rig.enrol("a", "Ada")
    assert rig.door.steward.suspend("ada", True).is_suspended
    assert rig.play("aaa")[-1] == "suspended"
    assert rig.releases == []
    assert not rig.door.steward.suspend("Ada", False).is_suspended
    assert rig.notes("rules")[1:] == [
        ("Ada", "role resident; hours always; suspended"),
        ("Ada", "role resident; hours always"),
    ]


def test_only_what_is_given_changes(rig: Door) -> None:
    rig.enrol("a", "Ada", "mon-fri 08:00-18:00")
    steward = rig.door.steward
    person = steward.set_terms("Ada", TermsChange(second="code", code="3-1-4-2", needs_two=True))
    assert (person.hours, person.second, person.needs_two) == ("mon-fri 08:00-18:00", "code", True)
    person = steward.set_terms("Ada", TermsChange(role="guest", valid_until="2026-12-24T18:00+01:00"))
    assert (person.role, person.valid_until, person.second) == ("guest", "2026-12-24T17:00:00+00:00", "code")
    person = steward.set_terms("Ada", TermsChange(hours="", second="none", role="owner", valid_until=""))
    assert (person.hours, person.second, person.valid_until, person.role) == ("", "none", "", "owner")
    assert rig.door.people() == [person]
    assert "3-1-4-2" not in str(rig.door.export_log(0, 100))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (TermsChange(role="king"), "king"),
        (TermsChange(second="dance"), "dance"),
        (TermsChange(second="code"), "a code is"),
        (TermsChange(valid_until="tomorrow"), "with its zone"),
        (TermsChange(role="guest"), "needs a day"),
        (TermsChange(hours="never"), "cannot read hours"),
    ],
)
def test_terms_that_cannot_be_are_refused_in_words(rig: Door, change: TermsChange, complaint: str) -> None:
    rig.enrol("a", "Ada")
    with pytest.raises(EnrolmentRefused, match=complaint):
        rig.door.steward.set_terms("Ada", change)
    with pytest.raises(PersonNotFound):
        rig.door.steward.set_terms("Eve", TermsChange(role="owner"))


def test_a_new_name_is_told_at_once_and_the_old_one_stays_in_the_log(rig: Door) -> None:
    rig.enrol("a", "Ada")
    rig.enrol("b", "Ben")
    rig.door.steward.rename("ada", "Countess")
    with pytest.raises(PersonExists):
        rig.door.steward.rename("Countess", "BEN")
    rig.play("aaa")
    assert rig.releases == ["matched Countess"]
    assert rig.notes("renamed") == [("Countess", "was Ada")]


def test_a_door_for_two_opens_for_two(tmp_path: Path) -> None:
    rig = Door(tmp_path, "[rules]\ntwo_people = true\n")
    rig.enrol("a", "Ada")
    rig.enrol("b", "Ben")
    rig.play("aaa" + "." * 40 + "bbb")
    assert rig.releases == ["matched Ben"]
    assert [event.reason for event in rig.events][2] == "second_person"
    rig.door.close()


def test_the_word_of_a_local_program_lets_in_whom_it_names(rig: Door) -> None:
    rig.enrol("a", "Ada")
    for name in ("Ada", "Eve"):  # a sensor does not learn who is enrolled
        with pytest.raises(OwnerError, match="nobody of that name is to be confirmed"):
            rig.door.steward.confirm(name)
    rig.door.steward.set_terms("Ada", TermsChange(second="confirm"))
    rig.door.steward.confirm("ada")
    rig.play("aaa")
    assert rig.releases == ["matched Ada"]
    assert rig.notes("confirmed") == [("Ada", "")]


def test_without_the_word_they_wait_and_are_not_let_in(rig: Door) -> None:
    rig.enrol("a", "Ada")
    rig.door.steward.set_terms("Ada", TermsChange(second="confirm"))
    assert rig.play("aaa" + "a" * 6)[-1] == "second_factor"
    assert rig.releases == []
    assert rig.numbers("second_factor")


def test_presses_on_the_button_are_a_second_factor(rig: Door) -> None:
    rig.enrol("a", "Ada")
    rig.door.steward.set_terms("Ada", TermsChange(second="code", code="2-1-1-1"))
    letters, presses = "a" * 44, [0.35, 0.5, 1.4, 2.3, 3.2]
    original = rig.door._see

    def see(frame: object) -> None:  # presses fall between frames, as a wire's would
        while presses and frame.captured_s >= presses[0]:  # type: ignore[attr-defined]
            rig.door.press(presses.pop(0))
        original(frame)  # type: ignore[arg-type]

    rig.door._see = see  # type: ignore[method-assign,assignment]
    rig.play(letters)
    assert rig.releases == ["matched Ada"]
    assert rig.ledger.tally == Tally()  # given back, on disk too


def test_faces_that_were_switched_off_are_on_again_on_disk_after_a_second_factor(tmp_path: Path) -> None:
    rig = Door(tmp_path)
    rig.enrol("a", "Ada")
    rig.door.steward.set_terms("Ada", TermsChange(second="confirm"))
    rig.ledger.write(Tally(20, 20, 0.0, True))
    rig.door.close()
    rig = Door(tmp_path)
    rig.door.steward.confirm("Ada")
    assert rig.play("aaaaaa")[:1] == ["face_on"]
    assert rig.releases == ["matched Ada"]
    assert rig.ledger.tally == Tally()
    assert rig.numbers("face_on")
    rig.door.close()


# Explaining


def explain(rig: Door, name: str, at: datetime | None = None) -> Explanation:
    return rig.door.steward.explain(name, at.isoformat() if at else "")


def test_a_decision_is_explained_by_the_rules_of_its_time_though_they_changed_since(rig: Door) -> None:
    rig.enrol("a", "Ada", "sun 00:00-24:00")
    before = datetime.now(UTC) + timedelta(seconds=0.001)
    rig.door.steward.set_terms("Ada", TermsChange(hours=""))
    told = explain(rig, "ada", before)
    assert told.by_rules_of == "then"
    assert told.rules == "role resident; hours sun 00:00-24:00"
    assert told.is_welcome == (before.weekday() == 6)
    assert [entry.note for entry in told.changes_since] == ["role resident; hours always"]
    now = explain(rig, "Ada")
    assert (now.is_welcome, now.rules, now.changes_since) == (True, "role resident; hours always", [])


def test_a_time_from_before_the_log_is_explained_by_todays_rules_and_says_so(rig: Door) -> None:
    rig.enrol("a", "Ada", "mon-fri 08:00-18:00")
    told = explain(rig, "Ada", datetime(2020, 1, 1, 9, tzinfo=UTC))
    assert told.by_rules_of == "now"
    assert told.is_welcome
    assert told.entries == []
    assert len(told.changes_since) == 1


def test_an_explanation_shows_what_the_log_holds_from_then_and_of_nobody_else(rig: Door) -> None:
    rig.enrol("a", "Ada")
    rig.enrol("b", "Ben")
    rig.play("aaa" + "." * 40 + "bbb" + "." * 40 + "zzz")
    told = explain(rig, "Ada")
    assert "Ben" not in {entry.name for entry in told.entries if entry.kind == "decision"}
    assert {entry.reason for entry in told.entries if entry.kind == "decision"} == {"matched", "unknown"}


def test_each_question_is_answered_and_the_first_that_fails_is_the_reason(rig: Door) -> None:
    rig.enrol("a", "Ada", "mon 00:00-01:00")
    told = explain(rig, "Ada", datetime(2026, 6, 2, 12, tzinfo=UTC))
    assert not told.is_welcome
    assert told.reason == Reason.NOT_NOW.explanation
    assert [(one.check, one.holds) for one in told.questions] == [
        ("suspended", True), ("dates", True), ("hours", False), ("second factor", True), ("two people", True),
    ]  # fmt: skip


def test_times_and_names_that_cannot_be_are_refused(rig: Door) -> None:
    rig.enrol("a", "Ada")
    with pytest.raises(OwnerError, match="with its zone"):
        rig.door.steward.explain("Ada", "yesterday")
    with pytest.raises(PersonNotFound):
        rig.door.steward.explain("Eve", "")


# Disputes


def test_a_disputed_unlock_is_marked_and_its_face_is_kept_as_a_guard(rig: Door) -> None:
    """A stranger is let in as Ada; the unlock is made up, since painted faces never are."""
    rig.enrol("a", "Ada")
    rig.play("aaa")
    (number,) = rig.numbers()
    kept = rig.ring.find(number)
    assert kept is not None
    stranger = np.roll(kept.embedding, 1)
    rig.ring.drop(number=number)
    rig.ring.keep(replace(kept, embedding=stranger), 4)
    done = rig.door.steward.dispute(number)
    assert (done.number, done.name, done.is_guarded) == (number, "Ada", True)
    assert rig.door.people()[0].guards == 1
    guards = rig.door._doorkeeper.rules.gallery.templates[0].guards
    assert guards is not None
    np.testing.assert_allclose(guards[0], stranger, atol=1e-6)  # in force at once
    assert rig.ring.find(number) is None
    assert rig.notes("disputed")[0][1].startswith(f"entry {number}: ")
    with pytest.raises(OwnerError, match="disputed already"):
        rig.door.steward.dispute(number)


def test_a_dispute_of_their_own_visit_marks_it_but_does_not_shut_them_out(rig: Door) -> None:
    rig.enrol("a", "Ada")
    rig.play("aaa")
    (number,) = rig.numbers()
    done = rig.door.steward.dispute(number)
    assert not done.is_guarded
    assert "as much like Ada as their own samples" in done.says
    assert rig.door.people()[0].guards == 0


def test_nothing_is_kept_of_unlocks_unless_the_owner_wants_it(tmp_path: Path) -> None:
    rig = Door(tmp_path)
    rig.enrol("a", "Ada")
    rig.play("aaa")
    assert not (tmp_path / "unlocks").exists()
    done = rig.door.steward.dispute(rig.numbers()[0])
    assert (done.is_guarded, done.says) == (False, "nothing was kept of that try, so no guard could be made")
    rig.door.close()


def test_only_unlocks_can_be_disputed(rig: Door) -> None:
    rig.enrol("a", "Ada")
    with pytest.raises(OwnerError, match="entry 1 lets nobody in"):
        rig.door.steward.dispute(1)
    with pytest.raises(OwnerError, match="has no entry 99"):
        rig.door.steward.dispute(99)


def test_forgetting_somebody_forgets_their_unlocks(rig: Door) -> None:
    rig.enrol("a", "Ada")
    rig.play("aaa")
    (number,) = rig.numbers()
    assert rig.ring.find(number) is not None
    rig.door.forget("Ada")
    assert rig.ring.find(number) is None
    done = rig.door.steward.dispute(number)
    assert (done.is_guarded, done.says) == (False, "they are forgotten: there is nobody to guard")


def test_a_suspension_is_in_force_though_the_disk_would_not_anchor_it(
    rig: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.enrol("a", "Ada")
    monkeypatch.setattr(Vault, "anchor_now", no_anchor)
    with pytest.raises(
        InstallerError, match="Ada is changed, but an older copy put back would not be noticed"
    ):
        rig.door.steward.suspend("Ada", True)
    (ada,) = rig.door._doorkeeper.rules.gallery.templates
    assert ada.terms.is_suspended
    assert rig.notes("rules")[-1] == ("Ada", "role resident; hours always; suspended")
    assert not rig.door.steward.explain("Ada", "").is_welcome
    monkeypatch.undo()
    with pytest.raises(EnrolmentRefused):
        rig.door.steward.set_terms("Ada", TermsChange(role="guest"))
    assert len(rig.notes("rules")) == 2  # what was refused is not written down


def test_who_is_forgotten_is_written_down_though_the_disk_would_not_anchor_it(
    rig: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.enrol("a", "Ada")
    monkeypatch.setattr(Vault, "anchor_now", no_anchor)
    with pytest.raises(InstallerError, match="Ada is removed"):
        rig.door.forget("ada ")
    assert rig.notes("forgot") == [("Ada", "")]
    assert rig.door._doorkeeper.rules.gallery.templates == ()


def test_what_was_kept_goes_with_them_however_their_name_is_given(rig: Door) -> None:
    rig.enrol("a", "Ada")
    rig.play("aaa")
    (number,) = rig.numbers()
    assert rig.ring.find(number) is not None
    rig.door.forget(" ADA ")
    assert rig.ring.find(number) is None


def test_nothing_is_kept_of_somebody_forgotten_while_they_were_let_in(rig: Door) -> None:
    rig.enrol("a", "Ada")
    (ada,) = rig.door._doorkeeper.rules.gallery.templates
    rig.door.forget("Ada")  # the lock was released for them a moment before
    rig.door.steward.remember(7, ada.person_id, ada.embeddings[0], 4)
    assert rig.ring.find(7) is None


def test_what_was_read_of_the_vault_earlier_never_takes_the_place_of_what_was_read_later(
    rig: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two owners at once: a suspension must not bring back whom the other one forgets."""
    rig.enrol("a", "Ada")
    rig.enrol("b", "Ben")
    make, has_read, may_go = Rules.make, threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Rules:
        made = make(*arguments)
        if threading.current_thread().name == "suspends":
            has_read.set()
            may_go.wait(0.5)  # the other one waits for this
        return made

    monkeypatch.setattr(Rules, "make", slow)
    one = threading.Thread(target=lambda: rig.door.steward.suspend("Ben", True), name="suspends")
    one.start()
    assert has_read.wait(10)
    rig.door.forget("Ada")
    may_go.set()
    one.join(10)
    assert [one.name for one in rig.door._doorkeeper.rules.gallery.templates] == ["Ben"]
    rig.play("aaa")
    assert rig.releases == []
