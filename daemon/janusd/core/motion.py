"""Is what lies between two views of a face the face on its way, or only the two of them put together?

Landmarks alone can be led: two photographs of one person in two poses, dissolved or wiped into each other,
take a nose along a way without a gap, and a lens or a tilt takes it a little way with one. So the pictures
are asked, by laying three explanations beside each other:

    on its way   the first end moved along the optical flow to the last, as far as the way has gone
    mixed        a sum of both ends with a weight of its own in every place: a dissolve, a wipe with any
                 seam, parts pasted in
    still        the nearer end alone

A head that turns is on its way: halfway, its nose and cheeks are at a third place. Of a mixture each place
shows one end, or both through each other, and nothing at a third place. And a last view that is the first one
as a plane shows it (a homography fitted to the flow) is one picture, tilted or zoomed. Whatever is compared
may also be shifted, turned, zoomed and sheared a little, to the first order (Lucas and Kanade, "An iterative
image registration technique", IJCAI 1981), so that landmarks need not be exact; the flow is DIS (Kroeger et
al., "Fast optical flow using dense inverse search", ECCV 2016).

Not seen: a picture that a program warps along a face's relief, which is a film of a head that turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Crop

View: TypeAlias = NDArray[np.uint8]
"""(112, 112) uint8: green of an aligned crop."""

_Small: TypeAlias = NDArray[np.float32]
"""(56, 56): every second pixel of a view without its finest noise."""

_Flow: TypeAlias = NDArray[np.float32]
"""(56, 56, 2): for each pixel of one view how far away, in pixels of this size, it is in another."""

_Basis: TypeAlias = NDArray[np.float64]
"""(n, 7): a view, and what the six ways of moving it a little add, for the n pixels of the face."""

_Pixels: TypeAlias = NDArray[np.float64]

_SIDE: Final = 56
_BLUR_PX: Final = 1.5
_PLACE_PX: Final = 4.0
"""Over how many pixels of a small view one place of a mixture reaches."""
_STRAY: Final = (0.0, -0.15, 0.15)
"""The landmarks' word on how far the way has gone is as good as this."""
_Y, _X = np.mgrid[0:_SIDE, 0:_SIDE].astype(np.float32)
_ACROSS: Final = (_X - 28) / 20
_DOWN: Final = (_Y - 33) / 20


class _Region:
    """The pixels of a small view that are looked at: an ellipse about the face, so many pixels wide."""

    def __init__(self, radius_px: float) -> None:
        self.mask = 20 * np.hypot(_ACROSS, _DOWN / 1.1) < radius_px
        self._across, self._down = _ACROSS[self.mask], _DOWN[self.mask]

    def of(self, picture: _Small) -> _Pixels:
        return np.asarray(picture[self.mask], np.float64)

    def basis(self, one: _Small) -> _Basis:
        x, y = (self.of(slope) for slope in _slopes(one))
        across, down = self._across, self._down
        return np.stack([self.of(one), x, x * across, x * down, y, y * across, y * down], axis=1)


_FACE: Final = _Region(20.0)
_INNER: Final = _Region(15.0)
"""Eyes, nose and mouth: hair and ground beyond come and go as a head turns, and are no plane's."""


class Kind(Enum):
    """What a way between views is."""

    TURNED = auto()
    """Of something with relief that moved."""
    FLAT = auto()
    """Its ends are one picture, as planes show it."""
    MIXED = auto()
    """What lies between is better explained by its ends as they are than by anything on its way."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a way."""

    first: View
    between: tuple[tuple[View, float], ...]
    """Views, each with how far the way has gone: 0 at the first, 1 at the last."""
    last: View


