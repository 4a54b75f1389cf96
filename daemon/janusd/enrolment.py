"""From samples of one face to a template: fit pictures, one and the same person, different views."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from janusd.core import guide, match
from janusd.core.align import CROP_PX
from janusd.core.embed import combine
from janusd.core.gallery import Gallery
from janusd.core.guide import Sight, Step, Track
from janusd.core.manifest import Calibration
from janusd.core.pose import Pose
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.side import Side
from janusd.core.terms import ALWAYS, Terms
from janusd.core.types import Box, Crop, Embedding
from janusd.door import Feedback, Review
from janusd.errors import EnrolmentRefused
from janusd.pipeline import Probe

ANOTHER_PERSON: Final = "another_person"
DUPLICATE_VIEW: Final = "duplicate_view"
GOOD: Final = guide.GOOD

MAX_SAMPLES: Final = 20
"""Of one person: each one more is one more that a stranger may happen to resemble."""

_UNLIKE: Final = "This does not look like {name}."
_SOMEBODY_ELSE: Final = "This looks like somebody else than before."
_ONLY: Final = "This looks like somebody else than before: only {name}, please."
_AS_YOU_BEGAN: Final = "Look straight at the camera, in the light you began with."
_ANOTHER_VIEW: Final = "Turn your head a little."
_ENOUGH: Final = "There are as many samples as a person may have."
HINTS: Final = (_UNLIKE, _SOMEBODY_ELSE, _ONLY, _AS_YOU_BEGAN, _ANOTHER_VIEW, _ENOUGH)
"""All that may be said here besides what `guide` and `Reason` say, for whoever translates it."""

_OF_FILES: Final = (
    "Pictures from files do not show that anybody was there, nor that each is of one person: a picture mixed "
    "from two lets both in. Take them yourself, or enrol before the camera."
)
_TWO_PEOPLE: Final = "Two of these pictures hardly look like one person: see that all are of the same."
_SAME_VIEW: Final = 0.97
"""Samples more alike than this add nothing: consecutive frames of somebody who holds still."""
_DIM, _BRIGHT = 90.0, 170.0
"""Mean luma of a crop: below the first a face stands in the dusk, above the second in the sun."""
_NEAR_MARGIN: Final = 0.10
"""An enrolled person this close below the threshold is worth telling about."""
_HARDLY_TURNED_DEG: Final = 20.0
_Z_95: Final = 1.96


@dataclass(frozen=True, slots=True)
class Sample:
    """One accepted view of the face."""

    embedding: Embedding
    covers: str = ""
    """The side it shows, and the look where that is another than at first: "left", "front with glasses"."""
    brightness: float | None = None
    """Mean luma of the crop."""
    is_backlit: bool = False
    crop: Crop | None = None
    """What the embedding was made of, where that is to be kept."""


@dataclass(slots=True)
class Enrolment:
    """One enrolment under way. Holds samples in memory only; nothing is stored until it is finished."""

    name: str
    schedule: Schedule
    hours: str
    wanted: int
    least: int
    same_person: float
    """Samples must score at least this against the nearest of the earlier ones."""
    known: float = 1.0
    """What a face that was out of view must score to be taken for the same one: the door's threshold."""
    terms: Terms = ALWAYS
    """On what terms they may come in, from the moment they are stored."""
    person_id: str = ""
    """Whose template gets these samples; empty for somebody new."""
    earlier: tuple[Embedding, ...] = ()
    """The samples that template has."""
    keeps_crops: bool = False
    """Whether the crops of the samples are to be stored too."""
    asks_depth: bool = False
    """Whether a face before the camera must have been seen to stand out, as no picture of one does."""
    _samples: list[Sample] = field(default_factory=list)
    _track: Track = field(default_factory=Track)
    _asked: tuple[Side, str] | None = None
    _best: Sample | None = None
    """The sharpest view since the head is held as asked."""
    _sharpness: float = 0.0
    _has_files: bool = False
    """Whether some samples are from pictures that somebody brought."""
    _has_frames: bool = False
    """Whether some are from the camera."""
    _has_depth: bool = False

    def offer(self, probe: Probe) -> Feedback:
        """Take a picture that somebody brought as a sample, or say why not."""
        feedback = self._take(probe)
        self._has_files = self._has_files or feedback.accepted
        return feedback

    def stands_out(self) -> None:
        """The face in view has turned, and its nose stood out: it is no picture.

        Counts once there is a sample, and while the face is known to be the one of the samples.
        """
        self._has_depth = self._has_depth or (bool(self._samples) and self._track.is_whole)

    def _take(self, probe: Probe) -> Feedback:
        if probe.embedding is None:
            reason = probe.reason or Reason.NO_FACE
            return self._feedback(reason.value, reason.hint)
        if refusal := self._refusal(probe.embedding):
            return self._feedback(*refusal)
        self._samples.append(self._sample(probe, probe.embedding, "", is_backlit=False))
        return self._feedback(GOOD, guide.WELL_DONE, accepted=True)

    def follow(self, probe: Probe, sight: Sight) -> None:
        """Keep track of the face in a frame of the camera, whether a sample is asked for or not."""
        self._track = guide.follow(self._track, sight)
        if not self._samples:
            self._track = replace(self._track, is_whole=True)  # whoever is there first is the one
        elif probe.embedding is not None and not self._is_same(probe.embedding, sight):
            self._track = replace(self._track, is_whole=False, held=())
        if not self._track.held:
            self._best, self._sharpness = None, 0.0

    def offer_live(self, probe: Probe, sight: Sight) -> Feedback:
        """Take a frame of the camera as a sample, if it is still of the face it began with, or say why not.

        To be called after `follow` with the same frame.
        """
        if not self._track.is_whole and (step := self._prove(probe, sight)) is not None:
            return self._feedback(step.reason, step.hint)
        feedback = self._take(probe)
        self._has_frames = self._has_frames or feedback.accepted
        return feedback

    def lead(self, probe: Probe, sight: Sight, side: Side, look: str) -> Step:
        """Ask for a side, and take a sample once the head was held there.

        To be called after `follow` with the same frame. `look` tells looks of one person apart: "" is how
        they came, "with glasses" another.
        """
        if not self._track.is_whole and (step := self._prove(probe, sight)) is not None:
            return step
        if not self._samples and self._is_unlike_earlier(probe):
            self._track = replace(self._track, held=())
            return Step(ANOTHER_PERSON, _UNLIKE.format(name=self.name))
        if self._asked != (side, look):
            self._asked, self._track = (side, look), replace(self._track, held=())
        self._track, step = guide.lead(self._track, sight, side)
        if len(self._track.held) == 1:  # it begins here: what was seen before was another pose
            self._best, self._sharpness = None, 0.0
        if probe.embedding is not None and (step.takes or self._track.held):
            self._remember(probe, sight, f"{side} {look}".strip())
        if not step.takes or self._best is None:
            return replace(step, takes=False)
        taken, self._best, self._sharpness = self._best, None, 0.0
        if len(self._samples) + len(self.earlier) >= MAX_SAMPLES:
            return Step(DUPLICATE_VIEW, _ENOUGH)
        if refusal := self._refusal(taken.embedding):
            if side is Side.FRONT and not self._samples:
                self._track = replace(self._track, neutral=None)  # nothing rests on it yet
            return Step(*refusal)
        self._samples.append(taken)
        self._has_frames = True
        return step

    @property
    def is_complete(self) -> bool:
        """Whether as many samples as wanted have been accepted."""
        return len(self._samples) >= self.wanted

    @property
    def samples(self) -> int:
        """How many samples have been accepted."""
        return len(self._samples)

    @property
    def crops(self) -> NDArray[np.uint8]:
        """(c, 112, 112, 3) uint8, RGB: what is to be kept of the samples besides their embeddings."""
        kept = [sample.crop for sample in self._samples if sample.crop is not None]
        return np.stack(kept) if kept else np.empty((0, CROP_PX, CROP_PX, 3), np.uint8)

    @property
    def covered(self) -> list[str]:
        """Which sides and looks the samples show."""
        return list(dict.fromkeys(sample.covers for sample in self._samples if sample.covers))

    def finish(self, gallery: Gallery, threshold: float) -> NDArray[np.float32]:
        """(n, D) float32 embeddings of the template.

        Raises EnrolmentRefused when the samples are too few, or match somebody who is enrolled already.
        """
        if len(self._samples) < (1 if self.person_id else self.least):
            raise EnrolmentRefused(
                f"{len(self._samples)} of at least {self.least} usable samples of {self.name}",
                "add clear pictures of the face from slightly different sides",
            )
        if self.asks_depth and self._has_frames and not self._has_depth:
            raise EnrolmentRefused(
                f"nothing stood out of the face of {self.name} while it turned: it may have been a picture",
                "begin again, and turn the head from side to side in one go: attack.level asks for depth",
            )
        nearest = self._nearest(gallery)
        if nearest is not None and nearest[1] >= threshold:
            raise EnrolmentRefused(
                f"{self.name} looks like {nearest[0]}, who is enrolled already",
                f"forget {nearest[0]} first if they are the same person",
            )
        return np.stack([sample.embedding for sample in self._samples])

    def review(self, gallery: Gallery, threshold: float, calibration: Calibration) -> Review:
        """What is to be said of the samples before they are stored."""
        nearest = self._nearest(gallery)
        found = self._found_again(threshold)
        name, score = nearest or ("", None)
        missed, low, high = missed_at(calibration, threshold)
        own_low, own_high = wilson(len(self._samples) - found, len(self._samples))
        light = sorted({_light(sample) for sample in self._samples if sample.brightness is not None})
        return Review(
            name=self.name,
            samples=len(self._samples),
            wanted=self.wanted,
            covered=self.covered,
            light=light,
            threshold=threshold,
            nearest=name,
            nearest_score=score,
            looks_alike=score is not None and score >= threshold,
            is_near=score is not None and score >= threshold - _NEAR_MARGIN,
            found_again=found,
            own_miss_low=own_low,
            own_miss_high=own_high,
            miss_rate=None if math.isnan(missed) else missed,
            miss_low=low,
            miss_high=high,
            genuine_comparisons=calibration.genuine_comparisons,
            advice=self._advice(light, found, name if score and score >= threshold - _NEAR_MARGIN else ""),
            keeps_crops=self.keeps_crops,
        )

    @property
    def _known(self) -> list[Embedding] | None:
        """All that is known of the face; None before the first sample."""
        return [*self.earlier, *(sample.embedding for sample in self._samples)] or None

    def _is_unlike_earlier(self, probe: Probe) -> bool:
        """Whether this is somebody else than those samples are of that are to get company."""
        likeness = self._likeness(probe.embedding) if probe.embedding is not None and self.earlier else 1.0
        return likeness < self.same_person

    def _likeness(self, embedding: Embedding) -> float:
        return max((match.verify(embedding, known) for known in self._known or ()), default=-1.0)

    def _is_same(self, embedding: Embedding, sight: Sight) -> bool:
        """Whether a face in view may be the one this began with; a face far turned is not asked."""
        if sight.pose is not None:
            turned = guide.relative(self._track, sight.pose)
            if max(abs(turned.yaw_deg), abs(turned.pitch_deg)) > _HARDLY_TURNED_DEG:
                return True
        return self._likeness(embedding) >= self.same_person

    def _prove(self, probe: Probe, sight: Sight) -> Step | None:
        """Ask a face that was out of view to show that it is the same one; None once it has."""
        self._track, step = guide.lead(self._track, sight, Side.FRONT)
        if probe.embedding is not None and self._likeness(probe.embedding) < self.same_person:
            return Step(ANOTHER_PERSON, _ONLY.format(name=self.name))
        if not step.takes or probe.embedding is None:
            return replace(step, takes=False, steady=0.0)
        if self._likeness(probe.embedding) < self.known:
            return Step(ANOTHER_PERSON, _AS_YOU_BEGAN)
        self._track = replace(self._track, is_whole=True)
        return None

    def _remember(self, probe: Probe, sight: Sight, covers: str) -> None:
        sharpness = probe.quality.sharpness if probe.quality else 0.0
        if probe.embedding is not None and (self._best is None or sharpness > self._sharpness):
            self._best = self._sample(probe, probe.embedding, covers, is_backlit=sight.is_backlit)
            self._sharpness = sharpness

    def _sample(self, probe: Probe, embedding: Embedding, covers: str, *, is_backlit: bool) -> Sample:
        brightness = probe.quality.brightness if probe.quality else None
        return Sample(embedding, covers, brightness, is_backlit, probe.crop if self.keeps_crops else None)

    def _refusal(self, embedding: Embedding) -> tuple[str, str] | None:
        """Why this view may not become a sample: reason and hint."""
        if self._known is None:
            return None
        if self._likeness(embedding) < self.same_person:
            return ANOTHER_PERSON, _SOMEBODY_ELSE
        scores = [match.verify(embedding, sample.embedding) for sample in self._samples]
        if max(scores, default=-1.0) > _SAME_VIEW:  # what is there from earlier may be renewed
            return DUPLICATE_VIEW, _ANOTHER_VIEW
        return None

    def _nearest(self, gallery: Gallery) -> tuple[str, float] | None:
        """The most similar other person, and their score."""
        best: tuple[str, float] | None = None
        for sample in self._samples:
            scores = match.person_scores(sample.embedding, gallery)
            for template, score in zip(gallery.templates, scores, strict=True):
                if template.person_id != self.person_id and (best is None or score > best[1]):
                    best = template.name, float(score)
        return best

    def _least_alike(self) -> float:
        """The score of the two samples that are least alike."""
        rows = [sample.embedding for sample in self._samples]
        return min((match.verify(a, b) for a, b in combinations(rows, 2)), default=1.0)

    def _found_again(self, threshold: float) -> int:
        """How many samples the door would recognise by the others alone."""
        known = self._known or []
        first = len(self.earlier)
        found = 0
        for index, one in enumerate(known[first:], first):
            others = [*known[:index], *known[index + 1 :]]
            found += bool(others) and match.verify(one, combine(others)) >= threshold
        return found

    def _advice(self, light: Sequence[str], found: int, near: str) -> list[str]:
        again = f"janusctl enrol {shlex.quote(self.name)} --reinforce"
        advice = [_OF_FILES] if self._has_files else []
        if self._has_files and self._least_alike() < self.same_person:
            advice.append(_TWO_PEOPLE)
        if self.covered and (missing := [side for side in Side if side.value not in self.covered]):
            advice.append(f"Not covered: {', '.join(missing)}. Add them with: {again}")
        if self.covered and not any("glasses" in covers for covers in self.covered):
            advice.append("If they wear glasses at times and not at others, add the other look the same way.")
        if len(light) == 1:
            other = "in full daylight" if light == ["dim"] else "at dusk, under the lamp"
            advice.append(f"All samples are from one light. Come back {other}: {again}")
        if any(sample.is_backlit for sample in self._samples):
            advice.append("The light came from behind: a lamp on the visitor's side would help every day.")
        if found < len(self._samples):
            advice.append("Some views are hardly recognised by the others: more samples between them help.")
        if near:
            advice.append(
                f"{self.name} and {near} look alike to this door: watch the log in the first weeks."
            )
        return advice

    def _feedback(self, reason: str, hint: str, *, accepted: bool = False) -> Feedback:
        return Feedback(accepted, reason, hint, len(self._samples), self.wanted)


