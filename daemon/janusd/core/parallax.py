"""Does the nose stand out from the face? On a sheet of paper or a screen it does not.

Eyes and mouth corners of a head lie in a plane, the nose tip some 25 mm before it. Four points of a plane fix
how any two pictures of the plane map onto each other (a homography), whatever the camera and however the
plane is held. So the four are mapped onto fixed places, and the nose with them:

    on a flat sheet the nose comes to lie in the same place in every picture;
    on a head it moves by about 0.4 sin(turn) eye distances when the head turns.

(Plane and parallax: Irani and Anandan, "A unified approach to moving object detection in 2D and 3D scenes",
IEEE TPAMI 20(6), 1998.) However a still picture is moved, zoomed, turned or tilted, it cannot show relief.
What can is a film of a head that turns, a mask, a sheet bent hard while it is turned, or a picture that a
program warps.

A picture exchanged for another jumps; a head passes through everything between. So a path with a gap, or
one on which the face's embedding makes most of its way in one step, is none; nor is one along which the
pictures are mixed, or stay those of a plane (`motion`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core import motion
from janusd.core.motion import Kind, Piece, View
from janusd.core.types import Crop, Embedding, Points

Place: TypeAlias = NDArray[np.float64]
"""(2,) float64 eye distances: where the nose comes to lie, from the middle between the eyes."""

_PLANE: Final = np.array([[-0.5, 0.0], [0.5, 0.0], [-0.4, 0.98], [0.4, 0.98]])
"""Where the eyes and mouth corners are mapped to, in eye distances: the mean head of `pose`, seen from the
front."""
_FOUR: Final = (0, 1, 3, 4)
_NOSE: Final = 2
_DEGENERATE: Final = 1e-9


class Relief(Enum):
    """What a path of places says."""

    UNSEEN = auto()
    """Too little motion, or too few frames, to say anything."""
    FLAT = auto()
    """What eyes and mouth lie in has turned, and the nose has stayed in its place."""
    STANDS_OUT = auto()
    BROKEN = auto()
    """Something stands out, but the way there has a gap, or is mixed: a picture was exchanged for another."""


_RELIEF: Final = {Kind.TURNED: Relief.STANDS_OUT, Kind.MIXED: Relief.BROKEN, Kind.FLAT: Relief.UNSEEN}


@dataclass(frozen=True, slots=True)
class Sight:
    """One frame's part: where the nose lies, and how the plane is seen."""

    at_s: float
    place: Place
    aspect: float
    """Eye distance over the distance from eyes to mouth: falls as a face turns aside, rises as it nods."""
    embedding: Embedding | None = None
    """Of the same frame, where it is known."""
    view: View | None = None
    """The face in the same frame, where it is kept."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What counts as relief, and as none. Distances in eye distances."""

    average: int = 5
    """Frames to a mean: one frame's landmarks are too noisy to tell a head from a sheet."""
    least: int = 10
    """Frames before anything is said."""
    memory_s: float = 4.0
    stands_out: float = 0.10
    """By how far the averaged nose must move: a head that turns by some 15 degrees in all. A detector errs
    where a picture is seen very aslant: SIMULATED stills reach 0.11 tilted, 0.19 through a fisheye lens.
    `motion` tells those."""
    over_noise: float = 6.0
    """And by how many standard errors of an average: with landmarks that shake by 2 px at 63 px between the
    eyes that is 0.15, with those of the door's detector on sharp pictures less than 0.10."""
    between: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7)
    """Where on a piece of the way the frames lie that must be on their way, and no mixture of its ends."""
    piece: float = 0.2
    """How long a piece is at most: further apart, views are too unlike for a flow."""
    step: float = 0.5
    """Largest part of the embedding's way from one end to the other that may fall into one step."""
    gap: float = 0.4
    """Largest part of the path without a frame."""
    turned: float = 0.18
    """Part by which `Sight.aspect` must change before a nose that stays is held against a face: 35 degrees
    of turning do that."""
    stays: float = 0.05


@dataclass(frozen=True, slots=True)
class Path:
    """What a path of sights amounts to."""

    relief: Relief
    moved: float
    """How far the averaged nose moved."""
    noise: float
    """Standard error of an average."""


def sight(
    landmarks_px: Points, at_s: float, embedding: Embedding | None = None, crop: Crop | None = None
) -> Sight | None:
    """One frame's part; None where the landmarks are no face's."""
    points = landmarks_px.astype(np.float64)
    h = _homography(points[list(_FOUR)], _PLANE)
    if h is None:
        return None
    x, y, w = h @ np.array([*points[_NOSE], 1.0])
    eyes, mouth = points[1] - points[0], points[3] + points[4] - points[0] - points[1]
    length = float(np.hypot(*mouth)) / 2
    if abs(w) < _DEGENERATE or length < _DEGENERATE:
        return None
    seen = None if crop is None else motion.view(crop)
    return Sight(at_s, np.array([x / w, y / w]), float(np.hypot(*eyes)) / length, embedding, seen)