@dataclass(frozen=True, slots=True)
class Bounds:
    """What counts as what: parts of squared differences.

    Chosen on SIMULATED films of six people, 6 a species, and 16 of eight generated heads that turn;
    `janus-export attack-eval` plays others.
    """

    most: float = 0.75
    """The part of the views between that must keep to the next two: of three photographs dissolved one after
    the other, those near the middle one are on their way."""
    still: float = 0.5
    """Largest part of the difference from the nearer end that being on its way may leave."""
    mixed: float = 1.3
    """And of what a mixture leaves."""
    flat: float = 0.4
    """Least part of the difference between the ends that a plane must leave."""


def view(crop: Crop) -> View:
    """What is kept of an aligned crop."""
    return np.ascontiguousarray(crop[..., 1])


def judge(way: Sequence[Piece], bounds: Bounds | None = None) -> Kind:
    """What a way is; one of which nothing between its ends was seen is a picture put after another."""
    bounds = bounds or Bounds()
    looked = [_look(piece, bounds) for piece in way]
    between = [one for _, several in looked for one in several]
    if not between:
        return Kind.MIXED
    still, mixed = np.quantile(np.array(between), bounds.most, axis=0)
    if still > bounds.still or mixed > bounds.mixed:
        return Kind.MIXED
    return Kind.FLAT if float(np.median([flat for flat, _ in looked])) < bounds.flat else Kind.TURNED


def _look(piece: Piece, bounds: Bounds) -> tuple[float, list[tuple[float, float]]]:
    """The part that a plane leaves; and for each view between the parts of `Bounds.still` and `mixed`."""
    ends = _soft(piece.first), _soft(piece.last)
    onwards, back = _flow(*ends), _flow(ends[1], ends[0])
    first, last = (_small(one) for one in ends)
    bases = _FACE.basis(first), _FACE.basis(last)
    least = 1e-6  # two views to the byte: nothing is left of nothing
    inner = _INNER.of(last)
    plane = _fetched(first, _as_plane(back, last))
    flat = _left(_INNER.basis(plane), inner) / max(_left(_INNER.basis(first), inner), least)
    found = []
    for seen, part in piece.between:
        small = _small(_soft(seen))
        pixels = _FACE.of(small)
        nearer = max(least, min(_left(basis, pixels) for basis in bases))
        mixed = max(least, _left_mixed(first, last, bases, small, pixels))
        enough = min(bounds.still * nearer, bounds.mixed * mixed)
        going = float("inf")
        for stray in _STRAY:  # the landmarks' word is mostly good enough, and this takes time
            if going > enough:
                way = _on_its_way(first, last, onwards, back, part + stray)
                going = min(going, _left(_FACE.basis(way), pixels))
        found.append((going / nearer, going / mixed))
    return flat, found


def _on_its_way(first: _Small, last: _Small, onwards: _Flow, back: _Flow, part: float) -> _Small:
    """Both ends moved towards each other until they meet, each with the weight of being near."""
    moved = _fetched(first, -part * onwards), _fetched(last, (part - 1) * back)
    return np.asarray((1 - part) * moved[0] + part * moved[1], np.float32)


def _left_mixed(
    first: _Small, last: _Small, bases: tuple[_Basis, _Basis], seen: _Small, pixels: _Pixels
) -> float:
    """What the best mixture leaves.

    One sum for all, or a weight for each place: of the ends as they are, or moved as that one sum has them.
    """
    whole, moves = _solved(np.concatenate(bases, axis=1), pixels)
    fits = [whole]
    shifted = _shifted(first, moves[:7]), _shifted(last, moves[7:14])
    for one, other in ((first, last), shifted):
        weight = _FACE.of(_weights(one, other, seen))[:, np.newaxis]
        ends = bases if one is first else (_FACE.basis(one), _FACE.basis(other))
        both = np.concatenate([(1 - weight) * ends[0], weight * ends[1]], axis=1)
        fits.append(_solved(both, pixels)[0])
    return min(fits)


def _weights(one: _Small, other: _Small, seen: _Small) -> _Small:
    """How much of the other is seen in each place, 0 to 1."""
    apart = other - one
    shared = cv2.GaussianBlur((seen - one) * apart, (0, 0), _PLACE_PX)
    power = cv2.GaussianBlur(apart * apart, (0, 0), _PLACE_PX)
    return np.asarray(np.clip(shared / (power + 1.0), 0, 1), np.float32)


