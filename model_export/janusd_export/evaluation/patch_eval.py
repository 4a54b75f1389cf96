"""How often something printed and worn makes a stranger a resident: SIMULATED, against the released encoder.

A wearer is a stranger who has the released file and the very photographs a resident was enrolled from, and
computes a patch that makes the encoder take them for that resident. It is laid onto their photographs, and
frames of those go through the door's own path: detector, quality floors, int8 encoder, the promised
threshold, three frames that agree. What is measured is the worst case for a door: nothing was printed.

Beside it stands a defence that no door has yet: to embed the face again with one region painted over, one
after the other. What a patch brings lies under it; a resident loses a little of everything.
"""

# ruff: noqa: PLC0415  # torch loads only where a patch is computed

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from janusd.config import Config
from janusd.core import match, policy
from janusd.core.attack import Level
from janusd.core.gallery import Gallery
from janusd.core.policy import Policy, State
from janusd.core.types import Crop, Embedding, Frame, Image, Points
from janusd.demo.album import View, album
from janusd.pipeline import Pipeline
from janusd.service.rules import Rules
from janusd_export.attacks import patches
from janusd_export.attacks.patches import Patch
from janusd_export.errors import ExportError
from janusd_export.faces.photos import Photo, decode, open_photos
from janusd_export.metrics import Rate, rate

if TYPE_CHECKING:
    from janusd_export.attacks.patch_search import Search

FRAMES: Final = 8
"""One try of a door."""
REGIONS: Final[Mapping[str, slice]] = {
    "forehead": slice(0, 40), "eyes": slice(32, 66), "mouth": slice(64, 112),
}  # fmt: skip
"""Rows of the crop that are painted over, one after the other."""
COSTS: Final = (0.01, 0.02, 0.05, 0.1)
"""Which part of the residents the other defence may refuse."""
_GREY: Final = 128
_PEOPLE: Final = 10

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Portrait:
    """A photograph in which the door finds one face fit for comparison."""

    image: Image
    landmarks_px: Points
    crop: Crop
    embedding: Embedding


@dataclass(frozen=True, slots=True)
class Cast:
    """Who lives there, and who would like to."""

    gallery: Gallery
    enrolled: Mapping[str, NDArray[np.float32]]
    """(k, D) of each resident."""
    visits: Mapping[str, tuple[Portrait, ...]]
    """Other photographs of the residents."""
    strangers: Mapping[str, tuple[Portrait, ...]]


@dataclass(slots=True)
class Trial:
    """One try of eight frames."""

    scores: list[float] = field(default_factory=list)
    """The best one of each frame that was fit for comparison, until the door opened."""
    genuine: list[float] = field(default_factory=list)
    """What the passive network says of each."""
    covered: float | None = None
    """The lowest score of the first frame that matches, with a region painted over."""
    opens: bool = False

    @property
    def matches(self) -> bool:
        """Whether any single frame does."""
        return self.covered is not None


@dataclass(slots=True)
class Pair:
    """One stranger who wears a patch to be taken for one resident."""

    shape: str
    stranger: str
    resident: str
    share: float
    """The part of the crop that is covered."""
    scores: tuple[float, ...] = ()
    """Of each step of the search."""
    trials: dict[str, list[Trial]] = field(default_factory=dict)
    """By what is shown: "worn" on photographs it was made on, "worn anew" on others."""


@dataclass(frozen=True, slots=True)
class Defended:
    """What painting over would do, at one price."""

    cost: float
    """The part of the residents who match that would be refused."""
    threshold: float
    passes: Rate
    """Of the worn that match, those that would still pass."""


