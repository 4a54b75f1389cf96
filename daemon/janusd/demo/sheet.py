"""A contact sheet of the street: one frame a visit, with what the door made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from janusd.core.types import Image
from janusd.demo.album import Person
from janusd.demo.story import Outcome
from janusd.demo.street import frames

_TILE = (240, 180)
_CAPTION_PX = 42
_COLUMNS = 5
_GREEN, _RED, _GREY = (60, 170, 80), (220, 60, 50), (120, 120, 120)


def write_sheet(
    path: Path, outcomes: Sequence[Outcome], people: Mapping[str, Person], *, seed: int = 0
) -> Path:
    """Write the sheet as a picture file; give its path."""
    tiles = [_tile(outcome, people, seed) for outcome in outcomes]
    blank = np.full_like(tiles[0], 255)
    rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    rows[-1] += [blank] * (_COLUMNS - len(rows[-1]))
    sheet = np.vstack([np.hstack(row) for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written; end it with .png or .jpg")
    return path


def _tile(outcome: Outcome, people: Mapping[str, Person], seed: int) -> Image:
    shots = list(frames(outcome.visit, people, street_seed=seed))
    shot = cv2.resize(shots[len(shots) * 3 // 5], _TILE, interpolation=cv2.INTER_AREA)
    opened = outcome.unlocked_for
    colour = _RED if not outcome.is_right else _GREEN if opened else _GREY
    caption = np.full((_CAPTION_PX, _TILE[0], 3), 255, np.uint8)
    lines = (
        f"{' + '.join(outcome.visit.people)}, {outcome.visit.light.value}",
        f"opens for {opened}" if opened else f"shut: {outcome.reason}",
    )
    for index, text in enumerate(lines):
        cv2.putText(
            caption, text, (6, 15 + 17 * index), cv2.FONT_HERSHEY_SIMPLEX, 0.42,
            (30, 30, 30) if index == 0 else colour, 1, cv2.LINE_AA,
        )  # fmt: skip
    tile = np.vstack([shot, caption]).astype(np.uint8)
    cv2.rectangle(tile, (0, 0), (tile.shape[1] - 1, tile.shape[0] - 1), colour, 3)
    return tile
