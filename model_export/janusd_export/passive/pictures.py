"""Put a face before the camera: a living one in some place, or a photograph of one on a sheet.

Both begin with the same photographs and end in the same camera. What must not tell them apart is given to
both: living people are cut out and put before other places as well, before posters, windows and screens too,
and a third of the attacks fill the picture and show no edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Box, Face, Image
from janusd_export.passive.camera import Camera, Linear, shoot, to_light
from janusd_export.passive.media import FIRST, LEFT_OUT, SCREENS, SPECIES
from janusd_export.passive.places import defocused, ground, lay, lit_anew
from janusd_export.passive.portraits import Gathering
from janusd_export.passive.sheets import CUTS, bend_of, content_of, hand, held, seen, shadow
from janusd_export.passive.species import Medium

ROOM: Final = 2.7
"""Side of a composed scene in face heights: the network's crop, with room for a detector that errs."""
FACE_PX: Final = (48.0, 150.0)
"""Heights of faces before a door: 0.4 to 1.2 m from a camera of 640 pixels."""
_SHEET: Final = 3.4  # side of a sheet's raster in face heights: a turned one must still fill the scene


@dataclass(frozen=True, slots=True)
class Shown:
    """A scene before the camera."""

    light: Linear
    face_px: float
    """Its face is in the middle and so high."""
    breadth: float
    """Width of the face's box, in its heights."""


def living(people: Gathering, rng: np.random.Generator, face_px: float | None = None) -> Shown:
    """Somebody in the place where they were photographed, or cut out and put somewhere else."""
    face_px = _size(rng) if face_px is None else face_px
    is_elsewhere = rng.random() < 0.6
    side, portrait = round(ROOM * face_px), people.somebody(rng, is_outlined=is_elsewhere)
    pixels, outline = lay(portrait, side, face_px, rng)
    light = to_light(pixels)
    if is_elsewhere:
        behind = ground(people, side, face_px, rng, about_head=True)
        behind = defocused(behind, rng) * np.float32(np.exp(rng.normal(0, 0.4)))
        share = outline.astype(np.float32)[..., None] / 255
        light = np.asarray(light * share + behind * (1 - share), np.float32)
    return Shown(lit_anew(light, rng), face_px, portrait.box_px[2] / portrait.box_px[3])


def attack(people: Gathering, rng: np.random.Generator, species: str, face_px: float | None = None) -> Shown:
    """A photograph of somebody on a medium of training's, or of those left out of it."""
    medium, is_screen, way = (SPECIES | LEFT_OUT)[species], species in SCREENS, None
    if species not in FIRST:
        way = str(rng.choice(_MORE_WAYS_SCREEN if is_screen else _MORE_WAYS_PRINT))
    return presented(people, rng, medium, is_screen=is_screen, face_px=face_px, way=way)


def presented(
    people: Gathering,
    rng: np.random.Generator,
    medium: Medium,
    *,
    is_screen: bool,
    face_px: float | None = None,
    way: str | None = None,
) -> Shown:
    """A photograph of somebody on any medium: filling the picture, as a sheet, cut out, or as a mask."""
    face_px = _size(rng) if face_px is None else face_px
    chosen = way or str(rng.choice(_WAYS_SCREEN if is_screen else _WAYS_PRINT))
    is_elsewhere = rng.random() < 0.35
    portrait = people.somebody(rng, is_outlined=is_elsewhere or chosen == "cut out")
    side = round(ROOM * face_px)
    raster = round(_SHEET * face_px)
    content, outline = content_of(people, portrait, raster, face_px, rng, is_elsewhere=is_elsewhere)
    alpha, inner, content = CUTS[chosen](content, outline, face_px, is_screen, rng)
    where, maps = held(side, raster, face_px, rng, bend=0.0 if is_screen else bend_of(chosen, rng))
    light = seen(to_light(content), maps)
    light = medium(light, where, rng)
    if is_screen and chosen != "fills":
        shade = rng.choice([0.01, 0.02, 0.3, 0.7]) * np.exp(rng.normal(0, 0.2, 3))
        case = shade.astype(np.float32)
        glows = seen(inner, maps)[..., None]
        light = light * glows + case * (1 - glows)
    if chosen != "fills":
        behind = _behind(people, side, face_px, rng, chosen)
        share = seen(alpha, maps)[..., None]
        if rng.random() < 0.3:
            behind = behind * (1 - np.float32(rng.uniform(0.1, 0.5)) * shadow(share, face_px, rng))
        light = light * share + behind * (1 - share)
        if chosen in ("sheet", "page") and rng.random() < 0.35:
            light = hand(light, share[..., 0], portrait, face_px, rng)
    return Shown(
        lit_anew(np.asarray(light, np.float32), rng), face_px, portrait.box_px[2] / portrait.box_px[3]
    )


