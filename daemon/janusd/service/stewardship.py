"""What may be asked about the people of a running door: their rules, why a decision fell, and disputes.

Fulfils `janusd.door.Steward`. What changes who may enter is in force, and in the door log, when it returns.
A person's rules are written into the log whenever they change, so that `explain` can say by which ones a
decision fell at the time.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from janusd.core.forward import Line
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.state import Policy
from janusd.core.terms import Duress, Role, Second, Terms, describe, parse_moment, read, steps, unwelcome
from janusd.core.types import Embedding
from janusd.door import DECISIONS, Dispute, Entry, Explanation, Person, Question, TermsChange
from janusd.errors import EnrolmentRefused, InstallerError, JanusError, OwnerError, PersonNotFound
from janusd.journal import Journal
from janusd.vault import people
from janusd.vault.format import Record
from janusd.vault.keeper import Keeper
from janusd.vault.names import name_key
from janusd.vault.people import StoredPerson, person_of
from janusd.vault.ring import Ring, Unlock
from janusd.vault.seals import Opened
from janusd.vault.store import Change

_AROUND = timedelta(minutes=5)
_MOST_ENTRIES = 50
_PAGE = 1000
_HOUR_S = 3600.0
_SEE = "see janusctl people set --help"
_NOTHING_KEPT = "nothing was kept of that try, so no guard could be made"


class Note(Protocol):
    """Writes a line to the door log."""

    def __call__(
        self, kind: str, reason: str = "", *, person_id: str = "", name: str = "", note: str = ""
    ) -> object:
        """The kind of event, whom it concerns, and what is to be said of it."""
        ...


class Steward:
    """Of one door. Any thread may call; calls that change something come one after the other."""

    def __init__(
        self,
        *,
        keeper: Keeper,
        journal: Journal,
        ring: Ring | None,
        policy: Callable[[], Policy],
        is_known: Callable[[str], bool],
        refresh: Callable[[], None],
        confirm: Callable[[str], None],
        note: Note,
    ) -> None:
        """`refresh` puts a change in force; `confirm` gives the door the word for a person, by their id.

        `is_known` says whether somebody of that id may be matched now.
        """
        self._keeper = keeper
        self._journal = journal
        self._ring = ring
        self._policy = policy
        self._is_known = is_known
        self._remembering = threading.Lock()
        self._refresh = refresh
        self._confirm = confirm
        self._note = note
        self._keeps_house_s = -math.inf

    def set_terms(self, name: str, change: TermsChange) -> Person:
        """Change on what terms somebody may come in; what is not given stays."""

        def changed(opened: Sequence[Opened], of: Opened) -> Record:
            hours = of[1].hours if change.hours is None else change.hours
            return people.under_terms(opened, of, hours, changed_terms(of[1].terms, change))

        with self._written_down(name):
            stored = self._change(name, changed)
            if change.clears_guards:
                stored = self._change(name, lambda _, of: people.without_guards(of[1]), takes_away=False)
        return person_of(stored)

    def suspend(self, name: str, is_suspended: bool) -> Person:
        """Let somebody in no more until they are let in again, or let them in again."""
        with self._written_down(name):
            stored = self._change(
                name,
                lambda opened, of: people.under_terms(
                    opened, of, of[1].hours, replace(of[1].terms, is_suspended=is_suspended)
                ),
            )
        return person_of(stored)

    def rename(self, name: str, to: str) -> Person:
        """Call somebody by another name."""
        before = self._stored(name).name
        stored = self._change(name, lambda opened, of: people.renamed(opened, of, to), takes_away=False)
        self._note("renamed", person_id=stored.person_id, name=stored.name, note=f"was {before}")
        return person_of(stored)

    def note_terms(self, stored: StoredPerson) -> None:
        """Write down on what terms somebody may come in from now on."""
        self._note(
            "rules", person_id=stored.person_id, name=stored.name, note=describe(stored.hours, stored.terms)
        )

    def forgotten(self, person_id: str) -> None:
        """Erase what is kept of a person besides the vault."""
        if self._ring is not None:
            with self._remembering:
                self._ring.drop(person_id=person_id)

    def remember(self, number: int, person_id: str, embedding: Embedding, slots: int) -> None:
        """Keep an unlock for a dispute, in so many slots. Raises nothing: the door goes on.

        Of nobody who was forgotten since it was decided.
        """
        if self._ring is None or slots == 0:
            return
        try:
            with self._remembering:
                if self._is_known(person_id):
                    self._ring.keep(Unlock(number, _now_us(), person_id, embedding), slots)
        except (JanusError, OSError) as error:
            self._note("fault", note=f"an unlock cannot be kept for a dispute: {error}")

    def keep_house(self, now_s: float, slots: int, keep_days: int) -> None:
        """Erase, once an hour, unlocks that are too old to be disputed, or that nobody wants kept."""
        if self._ring is None or now_s < self._keeps_house_s:
            return
        self._keeps_house_s = now_s + _HOUR_S
        with contextlib.suppress(JanusError, OSError), self._remembering:
            if slots == 0:
                self._ring.clear()
            else:
                self._ring.drop(before_us=_now_us() - int(timedelta(days=keep_days).total_seconds() * 1e6))

    def confirm(self, name: str) -> None:
        """Give the word for somebody whose second factor that is. Raises OwnerError for anybody else."""
        wanted = name_key(name.strip())
        found = (one for one in self._keeper.people() if name_key(one.name) == wanted)
        stored = next((one for one in found if one.terms.second is Second.CONFIRM), None)
        if stored is None:  # in the same words for whoever is not enrolled: a sensor is not to learn who is
            raise OwnerError(
                "nobody of that name is to be confirmed",
                f"an owner may ask it of somebody: janusctl people set NAME --second {Second.CONFIRM}",
            )
        self._confirm(stored.person_id)
        self._note("confirmed", person_id=stored.person_id, name=stored.name)

    def explain(self, name: str, at: str) -> Explanation:
        """What spoke for and against somebody at that time, and what the door log holds from then."""
        stored = self._stored(name)
        policy = self._policy()
        try:
            moment = parse_moment(at) or datetime.now(UTC)
        except ValueError as error:
            raise OwnerError(str(error), "write for example 2026-12-24T18:00+01:00") from error
        wall = moment.astimezone(policy.zone)
        text, changes = self._terms_at(stored.person_id, moment)
        hours, terms = read(text) if text else (stored.hours, stored.terms)
        reason = unwelcome(Schedule.parse(hours), terms, wall, policy.holidays)
        return Explanation(
            name=stored.name,
            at=wall.isoformat(timespec="seconds"),
            is_welcome=reason is None,
            reason=reason.explanation if reason else "",
            by_rules_of="then" if text else "now",
            rules=text or describe(hours, terms),
            questions=[
                Question(step.check, step.holds, step.says)
                for step in steps(hours, terms, wall, policy.holidays, policy.two_people)
            ],
            changes_since=changes,
            entries=self._entries_around(stored.person_id, moment),
        )

    def dispute(self, number: int) -> Dispute:
        """Write down that an unlock was not of whom it names, and guard them where that face was kept."""
        line = next((line for line in self._journal.lines(number - 1, 1) if line.number == number), None)
        if line is None:
            raise OwnerError(f"the door log has no entry {number}", "see its numbers: janusctl log")
        at, kind, reason, name, _, person_id = line.texts
        if kind not in DECISIONS or reason != Reason.MATCHED:
            raise OwnerError(f"entry {number} lets nobody in", "see which entries do: janusctl log")
        mark = f"entry {number}: "
        if any(one.texts[1] == "disputed" and one.texts[4].startswith(mark) for one in self._lines(number)):
            raise OwnerError(f"entry {number} is disputed already", "see janusctl log")
        try:
            is_guarded, says = self._guard(number, person_id)
        except InstallerError as error:  # the guard may stand, and what was kept for it is gone
            self._note("disputed", person_id=person_id, name=name, note=mark + error.what)
            raise
        self._note("disputed", person_id=person_id, name=name, note=mark + says)
        return Dispute(number, name, at, is_guarded, says)

    def _guard(self, number: int, person_id: str) -> tuple[bool, str]:
        """Whether a guard was made of that unlock, and what is to be said of it."""
        stored = next((one for one in self._keeper.people() if one.person_id == person_id), None)
        if stored is None:
            return False, "they are forgotten: there is nobody to guard"
        if self._ring is None:
            return False, _NOTHING_KEPT
        with self._remembering:
            unlock = self._ring.find(number)
        if unlock is None:
            return False, _NOTHING_KEPT
        margin = self._policy().margin
        try:
            self._change(
                stored.name,
                lambda _, of: people.with_guard(of[1], unlock.embedding, margin),
                takes_away=True,
            )
        except EnrolmentRefused as refused:
            return False, str(refused)
        finally:
            with self._remembering:
                self._ring.drop(number=number)
        return True, f"whoever looks like that try is no longer taken for {stored.name}"

    def _stored(self, name: str) -> StoredPerson:
        wanted = name_key(name.strip())
        for stored in self._keeper.people():
            if name_key(stored.name) == wanted:
                return stored
        raise PersonNotFound("nobody of that name is enrolled", "see janusctl people")

    def _change(self, name: str, change: Change, *, takes_away: bool = True) -> StoredPerson:
        """Change what is kept of somebody, and put it in force even where the disk has more to say."""
        try:
            return self._keeper.change(name, change, takes_away=takes_away)
        finally:
            self._refresh()

    @contextlib.contextmanager
    def _written_down(self, name: str) -> Iterator[None]:
        """Write somebody's rules into the log as they stand behind a change of them.

        Also where the disk would not erase, or the anchor not be written: then the change is in force and
        the caller gets an error all the same.
        """
        before = self._stored(name)

        def note(*, is_done: bool) -> None:
            for after in self._keeper.people():  # by id: somebody else may rename them meanwhile
                is_other = (after.hours, after.terms) != (before.hours, before.terms)
                if after.person_id == before.person_id and (is_done or is_other):
                    self.note_terms(after)

        try:
            yield
        except InstallerError:
            note(is_done=False)
            raise
        note(is_done=True)

    def _lines(self, after: int = 0) -> Iterator[Line]:
        while page := self._journal.lines(after, _PAGE):
            yield from page
            after = page[-1].number

    def _terms_at(self, person_id: str, moment: datetime) -> tuple[str, list[Entry]]:
        """Somebody's rules at that time as the log holds them, empty where it does not; and changes since."""
        moment_us = int(moment.timestamp() * 1e6)
        text, changes = "", []
        for line in self._lines():
            at, kind, reason, name, note, of = line.texts
            if kind != "rules" or of != person_id:
                continue
            if line.at_us <= moment_us:
                text = note
            else:
                changes.append(Entry(line.number, at, kind, reason, name, note))
        try:
            read(text)
        except ValueError:  # cut, or written by another version: better said than guessed
            text = ""
        return text, changes[-_MOST_ENTRIES:]

    def _entries_around(self, person_id: str, moment: datetime) -> list[Entry]:
        """What the log holds of that time: of them, of nobody known, and of the door itself."""
        first_us, last_us = (int((moment + by).timestamp() * 1e6) for by in (-_AROUND, _AROUND))
        return [
            Entry(line.number, *line.texts[:5])
            for line in self._lines()
            if first_us <= line.at_us <= last_us and line.texts[5] in (person_id, "")
        ][-_MOST_ENTRIES:]


