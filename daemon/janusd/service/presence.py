"""What attack detection remembers between frames: the stream, the face's track, a challenge under way.

Used from the one thread that sees. Everything it concludes rests on frames of one track that were fit for
comparison, so that what showed life is what is compared; a face exchanged is a new track, and begins anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from janusd.core import attack, challenge, parallax, track
from janusd.core.attack import Layer
from janusd.core.challenge import Challenge, Order, Seen, Stage, Turn
from janusd.core.freshness import Stream
from janusd.core.parallax import Relief, Sight
from janusd.core.reason import Reason
from janusd.core.track import Follow, Track
from janusd.core.types import Evidence, Frame, Presentation
from janusd.pipeline import Probe

_MEMORY_S: Final = parallax.Bounds().memory_s


@dataclass(frozen=True, slots=True)
class Settings:
    """What is looked at."""

    alike: float
    """Score at which two views count as one face: of one track, and of both cameras of a pair."""
    nir: bool = False
    """Whether a face must be found and match in near infrared too."""
    passive: float = 0.5
    """Below it the network's mean speaks of an attack."""
    remembers: int = 20
    """Frames of a track that the network's mean is over, from the first on. Five would let a picture wait for
    five lucky ones; whoever came nearer has outlived the worst in two seconds."""
    looks: int = 3
    """Looks within four seconds that must find a head, before life was shown: by one, a few dissolves do."""
    lives_s: float = 10.0
    """For how long life that was shown counts, on its track."""
    suspect_s: float = 5.0
    """For how long a sheet that was found out stays one, on its track."""
    again_s: float = 5.0
    """How long after life was shown the views are compared for it once more: that takes time."""
    doubt_s: float = 60.0
    rest_s: float = 3.0
    """After a failed challenge."""


class Presence:
    """Over one door's frames."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stream = Stream()
        self._live_s = self._flat_s = float("-inf")
        self._number = 0
        self._track: Track | None = None
        self._doubt_s = float("-inf")
        self._challenge: Challenge | None = None
        self._ended_s = float("-inf")
        self._begin_track(0.0)

    @property
    def asks(self) -> Turn | None:
        """Which turn a challenge asks for now."""
        return self._challenge.asks if self._challenge else None

    def challenge(self, order: Order, now_s: float) -> None:
        """Ask the face in view for these turns, unless it is being asked."""
        if self._track is not None and self._challenge is None:
            self._challenge = Challenge(order, self._track.number, now_s)

    def look(self, frame: Frame, probe: Probe, evidence: Evidence, now_s: float | None = None) -> Evidence:
        """The evidence of a frame, with what attack detection makes of its face."""
        face = probe.face
        freshness = attack.from_freshness(self._stream.look(frame, face.box_px if face else None, now_s))
        if face is None:
            self._step(frame.captured_s, None)
            return evidence
        if freshness.reason is not None:
            if freshness.reason is not Reason.NO_NEWS:
                self._doubt_s = frame.captured_s
                self._begin_track(frame.captured_s)
                self._track = None
            return Evidence(frame.captured_s, refused=freshness.reason)
        self._follow(frame, probe)
        if probe.embedding is None or probe.quality is None:
            self._step(frame.captured_s, None)
            return evidence
        sight = parallax.sight(face.landmarks_px, frame.captured_s, probe.embedding, probe.crop)
        if sight is None:
            return Evidence(frame.captured_s, refused=Reason.NO_FACE)
        self._sights.append(sight)
        if probe.genuine is not None:
            self._genuine.append(probe.genuine)
        geometry = self._look_for_relief(frame.captured_s)
        is_live = frame.captured_s - self._live_s < self._settings.lives_s
        has_found = is_live or self._has_found_since(self._challenge)
        seen = Seen(frame.captured_s, probe.quality.yaw_deg, probe.embedding, sight, has_found)
        self._step(frame.captured_s, seen)
        return replace(evidence, presentation=self._present(frame, probe, geometry, is_live=is_live))

    def _has_found_since(self, asked: Challenge | None) -> bool:
        """Whether one look found a head during a challenge, whose turns show more than any other way."""
        return asked is not None and bool(self._found_s) and self._found_s[-1] >= asked.began_s

    def _look_for_relief(self, now_s: float) -> Layer:
        settings = self._settings
        path = parallax.assess(tuple(self._sights), looks=now_s - self._live_s >= settings.again_s)
        if path.relief is Relief.STANDS_OUT:
            self._found_s.append(now_s)
            if len(self._found_s) == settings.looks and now_s - self._found_s[0] <= _MEMORY_S:
                self._live_s = now_s
        if path.relief is Relief.FLAT:
            self._flat_s = now_s
        if now_s - self._flat_s < settings.suspect_s:
            return Layer("geometry", 0.05, Reason.FLAT)
        return attack.from_geometry(path)

    def _present(self, frame: Frame, probe: Probe, geometry: Layer, *, is_live: bool) -> Presentation:
        now_s, settings = frame.captured_s, self._settings
        assert self._track is not None
        mean = sum(self._genuine) / len(self._genuine) if self._genuine else None
        whole = attack.fuse(
            (
                geometry,
                attack.from_passive(mean, settings.passive),
                attack.from_nir(probe.nir_score, settings.alike, is_asked=settings.nir),
                attack.from_challenge(self._challenge),
            )
        )
        is_doubtful = (
            now_s - self._doubt_s < settings.doubt_s
        )  # of what was before: this frame has its reason
        if whole.score < 0.5:
            self._doubt_s = now_s
        passed = self._challenge is not None and self._challenge.stage is Stage.PASSED
        return Presentation(
            track=self._track.number,
            score=whole.score,
            reason=whole.reason,
            is_live=whole.reason is None and is_live,
            is_challenged=whole.reason is None and passed,
            is_doubtful=is_doubtful or whole.score < 0.5,
            lasts_s=now_s - self._track.began_s,
            poses=self._challenge.poses if self._challenge is not None and passed else (),
        )

    def _follow(self, frame: Frame, probe: Probe) -> None:
        assert probe.face is not None
        before = self._track
        how = Follow(alike=self._settings.alike)
        self._track = track.follow(
            before, self._number + 1, probe.face.box_px, probe.embedding, frame.captured_s, how
        )
        if self._track.number != self._number:
            self._number = self._track.number
            self._begin_track(frame.captured_s)

    def _begin_track(self, now_s: float) -> None:
        self._sights: deque[Sight] = deque(maxlen=240)
        self._genuine: deque[float] = deque(maxlen=self._settings.remembers)
        self._found_s: deque[float] = deque(maxlen=self._settings.looks)
        self._live_s = self._flat_s = float("-inf")
        match self._challenge:
            case Challenge(stage=Stage.RUNNING) as left:  # whoever leaves in the middle has failed
                self._challenge, self._ended_s = replace(left, stage=Stage.FAILED), now_s
            case Challenge(stage=Stage.PASSED):
                self._challenge = None
            case _:
                pass  # a failed one rests for its time, whoever is in view meanwhile

    def _step(self, now_s: float, seen: Seen | None) -> None:
        """Move a challenge on, and end it when its time is over."""
        running = self._challenge
        if running is None:
            return
        if running.stage is Stage.RUNNING:
            number = self._track.number if self._track is not None else 0
            self._challenge = challenge.step(running, now_s, number, seen, challenge.Terms())
            if self._challenge.stage is not Stage.RUNNING:
                self._ended_s = now_s
            return
        rests_s = self._settings.lives_s if running.stage is Stage.PASSED else self._settings.rest_s
        if now_s - self._ended_s >= rests_s:
            self._challenge = None
