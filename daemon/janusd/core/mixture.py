"""Is what lies between two views of a face a view too, or only the two of them mixed?

Two photographs of one person in two poses, dissolved into each other, lead a nose along a way without a gap.
A head that turns never looks like that: halfway, its nose and cheeks are at a third place, and no sum of two
pictures puts them there. So the frames on the way are compared with the best sum of its two ends, each with
a weight of its own.

Each end may be shifted, turned, zoomed and sheared for it, up to the first order (Lucas and Kanade, "An
iterative image registration technique", IJCAI 1981), so that panning or a hand's tremor hides nothing, and
landmarks need not be exact. What a sum leaves unexplained is put beside what the nearer end alone leaves.

Not seen: one photograph wiped over another (a patchwork of both ends was tried, and took heads for it), and
three photographs or more, so near to each other that every step alone is too small a turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Crop

View: TypeAlias = NDArray[np.uint8]
"""(112, 112) uint8: green of an aligned crop, without its finest noise."""

_Basis: TypeAlias = NDArray[np.float64]
"""(n, 8): a constant, the view, and what the six ways of moving it a little add, for n pixels."""

_SIDE: Final = 112
_STEP: Final = 2
_BLUR_PX: Final = 1.5
_Y, _X = np.mgrid[0:_SIDE:_STEP, 0:_SIDE:_STEP].astype(np.float64)
_FACE: Final = ((_X - 56) / 40) ** 2 + ((_Y - 66) / 44) ** 2 < 1
_ACROSS: Final = ((_X - 56) / 40)[_FACE]
_DOWN: Final = ((_Y - 66) / 40)[_FACE]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What of a way is held for mixed."""

    dissolve: float = 0.22
    """Part of the squared difference from the nearer end that a sum leaves. SIMULATED, through the door's own
    detector, the median of three frames: dissolves 0.03 to 0.16, heads that turn 0.34 to 0.56."""


def view(crop: Crop) -> View:
    """What is kept of an aligned crop."""
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(crop[..., 1]), (0, 0), _BLUR_PX), np.uint8)


def is_mixed(first: View, between: Sequence[View], last: View, bounds: Bounds | None = None) -> bool:
    """Whether the views between two others are mostly mixtures of them: the median counts, not one frame."""
    if not between:
        return False
    bounds = bounds or Bounds()
    ends = _basis(first), _basis(last)
    left = [_unexplained(*ends, _pixels(one.astype(np.float32))) for one in between]
    return float(np.median(left)) < bounds.dissolve


def _unexplained(first: _Basis, last: _Basis, seen: NDArray[np.float64]) -> float:
    """What a sum leaves of the squared difference from the nearer end; 1 where there is no difference."""
    nearer = min(_left(first, seen), _left(last, seen))
    both = np.concatenate([first, last[:, 1:]], axis=1)
    return _left(both, seen) / nearer if nearer > 0.0 else 1.0


def _left(basis: _Basis, seen: NDArray[np.float64]) -> float:
    """The mean squared difference that the basis leaves."""
    ridge = 1e-3 * np.eye(basis.shape[1])  # a view without texture has nothing to fit
    weights = np.linalg.solve(basis.T @ basis + ridge, basis.T @ seen)
    return float(np.mean((seen - basis @ weights) ** 2))


def _basis(one: View) -> _Basis:
    pixels = one.astype(np.float32)
    x, y = (_pixels(cv2.Sobel(pixels, cv2.CV_32F, dx, 1 - dx, ksize=3) / 8) for dx in (1, 0))
    flat = np.ones_like(_ACROSS)
    return np.stack(
        [flat, _pixels(pixels), x, x * _ACROSS, x * _DOWN, y, y * _ACROSS, y * _DOWN], axis=1
    )  # (n, 8)


def _pixels(picture: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(picture[::_STEP, ::_STEP][_FACE], np.float64)
