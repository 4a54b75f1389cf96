"""Films that somebody made of photographs, and films of heads that turn: SIMULATED, coded as MPEG-4.

What is played is the film itself, as though it were the camera's picture: no screen, no print and no hand
lies between, so a network has no edge to go by. Species differ in what was done to the photographs: nothing,
one of them moved, warped, lit or coded anew, two or three mixed in time (dissolves, wipes, cuts, parts pasted
in). A photograph is a portrait of the demo's album before the demo's street; a second one of the same person
is another portrait, or the first with its head turned as a relief is.

Bounds are chosen on the people and the draws of `Part.DEVELOPMENT`, figures are told of those of
`Part.HELD_OUT`: the two share no person, and no draw.
"""

from __future__ import annotations

import math
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Frame, Image
from janusd.demo.album import Person, View, album
from janusd.demo.scene import HEIGHT_PX, WIDTH_PX, compose
from janusd_export.attacks import pictures
from janusd_export.detector import turning
from janusd_export.errors import ExportError
from janusd_hw.camera_replay import ReplayCamera

FPS: Final = 10.0
FRAMES: Final = 40
_NOISE: Final = 2.5
"""Standard deviation, levels: what a small sensor adds to a head that is filmed."""
APART_PX: Final = (34.0, 44.0, 60.0, 78.0, 96.0)
"""Eye distances that presentations have in turn."""
MIDDLE: Final = np.array([WIDTH_PX / 2, 215.0])
"""Where the middle between the eyes is."""

STREET_YAWS: Final = (0.2, -0.4, 0.6, 0.0, -0.7, 0.35, 0.0, -0.25, 0.9, -0.5)
"""How far heads are turned in the album's street views (`faces.demo_faces` drew them)."""

Map: TypeAlias = NDArray[np.float64]
"""(3, 3): from a photograph's pixels to the film's."""

Mask: TypeAlias = NDArray[np.float32]
"""(480, 640) 0..1: how much of the second photograph is seen where."""

Film: TypeAlias = Callable[["Cast", np.random.Generator], Iterator[Image]]


class Sitter(ABC):
    """A head before the camera, the eyes so far apart."""

    def __init__(self, apart_px: float) -> None:
        self.apart_px = apart_px

    @property
    def nose_px(self) -> tuple[float, float]:
        """About where the nose is."""
        return float(MIDDLE[0]), float(MIDDLE[1] + 0.6 * self.apart_px)

    @abstractmethod
    def head(self, yaw_deg: float, onto: Map | None = None) -> Image:
        """A frame with the head turned so far, and moved by `onto`."""


class Part(Enum):
    """Whom and what draws a film is made of."""

    DEVELOPMENT = 0
    HELD_OUT = 1


