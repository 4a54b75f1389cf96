"""Photographs of people with their outline, so that a head can be put before other grounds.

The outline is found with GrabCut (Rother, Kolmogorov, Blake 2004) on the photograph at half its size: the
face is certainly the person, the upper corners certainly are not. Outlines are kept, for finding one takes
longer than composing a picture of it.

    FOLDER/outlines.npz   row (n,) of the library, sure; mask (n, 125, 125) uint8 0..255
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image
from janusd_export.detector.library import Kind, Library, Part
from janusd_export.errors import ExportError

OUTLINES = "outlines.npz"
_SIDE_PX = 125
_MOST = {Part.TRAIN: 550, Part.TUNE: 100, Part.HELD_OUT: 150}
"""Outlines looked for; the others of a part are seen where they were photographed."""


@dataclass(frozen=True, slots=True)
class Portrait:
    """One photograph of one person."""

    pixels: Image
    box_px: tuple[float, float, float, float]
    """x, y, width, height of the face."""
    outline: NDArray[np.uint8]
    """(H, W) 255 where the person is; all of it where the outline is not known."""

    @property
    def centre_px(self) -> tuple[float, float]:
        """The middle of the face."""
        x, y, width, height = self.box_px
        return x + width / 2, y + height / 2

    @property
    def face_px(self) -> float:
        """The face's height."""
        return self.box_px[3]


@dataclass(frozen=True, slots=True)
class Gathering:
    """The people and the places of one part of a library."""

    library: Library
    rows: NDArray[np.intp]
    """Everybody; whose outline is known first, in the order of `masks`."""
    masks: NDArray[np.uint8]
    places: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    def portrait(self, number: int) -> Portrait:
        """One of the people."""
        row = int(self.rows[number])
        pixels = np.ascontiguousarray(self.library.pixels(row))
        size = (pixels.shape[1], pixels.shape[0])
        if number < len(self.masks):
            outline = cv2.resize(self.masks[number], size, interpolation=cv2.INTER_CUBIC)
        else:
            outline = np.full(pixels.shape[:2], 255, np.uint8)
        x, y, width, height = (float(n) for n in self.library.box_px[row])
        return Portrait(pixels, (x, y, width, height), np.asarray(outline, np.uint8))

    def somebody(self, rng: np.random.Generator, *, is_outlined: bool = False) -> Portrait:
        """Anybody, or anybody whose outline is known."""
        return self.portrait(int(rng.integers(len(self.masks if is_outlined else self.rows))))

    def somewhere(self, rng: np.random.Generator) -> Image:
        """A photograph of any place without a face."""
        return np.ascontiguousarray(self.library.pixels(int(rng.choice(self.places))))


def gather(library: Library, folder: Path, part: Part) -> Gathering:
    """The people of a part whose outline was found. Raises ExportError."""
    path = folder / OUTLINES
    try:
        with np.load(path) as table:
            rows, masks = table["row"], table["mask"]
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"{path} cannot be read ({error}): run janus-export passive outline") from error
    chosen = np.isin(rows, library.rows(part, Kind.PHOTO))
    places = library.rows(part, Kind.BACKGROUND)
    if not chosen.any() or not len(places):
        raise ExportError(f"{path} has nobody for {part.name.lower()}, or the library no background there")
    known = rows[chosen]
    others = np.setdiff1d(library.rows(part, Kind.PHOTO), known)
    return Gathering(library, np.concatenate([known, others]), masks[chosen], places)


def write_outlines(
    library: Library, folder: Path, say: Callable[[str, int, int], None] = lambda part, done, total: None
) -> int:
    """Find and keep the outlines of everybody; give how many were found."""
    rows = np.concatenate([library.rows(part, Kind.PHOTO)[: _MOST[part]] for part in Part])
    kept, masks = [], []
    cv2.setRNGSeed(1)
    for number, row in enumerate(rows):
        say("outlines", number + 1, len(rows))
        found = outline(library.pixels(int(row)), library.box_px[row])
        if found is not None:
            kept.append(row)
            masks.append(found)
    folder.mkdir(parents=True, exist_ok=True)
    beside = (folder / OUTLINES).with_suffix(".new")
    try:
        with beside.open("wb") as file:
            np.savez_compressed(file, row=np.array(kept, np.int64), mask=np.stack(masks))
        beside.replace(folder / OUTLINES)
    except (OSError, ValueError) as error:
        raise ExportError(f"{folder / OUTLINES} cannot be written: {error}") from error
    return len(kept)


def outline(pixels: Image, box_px: NDArray[np.float32]) -> NDArray[np.uint8] | None:
    """(125, 125) 255 where the person is; None where what was found is no head on shoulders."""
    scale = _SIDE_PX / pixels.shape[0]
    small = cv2.resize(pixels, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
    x, y, width, height = (float(n) * scale for n in box_px)
    middle = (round(x + width / 2), round(y + 0.45 * height))
    mask = np.full((_SIDE_PX, _SIDE_PX), cv2.GC_PR_BGD, np.uint8)
    mask[: round(y + 0.6 * height), : max(1, round(x - 0.7 * width))] = cv2.GC_BGD
    mask[: round(y + 0.6 * height), round(x + 1.7 * width) :] = cv2.GC_BGD
    mask[: max(1, round(y - 0.6 * height))] = cv2.GC_BGD
    cv2.ellipse(mask, middle, (round(0.8 * width), round(0.75 * height)), 0, 0, 360, cv2.GC_PR_FGD, -1)
    chest = round(y + 1.25 * height)
    cv2.rectangle(
        mask, (round(x - 0.5 * width), chest), (round(x + 1.5 * width), _SIDE_PX), cv2.GC_PR_FGD, -1
    )
    cv2.ellipse(mask, middle, (round(0.42 * width), round(0.45 * height)), 0, 0, 360, cv2.GC_FGD, -1)
    try:
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(small, mask, (0, 0, 1, 1), *models, 2, cv2.GC_INIT_WITH_MASK)
    except cv2.error:
        return None
    found: Any = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    _, labels, _, _ = cv2.connectedComponentsWithStats(found)
    found = (labels == labels[middle[1], middle[0]]).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    share, in_corners = float(found.mean()), float(found[:20, :15].mean() + found[:20, -15:].mean())
    reaches_down = float(found[-3:].mean())
    if not 0.2 < share < 0.75 or in_corners > 0.1 or reaches_down < 0.2:
        return None
    return np.asarray(cv2.GaussianBlur(255 * found, (0, 0), 0.8), np.uint8)
