"""A `Door` without camera, networks or vault. It remembers what was asked of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from janusd.core import forward
from janusd.core.forward import Checkpoint
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Image
from janusd.door import (
    Caretaker,
    Dispute,
    Entry,
    Event,
    Explanation,
    Exported,
    Feedback,
    Finding,
    Measurement,
    Person,
    Question,
    Review,
    Scene,
    Sight,
    Status,
    Steward,
    TermsChange,
    Timing,
    Told,
    VaultStatus,
)
from janusd.errors import EnrolmentBusy, EnrolmentRefused, OwnerError, PersonExists, PersonNotFound

HINTS = {
    "good": "Good.",
    "another_person": "This looks like somebody else than before.",
    "duplicate_view": "Turn your head a little.",
    **{reason.value: reason.hint for reason in Reason},
}

STATUS = Status(
    version="0.1.0",
    state="watching",
    people=2,
    templates=9,
    is_released=False,
    camera="replay street",
    latch="simulated",
    detector="janus-d1 1",
    encoder="janus-s112",
    accelerator="ai-edge-litert, 1 thread",
    key_source="key file",
    threshold=0.412,
    promise="one false unlock in 10 years with 2 people and 200 tries a day",
    frames=12345,
    idle_frames=11800,
    unlocks=17,
    refusals=4,
    uptime_s=93784.0,
    locked_out_for_s=0.0,
)

WELL = [
    Finding("camera", "ok", "640 x 480 at 29.8 frames a second", ""),
    Finding("model", "ok", "janus-s112 is the released one", ""),
    Finding("key", "warn", "the key is a file on this disk", "seal it to the board: janusctl setup"),
]
ILL = [*WELL, Finding("clock", "fail", "never set since boot", "start systemd-timesyncd")]

ENTRIES = [
    Entry(1, "2026-11-21T06:58:00+00:00", "started", "", "", "janusd 0.1.0"),
    Entry(2, "2026-11-21T07:02:11+00:00", "enrolled", "", "Anna Berg", "5 samples"),
    Entry(3, "2026-11-21T07:14:40+00:00", "decision", "matched", "Anna Berg", ""),
    Entry(4, "2026-11-21T09:31:05+00:00", "decision", "unknown", "", ""),
    Entry(5, "2026-11-21T09:40:00+00:00", "fault", "", "", "the camera went away"),
]

CHECKPOINT = Checkpoint(b"j" * 16, 0, b"k" * 32)
"""From before the first of them."""

EVENT = Event(
    at="2026-11-21T07:14:40.120+00:00",
    sequence=512,
    reason="matched",
    unlocks=True,
    name="Anna Berg",
    score=0.74,
    hint="Welcome.",
    stage_ms={"detect": 21.4, "align": 0.6, "embed": 12.9, "match": 0.1},
)


SIGHT = Sight("0.1.0", False, False, False, False, False, [], 93784.0)
GRANTED = Told(
    3, "2026-11-21T07:14:40.120+00:00", "granted", "JANUS-DECISION-MATCHED", "matched",
    "enough agreeing frames matched this person", "Anna Berg",
)  # fmt: skip
REFUSED = Told(
    4, "2026-11-21T09:31:05.000+00:00", "refused", "JANUS-DECISION-UNKNOWN", "unknown",
    "nobody enrolled is similar enough", "",
)  # fmt: skip

MEASURED = Measurement(
    seconds=5.0, frames=48, faces=12, camera="replay street", width_px=640, height_px=480,
    detector="janus-d1 1",
    encoder="janus-r9", accelerator="cpu/xnnpack", templates=9,
    stages=[
        Timing("camera: frame to frame", 100.0, 104.0, 49), Timing("detect", 21.4, 30.2, 48),
        Timing("embed", 12.9, 14.0, 48), Timing("frame to decision", 35.1, 45.9, 48),
    ],
)  # fmt: skip

REVIEW = Review(
    name="", samples=0, wanted=5, covered=["front"], light=["even"], threshold=0.58, nearest="Anna Berg",
    nearest_score=0.21, looks_alike=False, is_near=False, found_again=5, own_miss_low=0.0, own_miss_high=0.43,
    miss_rate=0.41, miss_low=0.24, miss_high=0.51, genuine_comparisons=20874,
    advice=["All samples are from one light. Come back at dusk."],
)  # fmt: skip


@dataclass
class Open:
    """The enrolment under way."""

    token: str
    person: Person
    pictures: list[bytes]


class FakeCaretaker:
    """Looks after no vault. It remembers what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def show(self) -> VaultStatus:
        return VaultStatus("", 7, "key file", "marked", ["vault-0007"], [], "ab" * 32, "cd" * 32)

    def back_up(self) -> str:
        self.asked.append(("back_up",))
        return "vault-0007"

    def restore(self, name: str, accept_older: bool) -> str:
        self.asked.append(("restore", name, str(accept_older)))
        return name or "vault-0007"

    def rekey(self) -> None:
        self.asked.append(("rekey",))

    def renew(self) -> None:
        self.asked.append(("renew",))

    def export_people(self, passphrase: str, to: str) -> str:
        self.asked.append(("export_people", to))
        return "cGFyY2Vs"

    def import_people(self, parcel: str, passphrase: str, signed_by: str) -> list[Person]:
        self.asked.append(("import_people", parcel, signed_by))
        return []


