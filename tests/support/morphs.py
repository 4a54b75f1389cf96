"""Morphs of two people: faces mixed so that either may pass for them. SIMULATED, of the demo's nobodies."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np

from janusd.core.types import Image, Points


def morph(one: Image, its: Points, other: Image, others: Points, share: float = 0.5) -> Image:
    """Both photographs brought to the landmarks between theirs, and blended: `share` is the second's.

    Triangles between the landmarks and the border are moved as wholes, as morphing programs do (Ferrara et
    al., "The magic passport", IJCB 2014).
    """
    height, width = one.shape[:2]
    other = cv2.resize(other, (width, height))
    between = (1 - share) * its + share * others
    moved = [_moved(image, points, between) for image, points in ((one, its), (other, others))]
    return np.asarray(np.rint((1 - share) * moved[0] + share * moved[1]), np.uint8)


def _moved(image: Image, points: Points, onto: Points) -> np.ndarray:
    height, width = image.shape[:2]
    grid = product((0.0, (width - 1) / 2, width - 1.0), (0.0, (height - 1) / 2, height - 1.0))
    border = np.array([at for at in grid if at != ((width - 1) / 2, (height - 1) / 2)], np.float32)
    source, target = (np.concatenate([p, border]).astype(np.float32) for p in (points, onto))
    folded = cv2.Subdiv2D((-1, -1, width + 2, height + 2))
    folded.insert([(float(x), float(y)) for x, y in target])
    whole = np.zeros((height, width, 3), np.float32)
    for triangle in folded.getTriangleList().reshape(-1, 3, 2):
        found = [int(np.argmin(np.hypot(*(target - corner).T))) for corner in triangle]
        if np.abs(target[found] - triangle).max() > 0.5:
            continue  # one of its corners is the frame's that OpenCV adds
        matrix = cv2.getAffineTransform(source[found], target[found])
        warped = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        inside = np.zeros((height, width), np.uint8)
        cv2.fillConvexPoly(inside, np.rint(target[found]).astype(np.int32), 1)
        whole[inside > 0] = warped[inside > 0]
    return whole
