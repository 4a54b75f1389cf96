"""The loop that watches a door, and what may be asked of it while it runs.

One thread sees: camera, idle gate, pipeline, policy, journal, latch, in this order for each frame. Any
other thread may ask. What both touch is either swapped whole (`Rules`) or guarded by one of two locks:
`_networks` for inference, `_deciding` for a decision and its act, so that nobody forgotten is let in by a
frame in flight.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import Empty, Full, Queue

import msgspec

from janusd import __version__, doctor, journald
from janusd.caretaking import VaultCaretaker
from janusd.config import Config
from janusd.core import limiter, manifest, policy
from janusd.core.gallery import Gallery
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Decision, Frame, Image
from janusd.door import Entry, Event, Exported, Feedback, Finding, Person, Status
from janusd.enrolment import Enrolment
from janusd.errors import (
    CameraError,
    EnrolmentBusy,
    EnrolmentRefused,
    InstallerError,
    JanusError,
    LatchError,
    PersonExists,
)
from janusd.escape import escape
from janusd.gate import IdleGate
from janusd.journal import Journal
from janusd.ledger import Ledger
from janusd.pipeline import Pipeline, Probe
from janusd.ports import Camera, Clock, KeySource, Latch
from janusd.rules import Rules
from janusd.vault.keeper import Keeper
from janusd.vault.keys import what_it_stops
from janusd.vault.names import check_name, name_key
from janusd.vault.parcel import Identity

log = logging.getLogger("janusd")

_NOTEWORTHY = frozenset(
    {
        Reason.MATCHED,
        Reason.UNKNOWN,
        Reason.AMBIGUOUS,
        Reason.TWO_FACES,
        Reason.NOT_NOW,
        Reason.CLOCK_UNTRUSTED,
        Reason.STEP_AWAY,
        Reason.LOCKED_OUT,
        Reason.FACE_OFF,
    }
)
_REPEAT_AFTER_S = 10.0
"""The door log holds one line for a reason that lasts, not one a frame."""
_CAMERA_BACK_OFF_S = 1.0
_CAMERA_BACK_OFF_MAX_S = 30.0
_BEAT_S = 0.5
_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_LOCK_IS_FAULTY = "I know you, but the lock does not answer: use your key, and tell the owner."
_SAME_PERSON_FMR = 1e-3
"""Samples of one enrolment must match each other at this rate: looser than the door, since they come
from one sitting and the worst that can follow is a sample too few."""


@dataclass(slots=True)
class _OpenEnrolment:
    token: str
    enrolment: Enrolment
    probes: Queue[Probe] | None = None
    """Set once live frames were asked for: from then on the camera serves the enrolment, not the door."""


class DoorService:
    """One door. Fulfils `janusd.door.Door`."""

    def __init__(
        self,
        *,
        config: Config,
        pipeline: Pipeline,
        open_camera: Callable[[], Camera],
        latch: Latch,
        vault: Keeper,
        identity: Identity,
        journal: Journal,
        ledger: Ledger,
        key_source: KeySource,
        clock: Clock,
        model_signed_by: str = "",
    ) -> None:
        self._started_with = self._config = config
        self._pipeline = pipeline
        self._open_camera = open_camera
        self._latch = latch
        self._vault = vault
        self._journal = journal
        self._ledger = ledger
        self._key_source = key_source
        self._clock = clock
        self._model_signed_by = model_signed_by
        self._gate = _gate(config)
        self._state = policy.State(limits=limiter.resume(ledger.tally, clock.monotonic_s()))
        self._rules = self._make_rules()
        self._networks = threading.Lock()
        self._deciding = threading.Lock()
        self._enrolling = threading.Lock()
        self._open: _OpenEnrolment | None = None
        self._listeners: list[Callable[[Event], None]] = []
        self._stopping = threading.Event()
        self._camera: Camera | None = None
        self._fault = ""
        self._latch_fault = ""
        self._ledger_fault = ""
        self._keeps_house_s = -math.inf
        self._started_s = clock.monotonic_s()
        self._beat_s = self._started_s
        self._frame_s = -math.inf
        self._noted: tuple[str, str | None, float] = ("", None, -math.inf)
        encoder = bytes.fromhex(pipeline.spec.sha256)
        self.caretaker = VaultCaretaker(vault, identity, encoder, self._replace_rules, self._note)
        self._counts = {"frames": 0, "idle": 0, "unlocks": 0, "refusals": 0}

    # The loop

    def run(self) -> None:
        """Watch the door until `stop`. Raises nothing a camera can cause: it is reopened, later and later."""
        self._note("started", note=f"janusd {__version__}, {self._pipeline.spec.name}")
        if self._vault.fault:
            self._note("alarm", "vault", note=self._vault.fault)
        back_off_s = _CAMERA_BACK_OFF_S
        try:
            while not self._stopping.is_set():
                try:
                    with closing(self._open_camera()) as camera:
                        self._camera = camera
                        for frame in camera.frames():
                            if self._stopping.is_set():
                                break
                            self._fault, back_off_s = "", _CAMERA_BACK_OFF_S
                            self._see(frame)
                    if not self._stopping.is_set():  # a replay came to its end: the door has nothing to watch
                        self._fault = "the replay ended"
                        self._pause(math.inf)
                except CameraError as error:
                    self._report_fault(error)
                    self._pause(back_off_s)
                    back_off_s = min(2 * back_off_s, _CAMERA_BACK_OFF_MAX_S)
        finally:
            self._camera = None
            self._latch.lock()
            now_s = self._frame_s if math.isfinite(self._frame_s) else self._clock.monotonic_s()
            tally = limiter.settled(self._state.limits, now_s)
            if tally != self._ledger.tally:
                self._write_down(tally)
            self._note("stopped")

    def stop(self) -> None:
        """End `run` after its current frame. The latch is locked before `run` returns."""
        self._stopping.set()
        if self._camera is not None:
            self._camera.close()

    @property
    def silent_s(self) -> float:
        """For how long the loop has not come round: the watchdog's measure of a hang."""
        return self._clock.monotonic_s() - self._beat_s

    def _pause(self, seconds: float) -> None:
        """Wait, or until `stop`; a door that waits for its camera is not hung."""
        while seconds > 0 and not self._stopping.wait(min(seconds, _BEAT_S)):
            seconds -= _BEAT_S
            self._beat_s = self._clock.monotonic_s()

    def _see(self, frame: Frame) -> None:
        self._beat_s = self._clock.monotonic_s()
        self._frame_s = frame.captured_s
        self._watch_latch()
        self._keep_house()
        self._counts["frames"] += 1
        if self._serves_enrolment(frame):
            return
        if self._config.idle.gate and not self._gate.is_open(frame):
            self._counts["idle"] += 1
            return
        with self._networks:
            evidence, probe = self._pipeline.evidence(frame, self._rules.gallery)
        if probe.face is not None:
            self._gate.hold_open(frame.captured_s)
        with self._deciding:
            rules = self._rules  # as it is now: somebody may have been forgotten meanwhile
            before, self._state = self._state, policy.admit(rules.policy, self._state, evidence)
            if self._state.limits.is_charged and not before.limits.is_charged:
                self._write_down(self._state.limits.tally)  # before the verdict: see `ledger`
            charged = self._state.limits
            self._state, decision = policy.judge(
                rules.policy, rules.gallery, self._state, evidence, self._clock.wall()
            )
            name = self._name_of(decision, rules.gallery)
            is_done = self._act(decision, name)
            if self._state.limits.tally.spent < charged.tally.spent:
                self._write_down(self._state.limits.tally)
        self._publish(frame, decision, name, probe, is_done)

    def _act(self, decision: Decision, name: str) -> bool:
        """Write the decision down, then do it: an unlock that cannot be told later must not come first.

        Gives whether the lock did as decided.
        """
        self._count_and_note(decision, name)
        if not decision.unlocks:
            return True
        try:
            self._latch.release(decision.hold_s, f"{decision.reason} {name}")
        except LatchError as error:
            self._state = policy.State(limits=self._state.limits)
            self._report_fault(error)
            return False
        return True

    def _write_down(self, tally: limiter.Tally) -> None:
        """Keep the tally of tries on disk. Where the disk will not, it is kept in memory, and said once."""
        try:
            self._ledger.write(tally)
            fault = ""
        except InstallerError as error:
            fault = str(error)
        if fault and fault != self._ledger_fault:
            self._note("fault", note=fault)
        self._ledger_fault = fault

    def _keep_house(self) -> None:
        """Drop what the door log need not keep, once a day, while the date is to be believed."""
        now_s = self._clock.monotonic_s()
        if now_s < self._keeps_house_s:
            return
        wall = self._clock.wall()
        self._keeps_house_s = now_s + (_DAY_S if wall else _HOUR_S)
        if wall is None:
            return
        try:
            dropped = self._journal.prune(wall - timedelta(days=self._config.log.keep_days))
        except (JanusError, OSError) as error:
            log.error("old entries of the door log cannot be dropped: %s", error)
            return
        if dropped:
            self._note("pruned", note=f"{dropped} entries older than {self._config.log.keep_days} days")

    def _watch_latch(self) -> None:
        """Write down when something begins or ceases to be wrong with the lock, or with the door on it."""
        fault = self._latch.fault
        if fault != self._latch_fault:
            self._latch_fault = fault
            self._note("fault", note=fault or "the lock is well again")

    def _count_and_note(self, decision: Decision, name: str) -> None:
        if decision.reason not in _NOTEWORTHY:
            return
        reason, person_id, noted_s = self._noted
        lasts = (reason, person_id) == (decision.reason, decision.person_id)
        if not decision.unlocks and lasts and decision.captured_s - noted_s < _REPEAT_AFTER_S:
            return
        self._noted = (decision.reason, decision.person_id, decision.captured_s)
        self._counts["unlocks" if decision.unlocks else "refusals"] += 1
        self._note(
            "decision",
            decision.reason,
            person_id=decision.person_id or "",
            name=name,
            note=_coarse(decision.score),
        )

    def _name_of(self, decision: Decision, gallery: Gallery) -> str:
        template = gallery.person(decision.person_id) if decision.person_id else None
        return template.name if template else ""

    def _publish(self, frame: Frame, decision: Decision, name: str, probe: Probe, is_done: bool) -> None:
        if not self._listeners:
            return
        event = Event(
            at=_now(),
            sequence=frame.sequence,
            reason=decision.reason.value,
            unlocks=decision.unlocks and is_done,
            name=name,
            score=None if decision.score is None else round(decision.score, 2),
            hint=decision.reason.hint if is_done else _LOCK_IS_FAULTY,
            stage_ms={stage: round(ms, 2) for stage, ms in probe.stage_ms.items()},
        )
        for listener in tuple(self._listeners):
            listener(event)

    def _report_fault(self, error: JanusError) -> None:
        if self._fault != error.what:  # once, not at each retry
            self._note("fault", note=str(error))
        self._fault = error.what

    def _note(
        self, kind: str, reason: str = "", *, person_id: str = "", name: str = "", note: str = ""
    ) -> None:
        """Write a line to the door log and to the service's log. A full disk must not stop the door."""
        number, tag = 0, b""
        try:
            number = self._journal.append(kind, reason, person_id=person_id, name=name, note=note).number
            tag = self._journal.newest_tag
        except (JanusError, OSError) as error:
            log.error("the door log cannot be written: %s", error)
        # systemd's journal lies in the clear: it gets no names. Elsewhere this is a developer's terminal.
        if not (journald.is_there() and journald.tell(kind, reason, number, tag)):
            log.info("%s %s %s %s", kind, reason or "-", escape(name) or "-", escape(note, 200) or "-")

    # What may be asked

    def status(self) -> Status:
        """How the door is right now."""
        rules, now_s = self._rules, self._clock.monotonic_s()
        locked_out_for_s = max(0.0, self._state.limits.locked_until_s - self._frame_s)
        return Status(
            version=__version__,
            state=self._state_in_words(locked_out_for_s),
            people=len(rules.gallery),
            templates=len(rules.gallery.owner),
            is_released=self._latch.is_released,
            camera=self._camera.name if self._camera else "none",
            latch=self._latch.name,
            detector=self._pipeline.detector.name,
            encoder=self._pipeline.spec.name,
            accelerator=self._pipeline.encoder.accelerator,
            key_source=self._key_source.name,
            threshold=round(rules.policy.threshold, 3),
            promise=rules.promise_in_words,
            frames=self._counts["frames"],
            idle_frames=self._counts["idle"],
            unlocks=self._counts["unlocks"],
            refusals=self._counts["refusals"],
            uptime_s=round(now_s - self._started_s, 1),
            locked_out_for_s=round(locked_out_for_s, 1) if math.isfinite(locked_out_for_s) else 0.0,
        )

    def people(self) -> list[Person]:
        """Who is enrolled, by name."""
        return [
            Person(stored.name, stored.enrolled_at, stored.samples, stored.hours)
            for stored in self._vault.people()
        ]

    def begin_enrolment(self, name: str, hours: str) -> str:
        """Open the door's one enrolment; see `Door`."""
        name = check_name(name)
        try:
            schedule = Schedule.parse(hours)
        except ValueError as error:
            raise EnrolmentRefused(str(error)) from error
        if any(name_key(person.name) == name_key(name) for person in self.people()):
            raise PersonExists(f"{name} is enrolled already", "forget them first, or choose another name")
        with self._enrolling:
            if self._open is not None:
                raise EnrolmentBusy(f"{self._open.enrolment.name} is being enrolled", "try again when done")
            same_person = manifest.operating_point(self._pipeline.spec.calibration, _SAME_PERSON_FMR)
            wanted = self._config.enrolment
            enrolment = Enrolment(name, schedule, hours, wanted.samples, wanted.least, same_person.threshold)
            self._open = _OpenEnrolment(secrets.token_urlsafe(16), enrolment)
            return self._open.token

    def add_image(self, token: str, image: Image) -> Feedback:
        """Offer a picture as a sample."""
        opened = self._opened(token)
        with self._networks:
            probe = self._pipeline.probe(image)
        return opened.enrolment.offer(probe)

    def add_live(self, token: str, timeout_s: float) -> Feedback:
        """Offer camera frames until one is taken or the time is up; the last feedback says why."""
        opened = self._opened(token)
        if opened.probes is None:
            opened.probes = Queue(maxsize=1)
        end_s = time.monotonic() + timeout_s
        feedback = opened.enrolment.offer(Probe(reason=Reason.NO_FACE))
        while not feedback.accepted and (remaining_s := end_s - time.monotonic()) > 0:
            with suppress(Empty):
                feedback = opened.enrolment.offer(opened.probes.get(timeout=min(remaining_s, _BEAT_S)))
            self._opened(token)  # raises when it was abandoned meanwhile
        return feedback

    def commit_enrolment(self, token: str) -> Person:
        """Store the samples as one person, durably."""
        opened = self._opened(token)
        rules = self._rules
        embeddings = opened.enrolment.finish(rules.gallery, rules.policy.threshold)
        stored = self._vault.add(opened.enrolment.name, embeddings, opened.enrolment.hours)
        self._replace_rules()
        self.abandon_enrolment(token)
        self._note("enrolled", name=stored.name, note=f"{stored.samples} samples")
        return Person(stored.name, stored.enrolled_at, stored.samples, stored.hours)

    def abandon_enrolment(self, token: str) -> None:
        """Drop the samples. Does nothing for a token that is no longer open."""
        with self._enrolling:
            if self._open is not None and secrets.compare_digest(self._open.token, token):
                self._open = None

    def forget(self, name: str) -> None:
        """Remove a person from memory and disk before returning."""
        known_as = next((p.name for p in self.people() if name_key(p.name) == name_key(name)), name)
        try:
            self._vault.forget(name)
        finally:  # even where the disk would not erase: whoever is gone from the vault must not match
            self._replace_rules()
        self._note("forgot", name=known_as)

    def unlock_face(self) -> None:
        """Forgive all failed tries: face unlock is on again, and no wait is left."""
        with self._deciding:
            self._ledger.write(limiter.Tally())
            self._state = policy.State(
                released_for=self._state.released_for, released_until_s=self._state.released_until_s
            )
        self._note("face_on")

    def log(self, since: str, limit: int) -> list[Entry]:
        """Entries of the door log, oldest first."""
        return self._journal.entries(since=since, limit=limit)

    def export_log(self, after: int, limit: int) -> list[Exported]:
        """Entries after that number with their tags, oldest first."""
        exported = []
        for line in self._journal.lines(after, limit):
            at, kind, reason, name, note, person_id = line.texts
            exported.append(
                Exported(line.number, line.at_us, at, kind, reason, name, note, person_id, line.tag.hex())
            )
        return exported

    def verify_log(self) -> int:
        """Check every kept entry; the last one's number."""
        return self._journal.verify()

    def log_checkpoint(self) -> str:
        """What an owner carries away to check all later entries with. That it was given is in the log."""
        self._note("checkpoint")
        return str(self._journal.checkpoint())

    def doctor(self) -> list[Finding]:
        """Check what can be checked from inside."""
        status = self.status()
        return doctor.examine(
            camera=status.camera if self._has_seen else (self._fault or "no frame yet"),
            has_seen=self._has_seen,
            latch=self._latch.fault or self._latch.name,
            is_latch_well=not self._latch.fault,
            key_source=self._key_source.name,
            key_stops=what_it_stops(self._key_source),
            vault=(self._vault.fault, self._vault.remedy),
            encoder=f"{self._pipeline.spec.name} version {self._pipeline.spec.version}",
            model_signed_by=self._model_signed_by,
            rules=self._rules,
            stale_people=len(self._vault.stale_people()),
            clock=self._clock,
            is_face_off=self._state.limits.is_off,
            ledger_fault=self._ledger_fault,
            journal=self._journal,
        )

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` on each decision; the returned function ends that."""
        self._listeners = [*self._listeners, listener]

        def unsubscribe() -> None:
            self._listeners = [kept for kept in self._listeners if kept is not listener]

        return unsubscribe

    def close(self) -> None:
        """Lock the latch for good and let go of the files. To be called after `run` has returned."""
        self._latch.close()
        self._vault.close()
        self._journal.close()
        self._ledger.close()

    def reload(self, config: Config) -> list[str]:
        """Take over what can change while running; give the sections that need a restart."""
        running = self._started_with
        fixed = [
            section
            for section in ("camera", "vault", "control", "model")
            if getattr(config, section) != getattr(running, section)
        ]
        if msgspec.structs.replace(config.latch, hold_s=running.latch.hold_s) != running.latch:
            fixed.append("latch")
        self._config = config
        self._gate = _gate(config)
        self._replace_rules()
        self._note("reloaded", note=f"restart for: {', '.join(fixed)}" if fixed else "")
        return fixed

    # Inside

    def _serves_enrolment(self, frame: Frame) -> bool:
        opened = self._open
        if opened is None or opened.probes is None:
            return False
        with self._networks:
            probe = self._pipeline.probe(frame.image)
        with suppress(Full):
            opened.probes.put_nowait(probe)
        return True

    def _opened(self, token: str) -> _OpenEnrolment:
        opened = self._open
        if opened is None or not secrets.compare_digest(opened.token, token):
            raise EnrolmentRefused("this enrolment is no longer open", "begin again")
        return opened

    def _make_rules(self) -> Rules:
        return Rules.make(self._config, self._vault.templates(), self._pipeline.spec.calibration)

    def _replace_rules(self) -> None:
        rules = self._make_rules()
        with self._deciding:
            self._rules = rules

    def _state_in_words(self, locked_out_for_s: float) -> str:
        opened = self._open
        if self._stopping.is_set():
            return "stopping"
        if fault := self._vault.fault or self._fault or self._latch.fault:
            return f"fault: {fault}"
        if opened is not None and opened.probes is not None:
            return "enrolling"
        if self._state.limits.is_off:
            return "face off"
        return "locked out" if locked_out_for_s > 0 else "watching"

    @property
    def _has_seen(self) -> bool:
        """Whether the camera gives frames."""
        return math.isfinite(self._frame_s) and not self._fault


def _gate(config: Config) -> IdleGate:
    return IdleGate(linger_s=config.idle.linger_s)


def _coarse(score: float | None) -> str:
    """Give a score in steps of a tenth: enough to see a pattern, too little to climb by."""
    return "" if score is None else f"score {math.floor(score * 10) / 10:.1f}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
