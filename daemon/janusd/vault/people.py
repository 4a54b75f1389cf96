"""What is kept of a person beside their samples, and how it may change: values in, values out.

A change is a new `Record`; `store` seals it in the place of the old one, under a new data key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from janusd.core import code as codes
from janusd.core.embed import LONGEST, SHORTEST, combine
from janusd.core.gallery import Template
from janusd.core.schedule import Schedule
from janusd.core.terms import ALWAYS, Role, Terms
from janusd.core.types import Embedding
from janusd.door import Person
from janusd.errors import EnrolmentRefused, PersonExists, PersonNotFound, VaultDamaged
from janusd.escape import escape
from janusd.vault.format import Record
from janusd.vault.names import check_name, name_key
from janusd.vault.rows import Row
from janusd.vault.seals import Opened

MOST_GUARDS = 8
"""Of one person; the oldest goes. Each is one more face that could be refused wrongly."""

_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """One enrolled person, without what is secret."""

    person_id: str
    name: str
    enrolled_at: str
    """ISO 8601, UTC."""
    samples: int
    hours: str
    """Schedule text; empty means always."""
    is_stale: bool
    """Enrolled with another encoder than the present one: not matched against until enrolled anew."""
    terms: Terms = ALWAYS
    guards: int = 0
    """How many disputed tries are kept against others who look like them."""
    crops: int = 0
    """Of how many samples the crops are kept too."""


def stored(row: Row, record: Record, model_digest: bytes) -> StoredPerson:
    """That person, where the present encoder has that digest."""
    return StoredPerson(
        row.person_id.hex(),
        record.name,
        record.enrolled_at,
        len(record.embeddings),
        record.hours,
        row.model_digest != model_digest,
        record.terms,
        len(record.guards),
        record.crops,
    )


def person_of(stored: StoredPerson) -> Person:
    """That person as a client sees them."""
    terms = stored.terms
    return Person(
        stored.name,
        stored.enrolled_at,
        stored.samples,
        stored.hours,
        role=terms.role.value,
        is_suspended=terms.is_suspended,
        valid_from=terms.valid_from.isoformat() if terms.valid_from else "",
        valid_until=terms.valid_until.isoformat() if terms.valid_until else "",
        second=terms.second.value,
        needs_two=terms.needs_two,
        guards=stored.guards,
        is_stale=stored.is_stale,
        duress=terms.duress.value,
    )


def template(row: Row, record: Record) -> Template:
    """What the matcher needs of that person. Raises VaultDamaged."""
    try:
        schedule = Schedule.parse(record.hours)
    except ValueError as e:
        raise VaultDamaged(f"person row {row.number} of the vault: {e}", "forget and enrol them anew") from e
    guards = record.guards if len(record.guards) else None
    return Template(row.person_id.hex(), record.name, record.embeddings, schedule, record.terms, guards)


def find(opened: Sequence[Opened], name: str) -> Opened | None:
    """Who has that name, however it is spelt."""
    wanted = name_key(name.strip())
    return next((one for one in opened if name_key(one[1].name) == wanted), None)


def named(opened: Sequence[Opened], name: str) -> Opened:
    """Who has that name, however it is spelt. Raises PersonNotFound."""
    found = find(opened, name)
    if found is None:
        raise PersonNotFound("nobody of that name is enrolled", "see janusctl people")
    return found


def refuse_taken(opened: Sequence[Opened], name: str, model_digest: bytes) -> None:
    """Raise PersonExists where somebody has that name already."""
    taken = find(opened, name)
    if taken is not None:
        raise PersonExists(
            f"{taken[1].name} is enrolled already"
            + ("" if taken[0].model_digest == model_digest else ", with another encoder or detector"),
            "forget them first, or choose another name",
        )


def refuse_taken_codes(others: Sequence[Opened], name: str, terms: Terms) -> None:
    """Raise EnrolmentRefused where a code for duress, theirs or another's, would be anybody else's code too.

    While faces are off a code alone says who enters it. Ordinary codes of two people may be the same.
    """
    if not terms.code and not terms.duress_code:
        return
    theirs = [one[1].terms for one in others]
    every = [code for one in theirs for code in (one.code, one.duress_code) if code]
    of_duress = [one.duress_code for one in theirs if one.duress_code]
    pairs = [(terms.duress_code, code) for code in every] + [(terms.code, code) for code in of_duress]
    if any(mine and codes.collide(mine, code) for mine, code in pairs):
        raise EnrolmentRefused(
            f"a code of {name} is, or begins as, one that is kept at this door already", "choose another one"
        )


def checked(record: Record) -> Record:
    """The record as it is kept. Raises EnrolmentRefused for one that cannot be."""
    return Record(
        check_name(record.name),
        checked_hours(record.hours),
        checked_moment(record.enrolled_at),
        checked_embeddings(record.embeddings),
        checked_terms(record.terms),
        record.guards,
    )


def renamed(opened: Sequence[Opened], of: Opened, name: str) -> Record:
    """The record under another name. Raises PersonExists, EnrolmentRefused."""
    kept = check_name(name)
    others = [one for one in opened if one is not of]
    refuse_taken(others, kept, of[0].model_digest)
    return replace(of[1], name=kept)


def under_terms(opened: Sequence[Opened], of: Opened, hours: str, terms: Terms) -> Record:
    """The record with other hours and terms.

    Raises EnrolmentRefused where they contradict themselves, or would leave a door that has an owner without
    one who may come in.
    """
    before, kept = of[1].terms, checked_terms(terms)
    if _is_owner(before) and not _is_owner(kept):
        others = any(one is not of and _is_owner(one[1].terms) for one in opened)
        if not others:
            raise EnrolmentRefused(
                f"{of[1].name} is the only owner of this door", "make somebody else an owner first"
            )
    refuse_taken_codes([one for one in opened if one is not of], of[1].name, kept)
    return replace(of[1], hours=checked_hours(hours), terms=kept)


def with_guard(record: Record, guard: Embedding, margin: float) -> Record:
    """The record with one more guard. Raises EnrolmentRefused for one that would shut out its own person.

    `margin` is the policy's: a probe within it of a guard is refused. Each sample is tried as a probe against
    the mean of the others. One that stands alone may well be what the stranger resembled, so up to a third
    may be lost.
    """
    probe = np.asarray(guard, np.float32)
    if probe.shape != (record.embeddings.shape[1],):
        raise EnrolmentRefused(
            "that try was seen by another encoder or detector", "nothing can be kept of it"
        )
    samples = list(record.embeddings)
    own = np.ones(1)
    if len(samples) > 1:
        own = np.array([one @ combine([*samples[:at], *samples[at + 1 :]]) for at, one in enumerate(samples)])
    shut_out = int(np.sum(record.embeddings @ probe > own - margin))
    if shut_out * 3 > len(own):
        raise EnrolmentRefused(
            f"the face of that try is as much like {record.name} as their own samples"
            f" ({shut_out} of {len(record.embeddings)} would be refused)",
            "a guard would shut them out: ask them for a second factor instead (janusctl people set)",
        )
    rows = probe[None] if not len(record.guards) else np.concatenate([record.guards, probe[None]])
    return replace(record, guards=rows[-MOST_GUARDS:])


def without_guards(record: Record) -> Record:
    """The record without its guards."""
    return replace(record, guards=record.guards[:0])


def checked_terms(terms: Terms) -> Terms:
    """The terms. Raises EnrolmentRefused where they contradict themselves."""
    try:
        return terms.check()
    except ValueError as e:
        raise EnrolmentRefused(str(e), "see janusctl people set --help") from e


def _is_owner(terms: Terms) -> bool:
    return terms.role is Role.OWNER and not terms.is_suspended


def checked_hours(hours: str) -> str:
    """The hours as they are kept. Raises EnrolmentRefused."""
    kept = hours.strip()
    try:
        Schedule.parse(kept)
    except ValueError as e:
        raise EnrolmentRefused(str(e)) from e
    return kept


def checked_moment(text: str) -> str:
    """A moment as it is kept: ISO 8601, UTC. Raises EnrolmentRefused."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError) as e:
        raise EnrolmentRefused(
            f"'{escape(text, 40)}' is no time at which somebody was enrolled", "write it in ISO 8601"
        ) from e


def checked_embeddings(embeddings: NDArray[np.float32] | Sequence[Embedding]) -> NDArray[np.float32]:
    """(n, D) float32 rows, each about of unit length. Raises EnrolmentRefused."""
    matrix = np.array(embeddings, dtype=np.float32)
    if matrix.ndim != 2 or matrix.size == 0:
        raise EnrolmentRefused("there is no sample to make a template of", "take at least one")
    lengths = np.linalg.norm(matrix, axis=1)
    is_long = (lengths >= SHORTEST - _TOLERANCE) & (lengths <= LONGEST + _TOLERANCE)
    if not np.all(is_long):  # also false for NaN
        raise EnrolmentRefused(
            "a sample's embedding is of a length that no face has", "take the samples again"
        )
    return matrix