_WAYS_PRINT: Final = ("fills",) * 6 + ("sheet",) * 7 + ("cut out",) * 4 + ("mask",) * 3
_WAYS_SCREEN: Final = ("fills",) * 7 + ("sheet",) * 13
_MORE_WAYS_PRINT: Final = ("fills",) * 7 + ("sheet",) * 5 + ("page",) * 3 + ("cut out",) * 3 + ("mask",) * 2
_MORE_WAYS_SCREEN: Final = ("fills",) * 8 + ("sheet",) * 8 + ("page",) * 4


def materials(people: Gathering, rng: np.random.Generator) -> tuple[Image, Image, float, float]:
    """What an attack of other code begins with: photograph, place, the face's height, its box's breadth."""
    face_px = _size(rng)
    is_elsewhere = rng.random() < 0.35
    portrait = people.somebody(rng, is_outlined=is_elsewhere)
    photograph, _ = content_of(
        people, portrait, round(_SHEET * face_px), face_px, rng, is_elsewhere=is_elsewhere
    )
    place = ground(people, round(ROOM * face_px), face_px, rng, about_head=False)
    breadth = portrait.box_px[2] / portrait.box_px[3]
    return photograph, np.asarray(255 * np.clip(place, 0, 1) ** (1 / 2.2) + 0.5, np.uint8), face_px, breadth


def frames(
    shown: Shown, camera: Camera, rng: np.random.Generator, count: int
) -> Iterator[tuple[Image, Face]]:
    """So many pictures of one scene that is almost still, and what a detector says of each, with errors."""
    side, sway = shown.light.shape[0], 0.012 * shown.face_px
    border = _border(rng, side, shown.face_px)
    for number in range(count):
        light, turn = shown.light, np.zeros(2)
        if number:
            turn = rng.normal(0, sway, 2)
            zoom = 1 + rng.normal(0, 0.006)
            matrix = np.array(
                [[zoom, 0, turn[0] + side / 2 * (1 - zoom)], [0, zoom, turn[1] + side / 2 * (1 - zoom)]]
            )
            moved: Any = cv2.warpAffine(light, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
            light = np.asarray(moved, np.float32)
        image = shoot(camera, light, rng)
        for part in border:
            image[part] = 0
        yield image, _found(side / 2 + turn, shown, rng)


def single(shown: Shown, rng: np.random.Generator) -> tuple[Image, Callable[[], Face]]:
    """One picture by any camera, and a detector that says something a little else each time."""
    ((image, _),) = frames(shown, Camera.drawn(rng), rng, 1)
    return image, lambda: _found(np.full(2, shown.light.shape[0] / 2), shown, rng)


def _found(middle: NDArray[np.float64], shown: Shown, rng: np.random.Generator) -> Face:
    """Detectors draw boxes differently: a tenth taller or less, a little beside."""
    tall = shown.face_px * float(np.exp(rng.normal(0, 0.07)))
    wide = tall * shown.breadth
    x, y = middle + rng.normal(0, 0.035 * shown.face_px, 2)
    return Face(Box(float(x - wide / 2), float(y - tall / 2), wide, tall), np.zeros((5, 2), np.float32), 1.0)


def _border(rng: np.random.Generator, side: int, face_px: float) -> list[tuple[slice, slice]]:
    """Parts beyond the camera's frame, which are black to the network."""
    parts: list[tuple[slice, slice]] = []
    if rng.random() < 0.2:
        for _ in range(int(rng.integers(1, 3))):
            cut = max(1, int(side / 2 - face_px * rng.uniform(0.6, 1.15)))
            parts.append(
                [np.s_[:cut, :], np.s_[-cut:, :], np.s_[:, :cut], np.s_[:, -cut:]][int(rng.integers(4))]
            )
    return parts


def _behind(people: Gathering, side: int, face_px: float, rng: np.random.Generator, way: str) -> Linear:
    """What is seen around a sheet: a place, or whoever holds it."""
    if way == "mask" or rng.random() < (0.5 if way == "cut out" else 0.25):
        tall = face_px * rng.uniform(0.85, 1.1)
        shown = living(people, rng, tall).light
        off = np.zeros(2) if way == "mask" else rng.normal(0, 0.5, 2) * face_px
        matrix = np.array(
            [[1, 0, (side - shown.shape[1]) / 2 + off[0]], [0, 1, (side - shown.shape[0]) / 2 + off[1]]]
        )
        moved: Any = cv2.warpAffine(shown, matrix, (side, side), borderMode=cv2.BORDER_REFLECT_101)
        return np.asarray(moved, np.float32)
    return defocused(ground(people, side, face_px, rng, about_head=False), rng)


def _size(rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(*np.log(FACE_PX))))
