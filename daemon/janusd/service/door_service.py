"""One door put together: what happens to each frame, and what may be asked while it runs.

One thread sees: camera, idle gate, pipeline, policy, journal, latch, in this order for each frame. Any
other thread may ask. The rooms beside this one each hold what they alone touch: `watching` the camera's
loop, `doorkeeper` decisions, `enrolling` the enrolment under way, `notes` what is written down. Inference is
guarded by `_networks`, a decision and its act by the doorkeeper's own lock.
"""

from __future__ import annotations

import math
import os
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from janusd import __version__
from janusd import config as configuration
from janusd.config import Config
from janusd.core import challenge, manifest
from janusd.core.challenge import Turn
from janusd.core.gallery import comparisons
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Crop, Embedding, Frame, Image
from janusd.door import (
    Entry,
    Event,
    Exported,
    Feedback,
    Finding,
    Measurement,
    Person,
    Review,
    Scene,
    Sight,
    Status,
    TermsChange,
    Told,
)
from janusd.enrolment import Enrolment
from janusd.errors import EnrolmentRefused, OwnerError, PersonExists, PersonNotFound
from janusd.journal import Journal
from janusd.journal.ledger import Ledger
from janusd.journal.snapshots import Snapshots
from janusd.language import Words, language_of, words
from janusd.pipeline import Pipeline, Probe
from janusd.ports import Camera, Clock, Contact, Doorway, Indicator, KeySource, Latch, Sign
from janusd.service import doctor
from janusd.service.caretaking import CropCare, VaultCaretaker
from janusd.service.doorkeeper import Doorkeeper, Verdict
from janusd.service.enrolling import EnrolmentDesk, scene_of
from janusd.service.measuring import Bench
from janusd.service.notes import Notes
from janusd.service.presence import Presence, Settings
from janusd.service.rules import Rules
from janusd.service.signboard import Signboard
from janusd.service.stewardship import Steward, changed_terms
from janusd.service.trigger import Trigger
from janusd.service.watching import Watch
from janusd.vault.keeper import Keeper
from janusd.vault.keys import what_it_stops
from janusd.vault.names import check_name, name_key
from janusd.vault.parcel import Identity
from janusd.vault.people import checked_hours, checked_terms, person_of
from janusd.vault.ring import Ring

