"""Attack detection put together: what each layer says of a face, and what they say as one.

    layer       looks at                                     what it can refuse
    freshness   the stream                                   frozen, looped, stale
    context     one frame                                    a face cut off by the border
    geometry    the nose against the face over a turn        a flat sheet that was turned
    passive     a wide crop, several frames, a network       prints, screens, masks it was trained on
    nir         the second camera of a pair                  screens, which are dark there
    challenge   turns in an order nobody knew                whoever does not follow

A layer that has nothing to go by says nothing: it neither refuses nor helps. `is_live` is said only of what
no still picture can do; docs/adr/0016 says what is promised and what is not. The policy decides, not this
module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from janusd.core.challenge import Challenge, Stage
from janusd.core.freshness import Freshness
from janusd.core.parallax import Path, Relief
from janusd.core.reason import Reason
from janusd.core.types import Face, Image

_NOTHING: Final = 0.5


class Level(StrEnum):
    """What a door asks of a face besides being known."""

    OFF = "off"
    PASSIVE = "passive"
    """Not to be found out: whatever speaks of an attack refuses. A still picture held still is not found out
    by geometry; only a passive network or near infrared can."""
    LIVE = "live"
    """To show what no still picture can, by turning or by answering a challenge."""


class Asks(StrEnum):
    """When a door asks for turns of the head."""

    NEVER = "never"
    DOUBT = "doubt"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one layer says."""

    name: str
    score: float = _NOTHING
    """0 speaks of an attack, 1 of a living face, 0.5 of neither."""
    reason: Reason | None = None
    """Why the face is to be refused, where it is."""


def from_freshness(freshness: Freshness) -> Layer:
    """A stream that is not live makes whatever it shows worthless; a live one proves nothing."""
    match freshness:
        case Freshness.FRESH:
            return Layer("freshness")
        case Freshness.REPEATED:
            return Layer("freshness", _NOTHING, Reason.NO_NEWS)
        case Freshness.FROZEN:
            return Layer("freshness", 0.0, Reason.FROZEN)
        case Freshness.LOOPED:
            return Layer("freshness", 0.0, Reason.LOOPED)
        case Freshness.STALE:
            return Layer("freshness", 0.0, Reason.STALE)


def from_context(face: Face, image: Image) -> Layer:
    """A face whose box leaves the picture shows too little around it: too near, or cut off on purpose."""
    height, width = image.shape[:2]
    box = face.box_px
    over = 0.02 * box.height
    is_inside = (
        box.x >= -over
        and box.y >= -over
        and box.x + box.width <= width + over
        and box.y + box.height <= height + over
    )
    return Layer("context") if is_inside else Layer("context", 0.3, Reason.NO_CONTEXT)


def from_geometry(path: Path) -> Layer:
    """A nose that stands out speaks for a head; one that stays although the face turned, for a sheet."""
    match path.relief:
        case Relief.UNSEEN:
            return Layer("geometry")
        case Relief.STANDS_OUT:
            return Layer("geometry", 0.9)
        case Relief.BROKEN:
            return Layer("geometry", 0.3)
        case Relief.FLAT:
            return Layer("geometry", 0.05, Reason.FLAT)


def from_passive(mean: float | None, threshold: float) -> Layer:
    """The network's mean over frames of the track, 1 genuine; None without a network: silent then."""
    if mean is None:
        return Layer("passive")
    return Layer("passive", mean, Reason.NOT_GENUINE if mean < threshold else None)


def from_nir(score: float | None, alike: float, *, is_asked: bool) -> Layer:
    """How like the face in near infrared is; None where none was seen there, which refuses if it is asked."""
    if not is_asked:
        return Layer("nir")
    if score is None or score < alike:
        return Layer("nir", 0.05, Reason.NOT_IN_NIR)
    return Layer("nir", 0.8)


def from_challenge(challenge: Challenge | None) -> Layer:
    """Passed speaks for a living face that follows, failed against it."""
    if challenge is None:
        return Layer("challenge")
    match challenge.stage:
        case Stage.RUNNING:
            return Layer("challenge")
        case Stage.PASSED:
            return Layer("challenge", 0.95)
        case Stage.FAILED:
            return Layer("challenge", 0.2, Reason.CHALLENGE_FAILED)


def fuse(layers: Iterable[Layer]) -> Layer:
    """All layers as one: the worst word counts, and only where there is none the best.

    Layers see different things, so one that says "attack" is not outvoted by others that saw nothing.
    """
    said = list(layers)
    worst = min(said, key=lambda layer: layer.score)
    refusing = next((layer for layer in sorted(said, key=lambda one: one.score) if layer.reason), None)
    if refusing is not None:
        return refusing
    if worst.score < _NOTHING:
        return worst
    return max(said, key=lambda layer: layer.score)
