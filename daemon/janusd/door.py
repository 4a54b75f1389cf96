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


DURESS = "duress"
"""The kind of a decision's entry in the door log, where somebody called for help with it."""
DECISIONS = frozenset({"decision", DURESS})


@dataclass(frozen=True, slots=True)
class Person:
    """One enrolled person, without anything secret."""

    name: str
    enrolled_at: str
    """ISO 8601, UTC."""
    samples: int
    hours: str
    """Schedule text as `Schedule.parse` reads it; empty means always."""
    role: str = "resident"
    """"owner", "resident" or "guest"."""
    is_suspended: bool = False
    valid_from: str = ""
    """ISO 8601, UTC; empty for no such day."""
    valid_until: str = ""
    second: str = "none"
    """The second factor: "none", "code" or "confirm"; never the code itself."""
    needs_two: bool = False
    guards: int = 0
    """How many disputed tries are kept against others who look like them."""
    is_stale: bool = False
    """Enrolled with another model: not recognised until enrolled anew."""
    duress: str = "none"
    """How they call for help at the door: "none", "code" or "always"; "none" to whoever is no owner."""


@dataclass(frozen=True, slots=True)
class TermsChange:
    """What is to change in somebody's terms; None stays as it is."""

    hours: str | None = None
    role: str | None = None
    valid_from: str | None = None
    """ISO 8601 with its zone; empty for none."""
    valid_until: str | None = None
    second: str | None = None
    code: str | None = None
    """For the second factor "code". Secret."""
    needs_two: bool | None = None
    duress: str | None = None
    duress_code: str | None = None
    """For duress "code". Secret."""
    clears_guards: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """One thing that is asked before somebody may come in."""

    check: str
    holds: bool
    says: str


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

    @property
    def is_decision(self) -> bool:
        """Whether it tells a decision; one with which somebody called for help says so by its kind."""
        return self.kind in DECISIONS


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody sees who stands across the street: no people, no faces, no reasons."""

    version: str
    is_released: bool
    is_open: bool | None
    """What the door's sensors say, here and below; None where nothing is known. A door that has no such
    sensor says False: only whoever wired it knows."""
    is_forced: bool | None
    is_held_open: bool | None
    is_tampered: bool | None
    problems: list[str]
    """Of "camera", "vault", "lock", "face_off" and "tries"; empty while all is well."""
    uptime_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """An entry of the door log, as far as it is told to an observer: what systemd's journal holds too."""

    number: int
    """In the door log; 0 where it could not be written."""
    at: str
    """ISO 8601, UTC."""
    kind: str
    """"granted", "refused", "waiting" for a second factor or person, "alarm", "duress"."""
    code: str
    """As in docs/codes.md."""
    reason: str
    says: str
    name: str
    """Whom it speaks of, or empty; given only to whoever may hear names."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What spoke for and against somebody at some time."""

    name: str
    at: str
    """ISO 8601 in the door's zone."""
    is_welcome: bool
    """As far as their rules go: whether their face was recognised stands in the entries."""
    reason: str
    """Why they were not; empty where they were."""
    by_rules_of: str
    """"then" where the door log holds the rules of that time, "now" where it does not. Holidays, zone and
    what is asked of everybody are always today's."""
    rules: str
    questions: list[Question]
    changes_since: list[Entry]
    entries: list[Entry]
    """What the door log holds of that time: about them, about nobody known, about the door."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """What became of a dispute."""

    number: int
    name: str
    at: str
    """When the unlock was."""
    is_guarded: bool
    says: str


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
class Scene:
    """What the camera shows right now, in words; a small picture travels beside it."""

    sequence: int
    """Counts scenes; frames that nobody was shown leave gaps."""
    face: list[float]
    """The largest face: left, top, width, height in parts of the picture; empty where there is none."""
    reason: str
    """A `Reason` value, "wait", "good", "another_person" or "duplicate_view"; empty while nobody is there."""
    hint: str
    steady: float
    """During an enrolment: how much of the time that a pose is to be held is over, 0..1."""
    taken: bool
    """Whether this frame's pose became a sample."""
    covered: list[str]
    """Sides (and looks) that have a sample by now: "front", "left with glasses"."""
    samples: int
    wanted: int