@dataclass(frozen=True, slots=True)
class PatchReport:
    """What `janus-export patch-eval` prints."""

    threshold: float
    residents: int
    passive_threshold: float | None
    pairs: list[Pair]
    visits: list[Trial]
    """Of the residents themselves."""
    plain: list[Trial]
    """Of the strangers without anything on."""

    def tries(self, shape: str, shown: str) -> list[Trial]:
        """All of one kind."""
        return [t for pair in self.pairs if pair.shape == shape for t in pair.trials.get(shown, [])]

    def defended(self) -> list[Defended]:
        """What painting over would do to the worn, for some prices in residents."""
        own = sorted(t.covered for t in self.visits if t.covered is not None)
        worn = [t.covered for pair in self.pairs for tries in pair.trials.values() for t in tries
                if t.covered is not None]  # fmt: skip
        found = []
        for cost in COSTS if own and worn else ():
            threshold = own[int(cost * len(own))]
            found.append(Defended(cost, threshold, rate(sum(s >= threshold for s in worn), len(worn))))
        return found

    def rates(self, trials: Sequence[Trial]) -> dict[str, Rate]:
        """How often a single frame matches, the door opens, and would also by the passive network."""
        count = len(trials)
        found = {
            "a frame matches": rate(sum(t.matches for t in trials), count),
            "the door opens": rate(sum(t.opens for t in trials), count),
        }
        if self.passive_threshold is not None:
            limit = self.passive_threshold
            passed = sum(t.opens and float(np.mean(t.genuine)) >= limit for t in trials)
            found["it opens, and passes for genuine"] = rate(passed, count)
        return found


def of_demo(pipeline: Pipeline, most: int) -> Cast:
    """The demo's people, who do not exist: residents and strangers as they are in its album.

    `most` photographs of each are taken, and as many of a resident again for visits.
    """
    people = album().values()
    enrolled = {p.name: [_flat(view) for view in p.enrol[:most]] for p in people if p.is_resident}
    visits = {p.name: [_flat(view) for view in p.street[:most]] for p in people if p.is_resident}
    strangers = {p.name: [_flat(view) for view in p.street[:most]] for p in people if not p.is_resident}
    return _cast(pipeline, enrolled, visits, strangers)


def of_photos(place: Path, pipeline: Pipeline, most: int, seed: int) -> Cast:
    """Residents and strangers drawn from a collection, people with three photographs or more."""
    by_person: dict[str, list[Photo]] = {}
    for photo in open_photos(place):
        by_person.setdefault(photo.person, []).append(photo)
    several = sorted(name for name, photos in by_person.items() if len(photos) >= 3)
    if len(several) < 2 * _PEOPLE:
        raise ExportError(
            f"{place} has {len(several)} people with three photographs; {2 * _PEOPLE} are needed"
        )
    rng = np.random.default_rng(seed)
    drawn = [several[n] for n in rng.permutation(len(several))[: 6 * _PEOPLE]]

    def read(names: Sequence[str], first: int, count: int) -> dict[str, list[Image]]:
        return {
            name: [decode(photo.read(), photo.name) for photo in by_person[name][first : first + count]]
            for name in names
        }

    lives, comes = drawn[:_PEOPLE], drawn[_PEOPLE:]
    return _cast(pipeline, read(lives, 0, 2), read(lives, 2, most), read(comes, 0, most))


def measure(
    pipeline: Pipeline,
    encoder: bytes,
    cast: Cast,
    shapes: Sequence[str],
    count: int,
    how: Search,
    progress: Progress,
) -> PatchReport:
    """Compute `count` patches of each shape for pairs drawn at random, and show them to the door."""
    from janusd_export.compiling.differentiable import Differentiable

    network = Differentiable(encoder, rounds=False)
    rules = Rules.make(Config(), cast.gallery.templates, pipeline.spec.calibration).policy
    rules = replace(rules, level=Level.OFF)  # what a photograph does is no part of this: a wearer is alive
    limit = pipeline.attack_net[1].threshold if pipeline.attack_net else None
    report = PatchReport(rules.threshold, len(cast.enrolled), limit, [], [], [])
    pairs = [(stranger, resident) for stranger in cast.strangers for resident in cast.enrolled]
    drawn = [pairs[at] for at in np.random.default_rng(how.seed).permutation(len(pairs))[:count]]
    tempted = {stranger: cast.strangers[stranger] for stranger, _ in drawn}
    for who, trials in ((cast.visits, report.visits), (tempted, report.plain)):
        for number, portrait in enumerate(p for portraits in who.values() for p in portraits):
            trials.append(_shown(pipeline, cast.gallery, rules, portrait.image, number))
    for shape in shapes:
        for done, (stranger, resident) in enumerate(drawn):
            pair = Pair(shape, stranger, resident, share=0.0)
            patch = _search(network, cast, pair, how)
            for number, portrait in enumerate(cast.strangers[pair.stranger]):
                kind = "worn" if number < _known(cast, pair) else "worn anew"
                worn = patches.wear(portrait.image, portrait.landmarks_px, patch)
                trial = _shown(pipeline, cast.gallery, rules, worn, number)
                pair.trials.setdefault(kind, []).append(trial)
            report.pairs.append(pair)
            progress(shape, done + 1, len(drawn))
    return report