class Cast(Sitter):
    """One person of the album before the camera, with the eyes so far apart."""

    def __init__(self, person: Person, apart_px: float, rng: np.random.Generator) -> None:
        super().__init__(apart_px)
        self._person = person
        self._views = sorted(zip(STREET_YAWS, person.street, strict=False), key=lambda posed: posed[0])
        self._turns = rng.random() < 0.5
        self._yaws = rng.uniform(9, 18) * (-1 if rng.random() < 0.5 else 1), rng.uniform(9, 18)
        self._shift = rng.uniform(-4, 4, 2)
        self._scale = rng.uniform(0.97, 1.03)
        self._pair: tuple[Image, Image] | None = None

    def head(self, yaw_deg: float, onto: Map | None = None) -> Image:
        """A frame with the person's head turned as a relief is, and moved by `onto` before the street."""
        return self._laid(self._person.street[0], yaw_deg, onto=onto)

    def photograph(self) -> Image:
        """One picture of the person."""
        return self.pair()[0]

    def pair(self) -> tuple[Image, Image]:
        """Two photographs in two poses, the eyes in almost the same places."""
        if self._pair is None:
            self._pair = self._two()
        return self._pair

    def _two(self) -> tuple[Image, Image]:
        if self._turns:
            left, right = (math.copysign(yaw, sign) for yaw, sign in zip(self._yaws, (-1, 1), strict=True))
            return self.head(left), self._laid(self._person.street[0], right, self._shift, self._scale)
        (_, one), (_, other) = self._views[0], self._views[-1]
        return self._laid(one), self._laid(other, 0.0, self._shift, self._scale)

    def between(self) -> Image:
        """A third photograph, in a pose between the two."""
        if self._turns:
            return self._laid(self._person.street[0], 0.0, -self._shift, 1.0)
        return self._laid(self._views[len(self._views) // 2][1], 0.0, -self._shift, 1.0)

    def _laid(
        self,
        view: View,
        yaw_deg: float = 0.0,
        shift: NDArray[np.float64] | None = None,
        scale: float = 1.0,
        onto: Map | None = None,
    ) -> Image:
        """A portrait before the street."""
        rgba = view.cutout()
        if yaw_deg:
            rgba = pictures.relief(rgba, view, yaw_deg)
        eyes = np.array(view.eyes_px)
        size = scale * self.apart_px / float(np.hypot(*(eyes[1] - eyes[0])))
        at = MIDDLE + (0 if shift is None else shift)
        place = np.vstack([np.column_stack([size * np.eye(2), at - size * eyes.mean(axis=0)]), [0, 0, 1]])
        if size < 1:  # warping does not average
            rgba = np.asarray(cv2.GaussianBlur(rgba, (0, 0), 0.45 / size), np.uint8)
        over = place if onto is None else onto @ place
        laid = cv2.warpPerspective(rgba, over, (WIDTH_PX, HEIGHT_PX)).astype(np.float32)
        opacity = laid[..., 3:] / 255
        return np.asarray(laid[..., :3] * opacity + _street() * (1 - opacity), np.uint8)


def cast(part: Part, index: int, seed: int) -> tuple[Cast, np.random.Generator]:
    """Who is before the camera in one presentation, and what its further draws come from."""
    people = cast_of(part)
    rng = np.random.default_rng((part.value, seed, index))
    return Cast(people[index % len(people)], APART_PX[index % len(APART_PX)], rng), rng


def presentation(shots: Iterator[Image]) -> Iterator[Frame]:
    """A film's frames as a camera gives them, coded and decoded. Raises ExportError."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write(path, "mp4v", shots)
        yield from ReplayCamera(path, pace="fast", start_s=1.0).frames()


def write(path: Path, codec: str, shots: Iterator[Image]) -> None:
    """Write a film with one of OpenCV's codecs. Raises ExportError where it has none such."""
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*codec), FPS, (WIDTH_PX, HEIGHT_PX)  # type: ignore[attr-defined]
    )  # fmt: skip
    if not writer.isOpened():
        raise ExportError(f"OpenCV here writes no {path.suffix} coded as {codec}")
    for shot in shots:
        writer.write(np.ascontiguousarray(shot[..., ::-1]))
    writer.release()


def cast_of(part: Part) -> list[Person]:
    """The album's people of one part: every second one."""
    return list(album().values())[part.value :: 2]


# ---- one still ----