@dataclass(frozen=True, slots=True)
class Review:
    """What is to be said of an enrolment's samples before they are stored."""

    name: str
    samples: int
    wanted: int
    covered: list[str]
    light: list[str]
    """"dim", "even", "bright": what there is among the samples."""
    threshold: float | None
    """The door's, today. None, like every score, for whoever may not be told scores."""
    nearest: str
    """The most similar other person, or empty."""
    nearest_score: float | None
    looks_alike: bool
    """The door would take this face for that person: it cannot be enrolled as it is."""
    is_near: bool
    """It nearly would."""
    found_again: int
    """How many of the samples the door would recognise by the others alone."""
    own_miss_low: float
    """95 % interval of the part of such views that would be missed."""
    own_miss_high: float
    miss_rate: float | None
    """Which part of the model's measured genuine comparisons, of one sample with one picture, lies below the
    threshold; None where the model has no such figures."""
    miss_low: float
    miss_high: float
    genuine_comparisons: int
    advice: list[str]
    keeps_crops: bool = False
    """Sealed pictures of the face are stored with the samples."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `janusctl doctor`."""

    check: str
    verdict: str
    """"ok", "warn" or "fail"."""
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one stage took, of so many times."""

    stage: str
    median_ms: float
    p95_ms: float
    count: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a door measured of itself, on its own camera and its own networks."""

    seconds: float
    frames: int
    """How many the stages were timed on; the camera gave more where they take longer than a frame."""
    faces: int
    """In how many of them a face was found. In the others one was assumed in the middle."""
    camera: str
    width_px: int
    height_px: int
    detector: str
    encoder: str
    accelerator: str
    templates: int
    """How many samples each face was compared with."""
    stages: list[Timing]
    """In their order: camera, idle gate, the networks, policy, and "frame to decision" for all but the
    camera and the gate."""


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


class Steward(Protocol):
    """What an owner may do to people who are enrolled, and ask about them. All may take a second."""

    def set_terms(self, name: str, change: TermsChange) -> Person:
        """Change on what terms somebody may come in. Raises PersonNotFound, EnrolmentRefused."""
        ...

    def rename(self, name: str, to: str) -> Person:
        """Call somebody by another name. Raises PersonNotFound, PersonExists, EnrolmentRefused."""
        ...

    def suspend(self, name: str, is_suspended: bool) -> Person:
        """Let somebody in no more, or again. Raises PersonNotFound, EnrolmentRefused for the only owner."""
        ...

    def explain(self, name: str, at: str) -> Explanation:
        """What spoke for and against somebody at a time (ISO 8601 with its zone; empty for now)."""
        ...

    def dispute(self, number: int) -> Dispute:
        """That an unlock was not of whom it names. Raises OwnerError for an entry that is no unlock."""
        ...

    def confirm(self, name: str) -> None:
        """Give the word for somebody whose second factor that is. Raises OwnerError for everybody else."""
        ...


class Door(Protocol):
    """A running door."""

    @property
    def steward(self) -> Steward:
        """Who looks after its people's rules."""
        ...

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

    def begin_reinforcement(self, name: str) -> str:
        """Open the door's one enrolment to add samples to somebody who is enrolled; its token.

        Raises EnrolmentBusy, PersonNotFound.
        """
        ...

    def set_enrolment_terms(self, token: str, change: TermsChange) -> None:
        """On what terms whoever is being enrolled may come in, from the moment they are stored.

        Raises EnrolmentRefused for terms that cannot be, and where samples are added to somebody enrolled.
        """
        ...

    def guide_enrolment(
        self, token: str, side: str, look: str, timeout_s: float
    ) -> "tuple[Scene, Image | None]":
        """Ask for that side of the face ("front", "left", "right", "up" or "down"), and show the next frame.

        A sample is taken by itself once the pose was held for half a second. Waits for a frame up to
        `timeout_s`; without one the scene says so, and there is no picture.
        """
        ...

    def review_enrolment(self, token: str) -> Review:
        """What is to be said of the samples before they are stored."""
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

    def snapshot(self, number: int) -> bytes:
        """The JPEG kept of a refusal, by its entry in the door log. Raises OwnerError without one."""
        ...

    def log_checkpoint(self) -> str:
        """What an owner carries away to check all later entries with; see `core.forward`."""
        ...

    def doctor(self) -> list[Finding]:
        """Check what can be checked from inside. May take a second."""
        ...

    def measure(self, seconds: float) -> Measurement:
        """Time every stage on what the camera shows now, for so many seconds; the door goes on meanwhile.

        Raises OwnerError while another measurement runs, and where the camera gives no frame.
        """
        ...

    def view(self, listener: "Callable[[Scene, Image], None]") -> Callable[[], None]:
        """Call `listener` on each frame, from the vision thread; the returned function ends that."""
        ...

    def sight(self) -> Sight:
        """What an observer may see. Quick."""
        ...

    def follow(self, listener: Callable[[Told], None]) -> Callable[[], None]:
        """Call `listener` on what is told, from whatever thread; the returned function ends that."""
        ...

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` on each decision, from the vision thread; the returned function ends that."""
        ...
