"""Composed scenes on the disk, so that a training step waits for no composition.

    CACHE/NAME.pixels   (n, H, W, 3) uint8, one scene after the other
    CACHE/NAME.npz      height, width; count (n,) faces of each scene; box_px (all, 4); points_px (all, 5, 2)
    CACHE/made-from.json

Names are "detector-train", "detector-tune", "refiner-train", "refiner-tune". Scene k depends on the library,
the seed and k alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image
from janusd_export.detector.library import Library, Part
from janusd_export.detector.scenes import Composer, Scene, Wanted
from janusd_export.errors import ExportError
from janusd_export.origin import note_origin

REFINER_SCENE_PX = 160
PURPOSES = {
    "detector": Wanted(),
    # One face in the middle, at any size from a few pixels up to twice the refiner's crop, or none at all.
    "refiner": replace(
        Wanted(),
        height=REFINER_SCENE_PX,
        width=REFINER_SCENE_PX,
        faces=(0.2, 0.8),
        smallest_px=18.0,
        largest_px=110.0,
        fills=0.3,
        bordered=0.0,
        is_centred=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Scenes:
    """A cache that is open."""

    images: NDArray[np.uint8]
    """(n, H, W, 3), on the disk."""
    first: NDArray[np.int64]
    """(n + 1,) where each scene's faces begin."""
    box_px: NDArray[np.float32]
    points_px: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)

    def scene(self, number: int) -> Scene:
        """One of them."""
        faces = slice(int(self.first[number]), int(self.first[number + 1]))
        image: Image = np.array(self.images[number])
        return Scene(image, self.box_px[faces], self.points_px[faces])


def write_scenes(
    library: Library,
    folder: Path,
    purpose: str,
    part: Part,
    count: int,
    seed: int,
    say: Callable[[str, int, int], None] = lambda part, done, total: None,
) -> Path:
    """Compose so many scenes; what is there already with as many stays. Gives the table's path.

    Raises ExportError if the folder's scenes are of another library or seed.
    """
    name = f"{purpose}-{part.name.lower()}"
    table, pixels = folder / f"{name}.npz", folder / f"{name}.pixels"
    wanted = PURPOSES[purpose]
    note_origin(folder / "made-from.json", {"seed": seed, "library": library.digest})
    if table.exists() and len(open_scenes(folder, name)) == count:
        return table
    composer = Composer(library, part, wanted)
    counts, boxes, points = [], [np.zeros((0, 4), np.float32)], [np.zeros((0, 5, 2), np.float32)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with pixels.with_suffix(".pixels.new").open("wb") as file:
            for number in range(count):
                scene = composer.compose(np.random.default_rng([seed, part, number]))
                file.write(scene.image.tobytes())
                counts.append(len(scene.box_px))
                boxes.append(scene.box_px)
                points.append(scene.points_px)
                say(name, number + 1, count)
        with table.with_suffix(".npz.new").open("wb") as file:
            np.savez(
                file,
                size=np.array([wanted.height, wanted.width]),
                count=np.array(counts, np.int64),
                box_px=np.concatenate(boxes),
                points_px=np.concatenate(points),
            )
        pixels.with_suffix(".pixels.new").replace(pixels)
        table.with_suffix(".npz.new").replace(table)
    except OSError as error:
        raise ExportError(
            f"{folder}: {error.strerror or error}: make room, or ask for fewer scenes"
        ) from error
    return table


def open_scenes(folder: Path, name: str) -> Scenes:
    """Open scenes that were written. Raises ExportError."""
    try:
        with np.load(folder / f"{name}.npz") as table:
            count, (height, width) = table["count"], table["size"]
            boxes, points = table["box_px"], table["points_px"]
        shape = (len(count), int(height), int(width), 3)
        images = np.memmap(folder / f"{name}.pixels", np.uint8, "r", shape=shape)
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(
            f"{folder} holds no scenes {name!r} ({error}): run janus-export detector scenes"
        ) from error
    return Scenes(images, np.concatenate([[0], np.cumsum(count)]), boxes, points)