def changed_terms(terms: Terms, change: TermsChange) -> Terms:
    """The terms with what is given changed. Raises EnrolmentRefused for words that cannot be read."""
    try:
        if change.role is not None:
            terms = replace(terms, role=Role(change.role))
        if change.valid_from is not None:
            terms = replace(terms, valid_from=parse_moment(change.valid_from))
        if change.valid_until is not None:
            terms = replace(terms, valid_until=parse_moment(change.valid_until))
        if change.second is not None:
            second = Second(change.second)
            terms = replace(terms, second=second, code=terms.code if second is Second.CODE else "")
            if second is not Second.CODE and terms.duress is Duress.CODE:  # it needs one beside it
                terms = replace(terms, duress=Duress.NONE, duress_code="")
        if change.code is not None:
            terms = replace(terms, code=change.code.strip())
        if change.needs_two is not None:
            terms = replace(terms, needs_two=change.needs_two)
        if change.duress is not None:
            duress = Duress(change.duress)
            kept = terms.duress_code if duress is Duress.CODE else ""
            terms = replace(terms, duress=duress, duress_code=kept)
        if change.duress_code is not None:
            terms = replace(terms, duress_code=change.duress_code.strip())
    except ValueError as error:
        raise EnrolmentRefused(str(error), _SEE) from error
    return terms


def _now_us() -> int:
    return int(datetime.now(UTC).timestamp() * 1e6)