class FakeSteward:
    """Looks after the rules of a fake door's people. It remembers what was asked of it."""

    def __init__(self, door: FakeDoor) -> None:
        self._door = door
        self.asked: list[tuple[object, ...]] = []

    def set_terms(self, name: str, change: TermsChange) -> Person:
        self.asked.append(("set_terms", name, change))
        given = {
            key: getattr(change, key)
            for key in ("hours", "role", "valid_from", "valid_until", "second", "needs_two")
            if getattr(change, key) is not None
        }
        return self._keep(replace(self._person(name), **given))

    def rename(self, name: str, to: str) -> Person:
        self.asked.append(("rename", name, to))
        person = self._person(name)
        del self._door.enrolled[name]
        return self._keep(replace(person, name=to))

    def suspend(self, name: str, is_suspended: bool) -> Person:
        self.asked.append(("suspend", name, is_suspended))
        return self._keep(replace(self._person(name), is_suspended=is_suspended))

    def explain(self, name: str, at: str) -> Explanation:
        self.asked.append(("explain", name, at))
        return Explanation(
            name=self._person(name).name,
            at=at or "2026-11-22T18:05:00+00:00",
            is_welcome=False,
            reason=Reason.NOT_NOW.explanation,
            by_rules_of="then",
            rules="role resident; hours mon-fri 08:00-18:00",
            questions=[Question("hours", False, "mon-fri 08:00-18:00; that was a Sunday")],
            changes_since=[],
            entries=self._door.entries[2:4],
        )

    def dispute(self, number: int) -> Dispute:
        self.asked.append(("dispute", number))
        return Dispute(number, "Anna Berg", ENTRIES[2].at, False, "nothing was kept of that try")

    def confirm(self, name: str) -> None:
        self.asked.append(("confirm", self._person(name).name))

    def _person(self, name: str) -> Person:
        if name not in self._door.enrolled:
            raise PersonNotFound(f"nobody called {name} is enrolled", "janusctl people lists who is")
        return self._door.enrolled[name]

    def _keep(self, person: Person) -> Person:
        self._door.enrolled[person.name] = person
        return person