def looped(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """The same picture in every frame."""
    for _ in _time():
        yield cast.photograph().copy()


def noised(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """With noise, and light that flickers or swells."""
    pace, depth = rng.uniform(0.5, 12), rng.uniform(0.05, 0.4)
    for t in _time():
        yield sensed(cast.photograph() * (1 + depth * math.sin(2 * math.pi * pace * t)), rng)


def zoomed(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Panned and zoomed, in or out."""
    still, zoom, way = cast.photograph(), rng.uniform(1.3, 2.0), rng.uniform(-60, 60, 2)
    is_in = rng.random() < 0.5
    for t in _time():
        yield warped(still, similar(1 + (zoom - 1) * (t if is_in else 1 - t), 0.0, *(way * t)))


def shaken(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """In a hand that shakes, and turns it in its plane."""
    still, state, reach = cast.photograph(), np.zeros(4), rng.uniform(0, 25)
    for t in _time():
        state = 0.85 * state + rng.normal(0, 1, 4) * [2.5, 2.5, 0.6, 0.006]
        turn = state[2] + reach * math.sin(2 * math.pi * t)
        yield sensed(warped(still, similar(1 + state[3], turn, state[0], state[1])), rng)


def coarse(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Panned, and coded again and again with few bits."""
    for shot in zoomed(cast, rng):
        coded = cv2.imencode(".jpg", shot, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(8, 25))])[1]
        yield np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def tilted(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Turned and tilted in perspective by up to 50 degrees, as a sheet or a screen is."""
    still, reach, pace = cast.photograph(), rng.uniform(15, 50), rng.uniform(0.5, 2)
    axis, focal = rng.uniform(0, math.pi), rng.uniform(350, 800)
    for t in _time():
        angle = reach * math.sin(2 * math.pi * pace * t)
        yield warped(still, aslant(angle * math.cos(axis), angle * math.sin(axis), focal))


def bent(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """A print bent to a part of a cylinder, more and less, while it is turned."""
    still, reach, pace = cast.photograph(), rng.uniform(5, 25), rng.uniform(0.5, 1.5)
    tightest, turn = rng.uniform(1.8, 4.0) * cast.apart_px, rng.uniform(-0.5, 0.5)
    for t in _time():
        radius = tightest * (1.5 - 0.5 * math.sin(2 * math.pi * 0.7 * t))
        yield rolled(still, cast.nose_px, radius, turn, reach * math.sin(2 * math.pi * pace * t))


def rippled(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """A print that waves like cloth: rows slide to and fro."""
    still, sway = cast.photograph(), rng.uniform(0.05, 0.15) * cast.apart_px
    length, (x, y) = rng.uniform(1.2, 4) * cast.apart_px, _grid()
    for t in _time():
        yield _fetched(still, x + sway * np.sin(2 * np.pi * (y / length + 2 * t)), y)


def fisheye(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Moved across a lens that bends straight lines."""
    still, bulge, (x, y) = cast.photograph(), rng.uniform(0.25, 0.5), _grid()
    for t in _time():
        shot = warped(still, similar(1.0, 0.0, -120 + 240 * t, 30 * math.sin(6 * t)))
        across, down = (x - WIDTH_PX / 2) / (WIDTH_PX / 2), (y - HEIGHT_PX / 2) / (HEIGHT_PX / 2)
        pull = (1 + bulge * (across**2 + down**2)) / (1 + bulge)
        yield _fetched(shot, WIDTH_PX / 2 * (1 + across * pull), HEIGHT_PX / 2 * (1 + down * pull))


def shaded(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """A shadow passes over it, and it goes out of focus and back."""
    still, (x, _) = cast.photograph(), _grid()
    soft, width = rng.uniform(0.1, 0.5) * cast.apart_px, 2.5 * cast.apart_px
    for t in _time():
        edge = WIDTH_PX / 2 - width * math.cos(2 * math.pi * t)
        light = 0.35 + 0.65 / (1 + np.exp(-np.clip((x - edge) / soft, -30, 30)))
        blurred = cv2.GaussianBlur(still, (0, 0), 0.1 + 2 * abs(math.sin(3 * t)))
        yield sensed(blurred * light[..., np.newaxis], rng)


def meshed(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Warped by a program along a smooth mesh that breathes."""
    still, (x, y) = cast.photograph(), _grid()
    size, wide = rng.uniform(0.05, 0.2) * cast.apart_px, rng.uniform(0.6, 1.0) * cast.apart_px
    one, other = (_field(rng, wide) * size for _ in range(2))
    pace = rng.uniform(0.5, 1.5)
    for t in _time():
        by = one * math.sin(2 * math.pi * pace * t) + other * math.cos(2 * math.pi * 0.7 * pace * t)
        yield _fetched(still, x + by[..., 0], y + by[..., 1])


# ---- several stills ----


def dissolved(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """One dissolved into the other, slowly or fast."""
    one, other = cast.pair()
    for part in _ramp(rng):
        yield _mixed(one, other, np.full((HEIGHT_PX, WIDTH_PX), part, np.float32))


def dissolved_moving(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """One dissolved into the other in a hand or under a zoom."""
    yield from _moving(dissolved(cast, rng), rng)


def dissolved_thrice(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Three photographs, in poses beside each other, dissolved one after the other."""
    one, other = cast.pair()
    stills = [one, cast.between(), other]
    for part in _ramp(rng):
        first = min(int(2 * part), 1)
        weight = np.full((HEIGHT_PX, WIDTH_PX), 2 * part - first, np.float32)
        yield _mixed(stills[first], stills[first + 1], weight)


def wiped(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """One wiped over the other, across, down or aslant, with a sharp seam."""
    yield from _wiped(cast, rng, 0.02)


def wiped_softly(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """One wiped over the other with a seam of a quarter to two eye distances."""
    yield from _wiped(cast, rng, rng.uniform(0.25, 2.0))


def wiped_moving(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """One wiped over the other in a hand or under a zoom."""
    yield from _moving(_wiped(cast, rng, rng.uniform(0.02, 1.0)), rng)


def opened(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """The second seen through a circle that grows, or closes."""
    one, other = cast.pair()
    if rng.random() < 0.5:
        one, other = other, one
    (x, y), (at_x, at_y) = _grid(), cast.nose_px
    away = np.hypot(x - at_x, y - at_y) / cast.apart_px
    soft = rng.uniform(0.05, 0.6)
    for part in _ramp(rng):
        yield _mixed(one, other, np.clip((2.4 * part - 0.2 - away) / soft + 0.5, 0, 1))


def blocked(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """The second comes block by block, in no order, each dissolved by itself."""
    one, other = cast.pair()
    side = rng.uniform(0.15, 0.6) * cast.apart_px
    due = rng.random((math.ceil(HEIGHT_PX / side), math.ceil(WIDTH_PX / side))).astype(np.float32)
    x, y = _grid()
    since = due[(y / side).astype(int), (x / side).astype(int)]
    soft = rng.uniform(0.05, 0.5)
    for part in _ramp(rng):
        yield _mixed(one, other, np.clip(((1 + soft) * part - since) / soft, 0, 1))


def alternated(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Two, shown in turn for a fifth of a second to a second and a half."""
    stills, lasts = cast.pair(), int(rng.integers(2, 16))
    for number in range(FRAMES):
        yield stills[number // lasts % 2]


def slid(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """Three as a slide show: each pushes the one before aside."""
    one, other = cast.pair()
    row = np.concatenate([one, cast.between(), other], axis=1)
    for t in _time():
        shown = 2 * t
        at = int(shown) + float(np.clip((shown % 1 - 0.3) / 0.4, 0, 1))
        left = round(WIDTH_PX * min(2.0, at))
        yield np.ascontiguousarray(row[:, left : left + WIDTH_PX])


def blinked(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """The eyes of the second pasted in and out, at once or gliding."""
    yield from _pasted(cast, rng, 0.0, (1.1, 0.35))


def mouthed(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """The mouth of the second pasted in and out."""
    yield from _pasted(cast, rng, 1.05, (0.65, 0.35))


def nosed(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """The nose of the second pasted in and out: what the geometry looks at, and nothing else."""
    yield from _pasted(cast, rng, 0.5, (0.4, 0.45))


# ---- heads ----


def turned_relief(cast: Sitter, rng: np.random.Generator) -> Iterator[Image]:
    """A head that turns by 12 to 22 degrees to either side: a relief with a nose."""
    reach = _reach(rng)
    for t in _time():
        onto = similar(
            1 + 0.03 * math.sin(4 * t), 2 * math.sin(3 * t), 6 * math.sin(5 * t), 4 * math.cos(4 * t)
        )
        yield sensed(cast.head(reach * math.sin(2 * math.pi * t), onto), rng)


def turned_softly(cast: Cast, rng: np.random.Generator) -> Iterator[Image]:
    """The same with another shape of head and nose, and a nod."""
    reach, nod, apart = _reach(rng), rng.uniform(-8, 8), cast.apart_px
    wide = min(round(2.2 * apart), 210)  # beyond that nothing turns
    left, top = round(MIDDLE[0]) - wide, round(MIDDLE[1]) - wide
    points = apart * np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1], [0.4, 1]], np.float32) + wide
    still = cast.head(0.0)
    shot, head = still.copy(), np.ascontiguousarray(still[top : top + 2 * wide, left : left + 2 * wide])
    for t in _time():
        yaw, pitch = reach * math.sin(2 * math.pi * t), nod * math.sin(5 * t)
        shown, _ = turning.turned(head, points, yaw, pitch)
        shot[top : top + 2 * wide, left : left + 2 * wide] = shown
        yield sensed(warped(shot, similar(1.0, 2 * math.sin(3 * t), 8 * math.sin(4 * t), 0.0)), rng)


GENUINE: Final[Mapping[str, Film]] = {"turns, a relief": turned_relief, "turns, a softer head": turned_softly}
ATTACKS: Final[Mapping[str, Film]] = {
    "one still, looped": looped, "one still, noise and flicker": noised,
    "one still, panned and zoomed": zoomed, "one still, shaken and turned": shaken,
    "one still, coarsely coded": coarse, "one still, tilted": tilted,
    "one still, bent like a tube": bent, "one still, waved like cloth": rippled,
    "one still, through a fisheye": fisheye, "one still, shaded and blurred": shaded,
    "one still, warped by a mesh": meshed,
    "two stills, dissolved": dissolved, "two stills, dissolved, moving": dissolved_moving,
    "two stills, wiped": wiped, "two stills, wiped softly": wiped_softly,
    "two stills, wiped, moving": wiped_moving, "two stills, a circle opens": opened,
    "two stills, block by block": blocked, "two stills in turn": alternated,
    "three stills, slide show": slid, "three stills, dissolved": dissolved_thrice,
    "eyes pasted in": blinked, "mouth pasted in": mouthed, "nose pasted in": nosed,
}  # fmt: skip


def _time() -> Sequence[float]:
    return [float(t) for t in np.linspace(0, 1, FRAMES)]


def _ramp(rng: np.random.Generator) -> Sequence[float]:
    """How much of the second is seen: none, then more and more over a third of a second to the whole film."""
    begins = int(rng.integers(4, 12))
    lasts = int(rng.integers(4, FRAMES - begins))
    return [float(np.clip((number - begins) / lasts, 0, 1)) for number in range(FRAMES)]


def _reach(rng: np.random.Generator) -> float:
    return float(rng.uniform(12, 22)) * (-1 if rng.random() < 0.5 else 1)


def _wiped(cast: Cast, rng: np.random.Generator, soft: float) -> Iterator[Image]:
    one, other = cast.pair()
    angle = (0.0, math.pi / 2, rng.uniform(0, math.pi))[int(rng.integers(3))] + math.pi * (rng.random() < 0.5)
    (x, y), (at_x, at_y) = _grid(), cast.nose_px
    along = ((x - at_x) * math.cos(angle) + (y - at_y) * math.sin(angle)) / cast.apart_px
    reach = 1.2 + soft / 2
    for part in _ramp(rng):
        yield _mixed(one, other, np.clip((reach * (2 * part - 1) - along) / soft + 0.5, 0, 1))


def _pasted(cast: Cast, rng: np.random.Generator, down: float, half: tuple[float, float]) -> Iterator[Image]:
    one, other = cast.pair()
    x, y = _grid()
    across = np.abs(x - MIDDLE[0]) / cast.apart_px / half[0]
    below = np.abs(y - MIDDLE[1] - down * cast.apart_px) / cast.apart_px / half[1]
    edge = np.clip((1.15 - np.hypot(across, below)) / 0.3, 0, 1).astype(np.float32)
    pace, sharp = rng.uniform(0.5, 2), rng.uniform(0.5, 6)
    for t in _time():
        part = float(np.clip(0.5 - 0.5 * sharp * math.cos(2 * math.pi * pace * t), 0, 1))
        yield _mixed(one, other, part * edge)


def _moving(shots: Iterator[Image], rng: np.random.Generator) -> Iterator[Image]:
    """The film itself panned, zoomed, and swayed by up to 15 degrees."""
    zoom, way, sway = rng.uniform(0.8, 1.3), rng.uniform(-40, 40, 2), rng.uniform(0, 15, 2)
    for t, shot in zip(_time(), shots, strict=True):
        onto = similar(1 + (zoom - 1) * t, 2 * math.sin(3 * t), *(way * t))
        yield warped(shot, onto @ aslant(sway[0] * math.sin(5 * t), sway[1] * math.sin(4 * t), 602.0))


def _mixed(one: Image, other: Image, weight: Mask) -> Image:
    part = weight[..., np.newaxis]
    return np.asarray(one * (1 - part) + other * part, np.uint8)


def sensed(picture: NDArray[Any], rng: np.random.Generator) -> Image:
    """A frame with a sensor's noise."""
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(_NOISE)
    return np.asarray(np.clip(picture + noise, 0, 255), np.uint8)


def similar(scale: float, turn_deg: float, right: float, down: float) -> Map:
    """Zoomed and turned about the face, then moved."""
    cos, sin = scale * math.cos(math.radians(turn_deg)), scale * math.sin(math.radians(turn_deg))
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.vstack([np.column_stack([linear, MIDDLE - linear @ MIDDLE + [right, down]]), [0, 0, 1]])


def aslant(yaw_deg: float, pitch_deg: float, focal_px: float) -> Map:
    """The picture on a plane that is turned about the face, seen by a pinhole so many pixels away."""
    turn = cv2.Rodrigues(np.array([0.0, math.radians(yaw_deg), 0.0]))[0]
    turn = turn @ cv2.Rodrigues(np.array([math.radians(pitch_deg), 0.0, 0.0]))[0]
    camera = np.array([[focal_px, 0, MIDDLE[0]], [0, focal_px, MIDDLE[1]], [0, 0, 1]])
    plane = np.column_stack([turn[:, 0], turn[:, 1], [0, 0, focal_px]])
    return np.asarray(camera @ plane @ np.array([[1, 0, -MIDDLE[0]], [0, 1, -MIDDLE[1]], [0, 0, 1.0]]))


def rolled(still: Image, about: tuple[float, float], radius_px: float, slant: float, yaw_deg: float) -> Image:
    """The picture on a tube around an axis through the face, slanted and turned, seen from far away."""
    x, y = _grid()
    cos, sin = math.cos(slant), math.sin(slant)
    across, down = (x - about[0]) * cos + (y - about[1]) * sin, -(x - about[0]) * sin + (y - about[1]) * cos
    yaw = math.radians(yaw_deg)
    at = np.clip(across / radius_px - math.sin(yaw), -0.98, 0.98)
    from_across = radius_px * (np.arcsin(at) + yaw)
    return _fetched(
        still, about[0] + from_across * cos - down * sin, about[1] + from_across * sin + down * cos
    )


def _field(rng: np.random.Generator, wide: float) -> NDArray[np.float32]:
    """(480, 640, 2): smooth noise of unit deviation that changes over so many pixels."""
    drawn = rng.standard_normal((HEIGHT_PX // 4, WIDTH_PX // 4, 2), np.float32)
    smooth = cv2.GaussianBlur(drawn, (0, 0), wide / 4)
    return np.asarray(cv2.resize(smooth / smooth.std(), (WIDTH_PX, HEIGHT_PX)), np.float32)


def warped(picture: Image, onto: Map) -> Image:
    """The picture moved by a map."""
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpPerspective(picture, onto, (WIDTH_PX, HEIGHT_PX), borderMode=border), np.uint8)


def _fetched(picture: Image, x: NDArray[Any], y: NDArray[Any]) -> Image:
    maps = x.astype(np.float32), y.astype(np.float32)
    return np.asarray(cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


@cache
def _grid() -> tuple[Mask, Mask]:
    x, y = np.meshgrid(np.arange(WIDTH_PX, dtype=np.float32), np.arange(HEIGHT_PX, dtype=np.float32))
    return x, y


@cache
def _street() -> Image:
    return compose([], seed=0)