def _known(cast: Cast, pair: Pair) -> int:
    """How many of the stranger's photographs the patch is made on: half, at least one."""
    return max(1, len(cast.strangers[pair.stranger]) // 2)


def _search(network: Callable[..., object], cast: Cast, pair: Pair, how: Search) -> Patch:
    from janusd_export.attacks.patch_search import search

    crops = [portrait.crop for portrait in cast.strangers[pair.stranger][: _known(cast, pair)]]
    mask = patches.SHAPES[pair.shape]()
    found = search(network, crops, cast.enrolled[pair.resident], mask, how)  # type: ignore[arg-type]
    pair.scores, pair.share = found.scores, found.patch.share
    return found.patch


def _shown(pipeline: Pipeline, gallery: Gallery, rules: Policy, image: Image, seed: int) -> Trial:
    """Show frames of a photograph to the door until it opens, or a try is over."""
    trial, state = Trial(), State()
    for number, picture in enumerate(patches.filmed(image, FRAMES, np.random.default_rng(seed))):
        evidence, probe = pipeline.evidence(Frame(picture, 1.0 + number / 10, number), gallery)
        state, decision = policy.decide(rules, gallery, state, evidence, None)
        if evidence.best is not None and probe.crop is not None:
            trial.scores.append(evidence.best.score)
            if probe.genuine is not None:
                trial.genuine.append(probe.genuine)
            if trial.covered is None and policy.is_match(evidence.best, rules.threshold):
                trial.covered = _covered(pipeline, gallery, probe.crop, evidence.best.person_id)
        if decision.unlocks:
            trial.opens = True
            break
    return trial


def _covered(pipeline: Pipeline, gallery: Gallery, crop: Crop, person_id: str) -> float:
    """The person's lowest score with a region painted over."""
    template = gallery.person(person_id)
    assert template is not None
    seen = (pipeline.encode(covered) for covered in painted_over(crop))
    return min(max(match.verify(row, again) for row in template.embeddings) for again in seen)


def painted_over(crop: Crop) -> Iterator[Crop]:
    """The crop with one region after the other grey."""
    for rows in REGIONS.values():
        covered = crop.copy()
        covered[rows] = _GREY
        yield covered


def _cast(
    pipeline: Pipeline,
    enrolled: Mapping[str, Sequence[Image]],
    visits: Mapping[str, Sequence[Image]],
    strangers: Mapping[str, Sequence[Image]],
) -> Cast:
    known = {name: tuple(_portraits(pipeline, images)) for name, images in enrolled.items()}
    known = {name: portraits for name, portraits in known.items() if portraits}
    others = {name: tuple(_portraits(pipeline, images)) for name, images in strangers.items()}
    others = {name: portraits for name, portraits in others.items() if portraits}
    if not known or not others:
        raise ExportError("no face fit for comparison in the residents' or the strangers' photographs")
    rows = {name: np.stack([p.embedding for p in portraits]) for name, portraits in known.items()}
    come = {name: tuple(_portraits(pipeline, visits[name])) for name in known}
    gallery = Gallery.of_embeddings({name: list(found) for name, found in rows.items()})
    return Cast(gallery, rows, come, others)


def _portraits(pipeline: Pipeline, images: Sequence[Image]) -> Iterator[Portrait]:
    """Those in which there is one face the door would compare."""
    for image in images:
        probe = pipeline.probe(image)
        if probe.face is not None and probe.embedding is not None and probe.crop is not None:
            yield Portrait(image, probe.face.landmarks_px, probe.crop, probe.embedding)


def _flat(view: View) -> Image:
    """A portrait before a plain ground."""
    rgba = view.cutout().astype(np.float32)
    opacity = rgba[..., 3:] / 255
    return np.asarray(rgba[..., :3] * opacity + 150 * (1 - opacity), np.uint8)