LOCK_IS_FAULTY = "I know you, but the lock does not answer: use your key, and tell the owner."
_DICE = random.SystemRandom()
_SIGNS = {Turn.LEFT: Sign.TURN_LEFT, Turn.RIGHT: Sign.TURN_RIGHT, Turn.CENTRE: Sign.LOOK}
_SAME_PERSON_FMR = 1e-3
"""Samples of one enrolment must match each other at this rate: looser than the door, since they come
from one sitting and the worst that can follow is a sample too few."""


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
        drivers: Callable[[], list[Finding]] = list,
        indicator: Indicator | None = None,
        ring: Ring | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        """`drivers` gives what the drivers find wrong with themselves, for `doctor`."""
        self._started_with = self._config = config
        self._pipeline = pipeline
        self._latch = latch
        self._vault = vault
        self._journal = journal
        self._ledger = ledger
        self._key_source = key_source
        self._clock = clock
        self._model_signed_by = model_signed_by
        self._drivers = drivers
        self._snapshots = snapshots
        self._trigger = Trigger(config.idle)
        self._presence = self._make_presence()
        self._networks = threading.Lock()
        self._ruling = threading.Lock()
        self._bench = Bench(pipeline, self._networks, clock)
        self._notes = Notes(journal)
        self._watch = Watch(open_camera, clock, self._notes)
        self._started_s = clock.monotonic_s()
        self._doorkeeper = Doorkeeper(
            latch=latch,
            ledger=ledger,
            notes=self._notes,
            rules=self._make_rules(),
            now_s=self._started_s,
            report=self._watch.report,
        )
        self._signboard = Signboard(indicator, self._words())
        self._enrolling = EnrolmentDesk(self._probe, self._look, self._signboard.show)
        self._viewers: list[Callable[[Scene, Image], None]] = []
        self._listeners: list[Callable[[Event], None]] = []
        model = pipeline.model_digest
        care = CropCare(
            config.vault.keep_crops,
            config.enrolment.least,
            self._embed,
            f"{pipeline.spec.name} version {pipeline.spec.version}",
            self._watch.beat,
        )
        self.caretaker = VaultCaretaker(
            vault,
            identity,
            model,
            pipeline.spec.output.shape[-1],
            self._replace_rules,
            self._notes.write,
            care,
        )
        self.steward = Steward(
            keeper=vault,
            journal=journal,
            ring=ring,
            policy=lambda: self._doorkeeper.rules.policy,
            is_known=lambda person_id: self._doorkeeper.rules.gallery.person(person_id) is not None,
            refresh=self._replace_rules,
            confirm=lambda person_id: self._doorkeeper.confirm(person_id, self._clock.monotonic_s()),
            note=self._notes.write,
        )
        self._frames = self._idle_frames = 0

    # What happens to each frame

    def run(self) -> None:
        """Watch the door until `stop`. Raises nothing a camera can cause: it is reopened, later and later."""
        self._notes.write("started", note=f"janusd {__version__}, {self._pipeline.spec.name}")
        if self._vault.fault:
            self._notes.write("alarm", "vault", note=self._vault.fault)
        if self._ledger.alarm:
            self._notes.write("alarm", "tries", note=self._ledger.alarm)
        if self._journal.alarm:
            self._notes.write("alarm", "log", note=self._journal.alarm)
        for choice in configuration.insecure(self._config):
            self._notes.write("insecure", note=choice)
        self.caretaker.tend()
        try:
            self._watch.run(self._see)
        finally:
            seen_s = self._watch.frame_s
            self._doorkeeper.leave(seen_s if math.isfinite(seen_s) else self._clock.monotonic_s())
            self._notes.write("stopped")

    def stop(self) -> None:
        """End `run` after its current frame. The latch is locked before `run` returns."""
        self._watch.stop()

    def pull(self, name: str) -> None:
        """An input at the door became active: look at what comes next. From any thread; returns at once."""
        self._trigger.pull(name)

    def press(self, at_s: float) -> None:
        """The button for codes was pressed then. From any thread; returns at once."""
        self._doorkeeper.press(at_s)

    def tell(self, fault: str) -> None:
        """Write down what went wrong in a driver that goes on all the same."""
        self._notes.write("fault", note=fault)

    @property
    def silent_s(self) -> float:
        """For how long the loop has not come round: the watchdog's measure of a hang."""
        return self._watch.silent_s

    def _see(self, frame: Frame) -> None:
        self._doorkeeper.watch_latch()
        self._notes.keep_house(self._clock.monotonic_s(), self._clock.wall(), self._config.log.keep_days)
        disputes = self._config.disputes
        self.steward.keep_house(self._clock.monotonic_s(), disputes.keep_unlocks, disputes.keep_days)
        if self._snapshots is not None:
            days = self._config.log.snapshot_days if self._config.log.snapshots else 0
            self._snapshots.keep_house(self._clock.monotonic_s(), self._clock.wall(), days)
        self._frames += 1
        self._bench.see(frame)
        if self._enrolling.see(frame):
            return
        if not self._trigger.is_open(frame):
            self._idle_frames += 1
            self._signboard.show(Sign.IDLE)
            self._show(frame, None)
            return
        with self._networks:
            evidence, probe = self._pipeline.evidence(frame, self._doorkeeper.rules.gallery)
        if probe.face is not None:
            self._trigger.hold_open(frame.captured_s)
            self._watch.meter(probe.face.box_px)
        if self._presence is not None:
            evidence = self._presence.look(frame, probe, evidence, self._clock.monotonic_s())
        noted = self._notes.decision_number
        verdict = self._doorkeeper.decide(evidence, self._clock.wall())
        if self._notes.decision_number != noted and not verdict.decision.unlocks:
            self._keep_snapshot(frame)
        if verdict.number and verdict.is_done and probe.embedding is not None:
            self.steward.remember(
                verdict.number,
                verdict.decision.person_id or "",
                probe.embedding,
                self._config.disputes.keep_unlocks,
            )
        self._tell(frame, verdict)
        self._publish(frame, verdict, probe)
        self._show(frame, probe)

    def _keep_snapshot(self, frame: Frame) -> None:
        if self._snapshots is not None and self._config.log.snapshots:
            self._snapshots.keep(self._notes.decision_number, frame.image)

    def _tell(self, frame: Frame, verdict: Verdict) -> None:
        """Show what became of a frame; where turns are asked for, which one, beginning a challenge."""
        presence, reason = self._presence, verdict.decision.reason
        if presence is not None and reason is Reason.CHALLENGE:
            presence.challenge(_DICE.choice(challenge.ORDERS), frame.captured_s)
        asked = presence.asks if presence is not None else None
        if asked is None:
            self._signboard.tell(verdict.decision, _hint(verdict), is_done=verdict.is_done)
        else:
            self._signboard.show(_SIGNS[asked], reason.hint)

    def _embed(self, crop: Crop) -> Embedding:
        with self._networks:
            return self._pipeline.encode(crop)

    def _probe(self, image: Image) -> Probe:
        with self._networks:
            return self._pipeline.probe(image)

    def _look(self, frame: Frame) -> Probe:
        """A frame for an enrolment: what attack detection finds out is no sample either."""
        with self._networks:
            evidence, probe = self._pipeline.evidence(frame, self._doorkeeper.rules.gallery)
        if self._presence is None or probe.reason is not None:
            return probe
        evidence = self._presence.look(frame, probe, evidence, self._clock.monotonic_s())
        found = evidence.presentation.reason if evidence.presentation else None
        if evidence.presentation is not None and evidence.presentation.is_live:
            self._enrolling.stands_out()
        reason = evidence.refused or found
        return probe if reason is None else replace(probe, embedding=None, reason=reason)

    def _show(self, frame: Frame, probe: Probe | None) -> None:
        if self._viewers:
            scene = scene_of(frame, probe)
            for viewer in tuple(self._viewers):
                viewer(scene, frame.image)

    def _publish(self, frame: Frame, verdict: Verdict, probe: Probe) -> None:
        if not self._listeners:
            return
        decision = verdict.decision
        event = Event(
            at=_now(),
            sequence=frame.sequence,
            reason=decision.reason.value,
            unlocks=decision.unlocks and verdict.is_done,
            name=verdict.name,
            score=None if decision.score is None else round(decision.score, 2),
            hint=_hint(verdict),
            stage_ms={stage: round(ms, 2) for stage, ms in probe.stage_ms.items()},
        )
        for listener in tuple(self._listeners):
            listener(event)

    # What may be asked

    def status(self) -> Status:
        """How the door is right now."""
        rules, now_s = self._doorkeeper.rules, self._clock.monotonic_s()
        locked_out_for_s = max(0.0, self._doorkeeper.limits.locked_until_s - self._watch.frame_s)
        return Status(
            version=__version__,
            state=self._state_in_words(locked_out_for_s),
            people=len(rules.gallery),
            templates=rules.gallery.samples,
            is_released=self._latch.is_released,
            camera=self._watch.camera,
            latch=self._latch.name,
            detector=self._pipeline.detector.name,
            encoder=self._pipeline.spec.name,
            accelerator=self._pipeline.encoder.accelerator,
            key_source=self._key_source.name,
            threshold=round(rules.policy.threshold, 3),
            promise=rules.promise_in_words,
            frames=self._frames,
            idle_frames=self._idle_frames,
            unlocks=self._doorkeeper.unlocks,
            refusals=self._doorkeeper.refusals,
            uptime_s=round(now_s - self._started_s, 1),
            locked_out_for_s=round(locked_out_for_s, 1) if math.isfinite(locked_out_for_s) else 0.0,
        )

    def sight(self) -> Sight:
        """What an observer may see."""
        latch: object = self._latch
        contact = latch.contact if isinstance(latch, Doorway) else Contact(trouble=self._latch.fault)
        problems = {
            "camera": self._watch.fault,
            "vault": self._vault.fault,
            "lock": contact.trouble,
            "face_off": self._doorkeeper.limits.is_off,
            "tries": self._doorkeeper.ledger_fault,
        }
        return Sight(
            version=__version__,
            is_released=self._latch.is_released,
            is_open=contact.is_open,
            is_forced=contact.is_forced,
            is_held_open=contact.is_held_open,
            is_tampered=contact.is_tampered,
            problems=[problem for problem, is_so in problems.items() if is_so],
            uptime_s=round(self._clock.monotonic_s() - self._started_s, 1),
        )

    def people(self) -> list[Person]:
        """Who is enrolled, by name."""
        return [person_of(stored) for stored in self._vault.people()]

    def begin_enrolment(self, name: str, hours: str) -> str:
        """Open the door's one enrolment; see `Door`."""
        name = check_name(name)
        try:
            schedule = Schedule.parse(hours)
        except ValueError as error:
            raise EnrolmentRefused(str(error)) from error
        if any(name_key(person.name) == name_key(name) for person in self.people()):
            raise PersonExists(f"{name} is enrolled already", "forget them first, or choose another name")

        return self._enrolling.begin(lambda: self._new_enrolment(name, schedule, hours))

    def begin_reinforcement(self, name: str) -> str:
        """Open the door's one enrolment to add samples to somebody who is enrolled; see `Door`."""
        gallery = self._doorkeeper.rules.gallery
        template = next((t for t in gallery.templates if name_key(t.name) == name_key(name.strip())), None)
        if template is None:
            raise PersonNotFound(
                "nobody of that name is enrolled with the present model", "see janusctl people"
            )
        return self._enrolling.begin(
            lambda: replace(
                self._new_enrolment(template.name, template.schedule, ""),
                person_id=template.person_id,
                earlier=tuple(template.embeddings),
            )
        )

    def add_image(self, token: str, image: Image) -> Feedback:
        """Offer a picture as a sample."""
        return self._enrolling.add_image(token, image)

    def add_live(self, token: str, timeout_s: float) -> Feedback:
        """Offer camera frames until one is taken or the time is up; the last feedback says why."""
        return self._enrolling.add_live(token, timeout_s)

    def set_enrolment_terms(self, token: str, change: TermsChange) -> None:
        """On what terms whoever is being enrolled may come in, from the moment they are stored."""
        enrolment = self._enrolling.enrolment(token)
        if enrolment.person_id:
            raise EnrolmentRefused(
                f"{enrolment.name} keeps the terms they have", "change them with janusctl people set"
            )
        terms = checked_terms(changed_terms(enrolment.terms, change))
        if change.hours is not None:
            enrolment.hours = checked_hours(change.hours)
            enrolment.schedule = Schedule.parse(enrolment.hours)
        enrolment.terms = terms

    def guide_enrolment(
        self, token: str, side: str, look: str, timeout_s: float
    ) -> tuple[Scene, Image | None]:
        """Ask for a side of the face, and show the next frame; see `Door`."""
        return self._enrolling.guide(token, side, look, timeout_s)

    def review_enrolment(self, token: str) -> Review:
        """What is to be said of the samples before they are stored."""
        enrolment = self._enrolling.enrolment(token)
        return enrolment.review(
            self._doorkeeper.rules.gallery, self._threshold_with(enrolment), self._pipeline.spec.calibration
        )

    def commit_enrolment(self, token: str) -> Person:
        """Store the samples as one person, durably."""
        enrolment = self._enrolling.enrolment(token)
        rules = self._doorkeeper.rules
        embeddings = enrolment.finish(rules.gallery, rules.policy.threshold)
        if enrolment.person_id:
            stored = self._vault.add_samples(enrolment.person_id, embeddings, enrolment.crops)
        else:
            stored = self._vault.add(
                enrolment.name, embeddings, enrolment.hours, terms=enrolment.terms, crops=enrolment.crops
            )
        self._replace_rules()
        self._enrolling.abandon(token)
        self._signboard.show(Sign.DONE)
        more = f", {len(embeddings)} of them new" if enrolment.person_id else ""
        self._notes.write("enrolled", name=stored.name, note=f"{stored.samples} samples{more}")
        self.steward.note_terms(stored)
        return person_of(stored)

    def abandon_enrolment(self, token: str) -> None:
        """Drop the samples. Does nothing for a token that is no longer open."""
        self._enrolling.abandon(token)

    def forget(self, name: str) -> None:
        """Remove a person from memory and disk before returning."""
        wanted = name_key(name.strip())
        found = next((p for p in self._vault.people() if name_key(p.name) == wanted), None)
        try:
            self._vault.forget(name)
        finally:  # even where the disk would not erase: whoever is gone from the vault must not match
            self._replace_rules()
            if found is not None and all(p.person_id != found.person_id for p in self._vault.people()):
                self._notes.write("forgot", name=found.name)
                self.steward.forgotten(found.person_id)

    def unlock_face(self) -> None:
        """Forgive all failed tries: face unlock is on again, and no wait is left."""
        self._doorkeeper.forgive()
        self._notes.write("face_on")

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

    def snapshot(self, number: int) -> bytes:
        """The JPEG that was kept of a refusal. That it was looked at is in the log."""
        if self._snapshots is None:
            raise OwnerError(
                "this door keeps no snapshots", "set [log] snapshots = true, and ask who is seen"
            )
        jpeg = self._snapshots.show(number)
        self._notes.write("snapshot", note=f"entry {number}")
        return jpeg

    def log_checkpoint(self) -> str:
        """What an owner carries away to check all later entries with. That it was given is in the log."""
        self._notes.write("checkpoint")
        return str(self._journal.checkpoint())

    def doctor(self) -> list[Finding]:
        """Check what can be checked from inside."""
        status = self.status()
        found = doctor.examine(
            camera=status.camera if self._watch.has_seen else (self._watch.fault or "no frame yet"),
            has_seen=self._watch.has_seen,
            latch=self._latch.fault or self._latch.name,
            is_latch_well=not self._latch.fault,
            key_source=self._key_source.name,
            key_stops=what_it_stops(self._key_source),
            vault=(self._vault.fault, self._vault.remedy),
            encoder=f"{self._pipeline.spec.name} version {self._pipeline.spec.version}",
            model_signed_by=self._model_signed_by,
            rules=self._doorkeeper.rules,
            stale_people=len(self._vault.stale_people()),
            crops=(self._started_with.vault.keep_crops, self._vault.people_with_crops()),
            clock=self._clock,
            is_face_off=self._doorkeeper.limits.is_off,
            ledger_fault=self._doorkeeper.ledger_fault,
            journal=self._journal,
            trigger=str(self._trigger),
        )
        net = self._pipeline.attack_net
        name, shows_signs = net[1].name if net else "", self._signboard.is_there
        attacks = doctor.attack_detection(self._config.attack, name, shows_signs)
        return [*found, attacks, *self._drivers()]

    def measure(self, seconds: float) -> Measurement:
        """Time every stage on what the camera shows now; the door goes on meanwhile."""
        return self._bench.run(seconds, self._doorkeeper.rules, self._watch.camera)

    def view(self, listener: Callable[[Scene, Image], None]) -> Callable[[], None]:
        """Call `listener` on each frame; the returned function ends that."""
        self._viewers = [*self._viewers, listener]

        def leave() -> None:
            self._viewers = [kept for kept in self._viewers if kept is not listener]

        return leave

    def follow(self, listener: Callable[[Told], None]) -> Callable[[], None]:
        """Call `listener` on what is told; the returned function ends that."""
        return self._notes.follow(listener)

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
        self._trigger = Trigger(config.idle)
        self._presence = self._make_presence()
        self._signboard.words = self._words()
        self._replace_rules()
        self._notes.write("reloaded", note=f"restart for: {', '.join(fixed)}" if fixed else "")
        return fixed

    # Inside

    def _make_rules(self) -> Rules:
        return Rules.make(self._config, self._vault.templates(), self._pipeline.spec.calibration)

    def _words(self) -> Words:
        return words(self._config.signs.language or language_of(os.environ))

    def _make_presence(self) -> Presence | None:
        chosen, net = self._config.attack, self._pipeline.attack_net
        if chosen.level == "off":
            return None
        alike = manifest.operating_point(self._pipeline.spec.calibration, _SAME_PERSON_FMR).threshold
        return Presence(Settings(alike, nir=chosen.nir, passive=net[1].threshold if net else 0.5))

    def _new_enrolment(self, name: str, schedule: Schedule, hours: str) -> Enrolment:
        same_person = manifest.operating_point(self._pipeline.spec.calibration, _SAME_PERSON_FMR).threshold
        wanted, known = self._config.enrolment, self._doorkeeper.rules.policy.threshold
        return Enrolment(
            name,
            schedule,
            hours,
            wanted.samples,
            wanted.least,
            same_person,
            known,
            keeps_crops=self._started_with.vault.keep_crops,
            asks_depth=self._config.attack.level == "live",
        )

    def _threshold_with(self, enrolment: Enrolment) -> float:
        """The door's threshold once these samples are in the gallery: it rises with each person."""
        rules = self._doorkeeper.rules
        compared = rules.gallery.comparisons + comparisons(enrolment.samples)
        fmr = manifest.fmr_for_gallery(rules.promise.fpir, compared)
        return manifest.promised_point(self._pipeline.spec.calibration, fmr).threshold

    def _replace_rules(self) -> None:
        with self._ruling:  # what was read earlier must not take the place of what was read later
            self._doorkeeper.replace(self._make_rules())

    def _state_in_words(self, locked_out_for_s: float) -> str:
        if self._watch.is_stopping:
            return "stopping"
        if fault := self._vault.fault or self._watch.fault or self._latch.fault:
            return f"fault: {fault}"
        if self._enrolling.takes_frames:
            return "enrolling"
        if self._doorkeeper.limits.is_off:
            return "face off"
        return "locked out" if locked_out_for_s > 0 else "watching"


def _hint(verdict: Verdict) -> str:
    return verdict.decision.reason.hint if verdict.is_done else LOCK_IS_FAULTY


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
