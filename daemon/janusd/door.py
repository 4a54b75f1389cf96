"""What may be asked of a running door, whoever asks: the control socket, a test, a future panel.

`service.py` fulfils `Door`; `control.py` only translates it to Varlink. Every method may be called from
any thread, returns quickly except where it says so, and raises `JanusError` with what to do next.

The dataclasses are also the control interface's types. asyncvarlink reads their annotations, so this module
must not postpone them: no `from __future__ import annotations` here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # a thin client shares these values without loading numpy
    from janusd.core.types import Image


@dataclass(frozen=True, slots=True)
class Person:
    """One enrolled person, without anything secret."""

    name: str
    enrolled_at: str
    """ISO 8601, UTC."""
    samples: int
    hours: str
    """Schedule text as `Schedule.parse` reads it; empty means always."""


@dataclass(frozen=True, slots=True)
class Status:
    """How the door is."""

    version: str
    state: str
    """"watching", "enrolling", "locked out", "face off", "camera lost" or "stopping"."""
    people: int
    templates: int
    is_released: bool
    camera: str
    latch: str
    detector: str
    encoder: str
    accelerator: str
    key_source: str
    threshold: float
    promise: str
    """The false-unlock promise in words, and whether the model's figures reach that far."""
    frames: int
    idle_frames: int
    unlocks: int
    refusals: int
    uptime_s: float
    locked_out_for_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """One decision, as `janusctl watch` shows it."""

    at: str
    """ISO 8601 with zone; the wall clock may be untrusted, the order never is."""
    sequence: int
    """The frame's number."""
    reason: str
    """A `Reason` value."""
    unlocks: bool
    name: str
    """Whom it speaks of, or empty."""
    score: float | None
    """Rounded to two places; a score is no secret from root, and coarse for everyone."""
    hint: str
    stage_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the door log."""

    number: int
    at: str
    kind: str
    """"decision", "enrolled", "forgot", "started", "stopped", "fault" ...: see docs/codes.md."""
    reason: str
    name: str
    note: str


@dataclass(frozen=True, slots=True)
class Exported:
    """One line of the door log with all that its tag covers, see `core.forward`."""

    number: int
    at_us: int
    """Microseconds since 1970."""
    at: str
    kind: str
    reason: str
    name: str
    note: str
    person_id: str
    tag: str
    """Hexadecimal; empty for lines older than the log's tags."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of one enrolment sample."""

    accepted: bool
    reason: str
    """A `Reason` value, or "good", "another_person", "duplicate_view"."""
    hint: str
    samples: int
    """Accepted so far."""
    wanted: int
    """How many make a template."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `janusctl doctor`."""

    check: str
    verdict: str
    """"ok", "warn" or "fail"."""
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class VaultStatus:
    """How the vault is, and which copies of it there are."""

    fault: str
    """What is wrong with it; empty while all is well."""
    change: int
    """How many changes it has seen."""
    key: str
    anchor: str
    backups: list[str]
    quarantine: list[str]
    signs_as: str
    """This door's public key for parcels of people, hexadecimal."""
    address: str
    """The public key to which another door seals people for this one, hexadecimal."""


class Caretaker(Protocol):
    """What an owner may do to the vault. All may take seconds."""

    def show(self) -> VaultStatus:
        """How the vault is."""
        ...

    def back_up(self) -> str:
        """Make a verified backup; its name."""
        ...

    def restore(self, name: str, accept_older: bool) -> str:
        """Put a copy in the vault's place, the newest good backup where no name is given; which one."""
        ...

    def rekey(self) -> None:
        """Change the vault's key. Raises OwnerError where systemd has to."""
        ...

    def renew(self) -> None:
        """Give every record another rotation and data key."""
        ...

    def export_people(self, passphrase: str, to: str) -> str:
        """A parcel with everybody, as base64 text, for that passphrase or the door with that address."""
        ...

    def import_people(self, parcel: str, passphrase: str, signed_by: str) -> list[Person]:
        """Enrol everybody in a parcel, or nobody."""
        ...


class Door(Protocol):
    """A running door."""

    @property
    def caretaker(self) -> Caretaker:
        """Who looks after its vault."""
        ...

    def status(self) -> Status:
        """How the door is right now."""
        ...

    def people(self) -> list[Person]:
        """Who is enrolled, by name."""
        ...

    def begin_enrolment(self, name: str, hours: str) -> str:
        """Open the door's one enrolment and give its token; nothing is stored until `commit_enrolment`.

        Raises EnrolmentBusy, PersonExists, or EnrolmentRefused for a name or hours that cannot be.
        """
        ...

    def add_image(self, token: str, image: "Image") -> Feedback:
        """Offer a picture as a sample. Takes as long as the networks do."""
        ...

    def add_live(self, token: str, timeout_s: float) -> Feedback:
        """Offer the next usable camera frame as a sample; waits for one up to `timeout_s`."""
        ...

    def commit_enrolment(self, token: str) -> Person:
        """Store the samples as one person, durably, and match against them from now on.

        Raises EnrolmentRefused when they are too few or look like somebody already enrolled.
        """
        ...

    def abandon_enrolment(self, token: str) -> None:
        """Drop the samples. Does nothing for a token that is no longer open."""
        ...

    def forget(self, name: str) -> None:
        """Remove a person from memory and disk before returning. Raises PersonNotFound."""
        ...

    def unlock_face(self) -> None:
        """Forgive all failed tries: face unlock is on again, and no wait is left."""
        ...

    def log(self, since: str, limit: int) -> list[Entry]:
        """The newest `limit` entries at or after `since` (ISO 8601, empty for all), oldest first."""
        ...

    def export_log(self, after: int, limit: int) -> list[Exported]:
        """Entries after that number with their tags, oldest first."""
        ...

    def verify_log(self) -> int:
        """Check every kept entry; the last one's number. Raises JournalBroken."""
        ...

    def log_checkpoint(self) -> str:
        """What an owner carries away to check all later entries with; see `core.forward`."""
        ...

    def doctor(self) -> list[Finding]:
        """Check what can be checked from inside. May take a second."""
        ...

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` on each decision, from the vision thread; the returned function ends that."""
        ...