class FakeDoor:
    """Fulfils `janusd.door.Door`. A picture's mean luma decides: dark, bright or good; twins count once."""

    least, wanted = 3, 5

    def __init__(self, people: Iterable[Person] = (), live: Iterable[str] = ()) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.caretaker: Caretaker = FakeCaretaker()
        self.steward: Steward = FakeSteward(self)
        self.enrolled = {person.name: person for person in people}
        self.current = STATUS
        self.entries = list(ENTRIES)
        self.findings = list(WELL)
        self.live = list(live)
        """What the next `add_live` calls say; beyond the end they wait for their time, or for abandonment."""
        self.open: Open | None = None
        self.abandoned = threading.Event()
        self.listeners: list[Callable[[Event], None]] = []
        self.followers: list[Callable[[Told], None]] = []
        self.seen = SIGHT
        self.viewers: list[Callable[[Scene, Image], None]] = []
        self.picture: Image = np.full((48, 64, 3), 90, np.uint8)
        self.review = REVIEW
        self.measured = MEASURED
        self.pause: threading.Event | None = None
        """While set and not `is_set()`, `doctor` waits for it."""
        self._lock = threading.Lock()

    def status(self) -> Status:
        self.asked.append(("status",))
        return replace(self.current, people=len(self.enrolled))

    def people(self) -> list[Person]:
        self.asked.append(("people",))
        return [self.enrolled[name] for name in sorted(self.enrolled)]

    def begin_enrolment(self, name: str, hours: str) -> str:
        self.asked.append(("begin", name, hours))
        with self._lock:
            if self.open is not None:
                raise EnrolmentBusy(f"{self.open.person.name} is being enrolled", "try again when done")
            if name in self.enrolled:
                raise PersonExists(f"{name} is enrolled already", "forget them first, or choose another name")
            try:
                Schedule.parse(hours)
            except ValueError as e:
                raise EnrolmentRefused(str(e)) from e
            self.abandoned.clear()
            person = Person(name, "2026-11-22T06:40:00+00:00", 0, hours)
            self.open = Open(f"token-{len(self.asked)}", person, [])
            return self.open.token

    def add_image(self, token: str, image: Image) -> Feedback:
        self.asked.append(("add_image", image.shape, image.dtype, tuple(int(v) for v in image[0, 0])))
        luma = float(np.mean(image))
        if luma < 40:
            return self._feedback(token, "too_dark")
        if luma > 220:
            return self._feedback(token, "too_bright")
        return self._feedback(token, "good", image.tobytes())

    def add_live(self, token: str, timeout_s: float) -> Feedback:
        self.asked.append(("add_live", timeout_s))
        if not self.live:
            self.abandoned.wait(timeout_s)
            return self._feedback(token, "no_face")
        return self._feedback(token, self.live.pop(0), str(len(self.live)).encode())

    def begin_reinforcement(self, name: str) -> str:
        self.asked.append(("reinforce", name))
        with self._lock:
            if name not in self.enrolled:
                raise PersonNotFound("nobody of that name is enrolled", "see janusctl people")
            self.abandoned.clear()
            self.open = Open(f"token-{len(self.asked)}", self.enrolled[name], [])
            return self.open.token

    def set_enrolment_terms(self, token: str, change: TermsChange) -> None:
        self.asked.append(("enrolment_terms", change))
        opened = self._opened(token)
        if change.role == "guest" and not change.valid_until:
            raise EnrolmentRefused("a guest needs a day until which they are welcome")
        given = {
            key: getattr(change, key)
            for key in ("hours", "role", "valid_from", "valid_until", "second", "needs_two")
            if getattr(change, key) is not None
        }
        opened.person = replace(opened.person, **given)

    def guide_enrolment(
        self, token: str, side: str, look: str, timeout_s: float
    ) -> tuple[Scene, Image | None]:
        self.asked.append(("guide", side, look, timeout_s))
        opened = self._opened(token)
        reason = self.live.pop(0) if self.live else "no_face"
        if not self.live and reason != "good":
            self.abandoned.wait(min(timeout_s, 0.05))
            self._opened(token)
        if reason == "good":
            opened.pictures.append(f"{side} {look}".strip().encode())
        covered = [picture.decode() for picture in opened.pictures]
        face = [0.4, 0.2, 0.2, 0.3] if reason != "no_face" else []
        scene = Scene(
            len(self.asked),
            face,
            reason,
            HINTS[reason],
            0.5,
            reason == "good",
            covered,
            len(covered),
            self.wanted,
        )
        return scene, self.picture

    def review_enrolment(self, token: str) -> Review:
        self.asked.append(("review",))
        opened = self._opened(token)
        return replace(self.review, name=opened.person.name, samples=len(opened.pictures))

    def view(self, listener: Callable[[Scene, Image], None]) -> Callable[[], None]:
        self.viewers.append(listener)
        return lambda: self.viewers.remove(listener)

    def commit_enrolment(self, token: str) -> Person:
        self.asked.append(("commit",))
        opened = self._opened(token)
        if len(opened.pictures) < self.least:
            raise EnrolmentRefused(
                f"{len(opened.pictures)} of at least {self.least} usable samples of {opened.person.name}",
                "add clear pictures of the face from slightly different sides",
            )
        person = replace(opened.person, samples=len(opened.pictures))
        self.enrolled[person.name] = person
        self.open = None
        return person

    def abandon_enrolment(self, token: str) -> None:
        self.asked.append(("abandon",))
        if self.open is not None and self.open.token == token:
            self.open = None
            self.abandoned.set()

    def forget(self, name: str) -> None:
        self.asked.append(("forget", name))
        if name not in self.enrolled:
            raise PersonNotFound(f"nobody called {name} is enrolled", "janusctl people lists who is")
        del self.enrolled[name]

    def unlock_face(self) -> None:
        self.asked.append(("unlock_face",))

    def log(self, since: str, limit: int) -> list[Entry]:
        self.asked.append(("log", since, limit))
        return [entry for entry in self.entries if entry.at >= since][-limit:]

    def export_log(self, after: int, limit: int) -> list[Exported]:
        self.asked.append(("export_log", after, limit))
        key, exported = CHECKPOINT.key, []
        for entry in self.entries:
            texts = (entry.at, entry.kind, entry.reason, entry.name, entry.note, "")
            tag = forward.tag(key, entry.number, 0, texts)
            exported.append(Exported(entry.number, 0, *texts, tag.hex()))
            key = forward.next_key(key)
        return [one for one in exported if one.number > after][:limit]

    def verify_log(self) -> int:
        self.asked.append(("verify_log",))
        return self.entries[-1].number

    def snapshot(self, number: int) -> bytes:
        self.asked.append(("snapshot", number))
        if number != 4:
            raise OwnerError(f"there is no snapshot of entry {number}", "they are kept of refusals")
        return b"\xff\xd8\xff a picture of somebody"

    def log_checkpoint(self) -> str:
        self.asked.append(("log_checkpoint",))
        return str(CHECKPOINT)

    def doctor(self) -> list[Finding]:
        self.asked.append(("doctor",))
        if self.pause is not None:
            self.pause.wait(10)
        return self.findings

    def measure(self, seconds: float) -> Measurement:
        self.asked.append(("measure", seconds))
        return replace(self.measured, seconds=seconds)

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def sight(self) -> Sight:
        return self.seen

    def follow(self, listener: Callable[[Told], None]) -> Callable[[], None]:
        self.followers.append(listener)
        return lambda: self.followers.remove(listener)

    def tell(self, *told: Told) -> None:
        """Tell observers as the door's notes would."""
        for one in told:
            for follower in tuple(self.followers):
                follower(one)

    def decide(self, event: Event = EVENT, times: int = 1) -> None:
        """Publish a decision as the vision thread would."""
        for _ in range(times):
            for listener in tuple(self.listeners):
                listener(event)

    def _opened(self, token: str) -> Open:
        if self.open is None or self.open.token != token:
            raise EnrolmentRefused("this enrolment is no longer open", "begin again")
        return self.open

    def _feedback(self, token: str, reason: str, picture: bytes = b"") -> Feedback:
        pictures = self._opened(token).pictures
        if reason == "good" and picture in pictures:
            reason = "duplicate_view"
        if reason == "good":
            pictures.append(picture)
        return Feedback(reason == "good", reason, HINTS[reason], len(pictures), self.wanted)