def sight_of(probe: Probe, captured_s: float, size_px: tuple[int, int], luma: float) -> Sight:
    """What a probe says to the guide; `luma` is the mean of the whole picture of that width and height."""
    face, quality, (width, height) = probe.face, probe.quality, size_px
    box = None
    if face is not None:
        at = face.box_px
        box = Box(at.x / width, at.y / height, at.width / width, at.height / height)
    return Sight(
        captured_s,
        refused=probe.reason,
        box=box,
        pose=Pose(quality.yaw_deg, quality.pitch_deg, quality.roll_deg) if quality else None,
        inter_ocular_px=quality.inter_ocular_px if quality else 0.0,
        is_backlit=quality is not None and quality.brightness < _DIM and luma > quality.brightness + 60,
    )


def missed_at(calibration: Calibration, threshold: float) -> tuple[float, float, float]:
    """Which part of the genuine comparisons that were measured score below the threshold: rate, low, high.

    The manifest holds a few quantiles of them. Between two the rate is interpolated; the interval reaches
    from the lower one's 95 % interval (Wilson 1927) to the upper one's, as though comparisons were
    independent. All 0 to 1 where there is none.
    """
    table = sorted((float(rate), score) for rate, score in calibration.genuine_quantiles.items())
    if not table:
        return math.nan, 0.0, 1.0
    below = max((rate for rate, score in table if score <= threshold), default=0.0)
    above = min((rate for rate, score in table if score >= threshold), default=1.0)
    rate = float(np.interp(threshold, [s for _, s in table], [r for r, _ in table], left=0.0, right=1.0))
    n = calibration.genuine_comparisons
    return rate, wilson(below * n, n)[0], wilson(above * n, n)[1]


def wilson(hits: float, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927)."""
    if of <= 0:
        return 0.0, 1.0
    rate, z2 = hits / of, _Z_95**2
    middle = (rate + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z_95 / (1 + z2 / of) * math.sqrt(max(0.0, rate * (1 - rate) / of + z2 / (4 * of * of)))
    return max(0.0, middle - half), min(1.0, middle + half)


def _light(sample: Sample) -> str:
    brightness = sample.brightness or 0.0
    return "dim" if brightness < _DIM else "bright" if brightness > _BRIGHT else "even"
