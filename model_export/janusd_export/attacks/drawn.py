"""Heads that turn, as the generator draws them: SIMULATED people, seen anew at every turn.

A portrait over a relief (`films.Cast`) is stretched as it turns. The generator turns a head along a direction
of its styles that `faces.demo_faces` learnt: the far cheek is hidden, an ear comes, hair and ground behind it
come and go. It does not know degrees, so the door's own measure says which picture shows which turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from janusd.core.types import Face, Image
from janusd.demo.scene import HEIGHT_PX, WIDTH_PX
from janusd_export.attacks.films import APART_PX, MIDDLE, Map, Part, Sitter
from janusd_export.errors import ExportError
from janusd_export.faces.demo_faces import Pose, base_style, posed
from janusd_export.faces.generator import Generator
from janusd_export.faces.synthetic import directions

_STRENGTH: Final = 2.6
"""How far along the direction heads are turned: beyond, faces fall apart."""
_STEPS: Final = 47
_LEAST_DEG: Final = 26.0
"""Who is not turned so far to both sides by it is somebody else: the next one is asked."""
_FIRST: Final = {Part.DEVELOPMENT: 400, Part.HELD_OUT: 700}
"""Of the generator's people; `demo_faces` took its own from those before 400."""
_PEOPLE: Final = 24
"""So many of each part, then the first comes again."""

_Turns: TypeAlias = list[tuple[float, Image, Face]]
"""How far turned, the picture, and the face in it."""


class DrawnHead(Sitter):
    """One of the generator's people."""

    def __init__(self, turns: _Turns, apart_px: float) -> None:
        super().__init__(apart_px)
        self._turns = sorted(turns, key=lambda turn: turn[0])
        self._yaws_deg = np.array([turn[0] for turn in self._turns])
        eyes = np.array([turn[2].landmarks_px[:2] for turn in self._turns], np.float64)  # (n, 2, 2)
        frontal = int(np.argmin(np.abs(self._yaws_deg)))
        size = apart_px / float(np.hypot(*(eyes[frontal, 1] - eyes[frontal, 0])))
        middle = MIDDLE - size * eyes.mean(axis=(0, 1))
        self._place = np.vstack([np.column_stack([size * np.eye(2), middle]), [0, 0, 1]])

    def head(self, yaw_deg: float, onto: Map | None = None) -> Image:
        """A frame with the head turned as near to this as it was drawn, and moved by `onto`."""
        _, picture, _ = self._turns[int(np.argmin(np.abs(self._yaws_deg - yaw_deg)))]
        over = self._place if onto is None else onto @ self._place
        border = cv2.BORDER_REPLICATE  # no edge that a head before a door has not
        return np.asarray(
            cv2.warpPerspective(picture, over, (WIDTH_PX, HEIGHT_PX), borderMode=border), np.uint8
        )


class DrawnHeads:
    """The generator's people, drawn when they are first asked for: a quarter of a minute each.

    Args:
        generator_dir: the folder of the unpacked wheel, as for `janus-export synthesize`.
        look: the door's detector.
        yaw_deg: how far it takes a face for turned.

    Raises:
        ExportError: there is no generator in that folder.
    """

    def __init__(
        self, generator_dir: Path, look: Callable[[Image], tuple[Face, ...]], yaw_deg: Callable[[Face], float]
    ) -> None:
        self._generator_dir, self._look, self._yaw_deg = generator_dir, look, yaw_deg
        self._people: dict[Part, list[_Turns]] = {part: [] for part in Part}
        self._next = dict(_FIRST)

    @cached_property
    def _generator(self) -> Generator:
        try:
            return Generator(self._generator_dir, is_quick=True)
        except FileNotFoundError as error:
            raise ExportError(f"{error}: name the folder that synthesize --help tells to make") from error

    def sitter(self, part: Part, index: int, seed: int) -> tuple[DrawnHead, np.random.Generator]:
        """Who is before the camera in one presentation, and what its further draws come from."""
        people, place = self._people[part], index % _PEOPLE
        while place >= len(people):
            turns = self._turned(self._next[part])
            self._next[part] += 1
            people += [] if turns is None else [turns]
        rng = np.random.default_rng((part.value, seed, index))
        return DrawnHead(people[place], APART_PX[index % len(APART_PX)]), rng

    def _turned(self, number: int) -> _Turns | None:
        style = base_style(self._generator, number)
        turns: _Turns = []
        for strength in np.linspace(-_STRENGTH, _STRENGTH, _STEPS):
            picture = self._generator.draw(posed(style, Pose(yaw=float(strength)), directions()))
            if found := self._look(picture):
                turns.append((self._yaw_deg(found[0]), picture, found[0]))
        yaws_deg = [turn[0] for turn in turns]
        return turns if min(yaws_deg, default=0) <= -_LEAST_DEG and max(yaws_deg) >= _LEAST_DEG else None