def _as_plane(flow: _Flow, seen: _Small) -> _Flow:
    """The flow of the plane that moves most like this, by those pixels that have any texture.

    Eight numbers: a homography to the first order.
    """
    slopes = _slopes(seen)
    power = _INNER.of(slopes[0] ** 2 + slopes[1] ** 2)
    weight = np.tile(power / (power + np.median(power) + 1e-6), 2)[:, np.newaxis]
    plane = _plane()
    rows = np.concatenate([plane[0][_INNER.mask], plane[1][_INNER.mask]])
    wanted = np.concatenate([_INNER.of(flow[..., 0]), _INNER.of(flow[..., 1])])
    moves = np.linalg.solve(rows.T @ (weight * rows) + 1e-3 * np.eye(8), (weight * rows).T @ wanted)
    return np.asarray(np.stack([plane[0] @ moves, plane[1] @ moves], axis=-1), np.float32)


@cache
def _plane() -> tuple[_Pixels, _Pixels]:
    """(56, 56, 8) twice: what each of the eight numbers adds to the way across, and to the way down."""
    x, y = _ACROSS.astype(np.float64), _DOWN.astype(np.float64)
    one, none = np.ones_like(x), np.zeros_like(x)
    return (
        np.stack([one, x, y, none, none, none, x * x, x * y], axis=-1),
        np.stack([none, none, none, one, x, y, x * y, y * y], axis=-1),
    )


def _left(basis: _Basis, seen: _Pixels) -> float:
    """The mean squared difference that a view leaves, made brighter and moved a little as fits best."""
    return _solved(basis, seen)[0]


def _solved(basis: _Pixels, seen: _Pixels) -> tuple[float, _Pixels]:
    """What the best sum of a basis and a brightness leaves, and that sum's weights without the brightness."""
    rows = np.concatenate([np.ones((len(basis), 1)), basis], axis=1)
    ridge = 1e-3 * np.eye(rows.shape[1])  # a view without texture has nothing to fit
    weights = np.linalg.solve(rows.T @ rows + ridge, rows.T @ seen)
    return float(np.mean((seen - rows @ weights) ** 2)), np.asarray(weights[1:], np.float64)


def _shifted(one: _Small, moves: _Pixels) -> _Small:
    """A view moved as the weights of its basis would have it, by two pixels at most in each way."""
    gain = moves[0] if abs(moves[0]) > 0.2 else 0.2
    by = np.clip(moves[1:] / gain, -2, 2)
    ways = [by[n] + by[n + 1] * _ACROSS + by[n + 2] * _DOWN for n in (0, 3)]
    return _fetched(one, np.stack(ways, axis=-1).astype(np.float32))


def _slopes(one: _Small) -> tuple[_Small, _Small]:
    across, down = (cv2.Sobel(one, cv2.CV_32F, n, 1 - n, ksize=3) / 8 for n in (1, 0))
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def _flow(one: View, other: View) -> _Flow:
    found = _dis().calc(one, other, None)[::2, ::2]
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(found), (0, 0), 1.5) / 2, np.float32)


@cache
def _dis() -> Any:  # noqa: ANN401 - OpenCV's own class
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    dis.setFinestScale(1)  # at half size: that is what is compared
    return dis


def _fetched(one: _Small, by: _Flow) -> _Small:
    """Each pixel from so far away."""
    maps = _X + by[..., 0], _Y + by[..., 1]
    return np.asarray(cv2.remap(one, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _soft(one: View) -> View:
    return np.asarray(cv2.GaussianBlur(one, (0, 0), _BLUR_PX), np.uint8)


def _small(one: View) -> _Small:
    return np.ascontiguousarray(one[::2, ::2]).astype(np.float32)