def assess(sights: tuple[Sight, ...], bounds: Bounds | None = None, *, looks: bool = True) -> Path:
    """What the sights of one track amount to, in the order they were seen.

    Without `looks` the views are not compared, which takes most of the time, and nothing stands out.
    """
    bounds = bounds or Bounds()
    recent = [one for one in sights if sights[-1].at_s - one.at_s <= bounds.memory_s] if sights else []
    if len(recent) < max(bounds.least, bounds.average):
        return Path(Relief.UNSEEN, 0.0, 0.0)
    places = np.stack([one.place for one in recent])  # (n, 2)
    means = _averages(places, bounds.average)
    aspects = _averages(np.array([[one.aspect] for one in recent]), bounds.average)[:, 0]
    # Neighbours differ by noise and by what the head did in between; the smaller half is mostly noise.
    steps = np.hypot(*np.diff(places, axis=0).T)
    noise = float(np.median(steps)) / 1.18 / np.sqrt(2 * bounds.average) * np.sqrt(2)
    first, last = _farthest(means)
    way = means[last] - means[first]
    moved = float(np.hypot(*way))
    if moved >= bounds.stands_out and moved >= bounds.over_noise * noise:
        has_gap = _largest_gap(places @ (way / moved), means @ (way / moved)) > bounds.gap * moved
        between = recent[min(first, last) : max(first, last) + bounds.average]
        if has_gap or _largest_step(between, bounds.average) > bounds.step:
            return Path(Relief.BROKEN, moved, noise)
        if not looks:
            return Path(Relief.UNSEEN, moved, noise)
        along = (means - means[first]) @ (way / moved**2)
        kind = _seen(recent, along, (first, last), moved, bounds)
        return Path(_RELIEF[kind], moved, noise)
    if moved <= bounds.stays and float(np.ptp(aspects)) >= bounds.turned * float(aspects.max()):
        return Path(Relief.FLAT, moved, noise)
    return Path(Relief.UNSEEN, moved, noise)


def _averages(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """(n - count + 1, d): the mean of each `count` rows in a row."""
    sums = np.cumsum(np.vstack([np.zeros((1, rows.shape[1])), rows]), axis=0)
    return np.asarray((sums[count:] - sums[:-count]) / count, np.float64)


def _farthest(points: NDArray[np.float64]) -> tuple[int, int]:
    apart = np.linalg.norm(points[:, np.newaxis] - points[np.newaxis], axis=2)
    first, last = np.unravel_index(int(apart.argmax()), apart.shape)
    return int(first), int(last)


def _largest_gap(along: NDArray[np.float64], means: NDArray[np.float64]) -> float:
    """The longest stretch between the two ends of the way that no frame lies in."""
    inside = np.sort(along[(along > means.min()) & (along < means.max())])
    return float(np.diff(np.concatenate([[means.min()], inside, [means.max()]])).max())


def _seen(
    sights: list[Sight], along: NDArray[np.float64], ends: tuple[int, int], moved: float, bounds: Bounds
) -> Kind:
    """What the views say of a way that landmarks found; where none are kept, landmarks have the last word."""
    middle = bounds.average // 2  # of the frames that a mean is of
    views = [one.view for one in sights[middle:]]
    known = [one for one in views if one is not None]
    if len(known) < len(views):
        return Kind.TURNED
    onwards = along if ends[0] < ends[1] else 1 - along
    return motion.judge(_pieces(known, onwards, (min(ends), max(ends)), moved, bounds))


def _pieces(
    views: list[View], along: NDArray[np.float64], ends: tuple[int, int], moved: float, bounds: Bounds
) -> list[Piece]:
    """The way in pieces, with some of the views between; `along` is 0 at its begin and 1 at its end."""
    begin, end = ends
    count = max(1, int(np.ceil(moved / bounds.piece)))
    inner = range(begin + 1, end)
    cuts = sorted(min(inner, key=lambda at: abs(along[at] - n / count)) for n in range(1, count) if inner)
    pieces = []
    for number, (first, last) in enumerate(pairwise([begin, *cuts, end])):
        parts = {at: float(along[at]) * count - number for at in range(first + 1, last)}
        picked = [min(parts, key=lambda at: abs(parts[at] - where)) for where in bounds.between if parts]
        between = tuple((views[at], min(max(parts[at], 0.2), 0.8)) for at in picked)
        pieces.append(Piece(views[first], between, views[last]))
    return pieces


def _largest_step(between: list[Sight], average: int) -> float:
    """The part of the embedding's way that falls into one step, beyond what any step takes; 0 if unknown."""
    rows = [one.embedding for one in between if one.embedding is not None]
    if len(rows) < len(between) or len(rows) <= average:
        return 0.0
    faces = np.stack(rows).astype(np.float64)
    ends = faces[:average].mean(axis=0), faces[-average:].mean(axis=0)
    way = float(np.linalg.norm(ends[1] - ends[0]))
    # A step is of the means before and after it, so that noise is not taken for one.
    least = min(2, len(faces) // 3)
    means = _averages(faces, least)
    steps = np.linalg.norm(means[least:] - means[:-least], axis=1)
    return float(steps.max() - np.median(steps)) / way if way > _DEGENERATE else 0.0


def _homography(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(3, 3): maps four points onto four others; None where three of them lie on a line."""
    rows = []
    for (x, y), (u, v) in zip(source, target, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    try:
        h = np.linalg.solve(np.array(rows), target.ravel())
    except np.linalg.LinAlgError:
        return None
    return np.append(h, 1.0).reshape(3, 3) if np.isfinite(h).all() else None
