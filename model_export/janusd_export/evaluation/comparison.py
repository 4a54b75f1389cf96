"""What `janus-export compare` found: the file it keeps and `report` draws.

    DIR/comparison.json    one JSON object, written again after each objective
    DIR/NAME/              that objective's run, as `train` leaves it

Trust boundary: the file may come from another machine or version, so it is read strictly typed, and a wrong
field is named.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from janusd_export.errors import ExportError
from janusd_export.evaluation.findings import OperatingPoint

FILE = "comparison.json"
FORMAT = 1
RATES = (1e-2, 1e-3)


class Outcome(msgspec.Struct, frozen=True):
    """What one objective came to. All are judged on the same people, who taught none of them."""

    name: str
    """Of the objective, and of its folder."""
    asks: str
    knows_people: bool
    """Whether it learnt from labels alone."""
    learnt_from: int
    """Different faces that its batches could draw."""
    steps: int
    faces_seen: int
    seconds: float
    points: list[OperatingPoint]
    """At each of `RATES`."""
    equal_error_rate: float
    cosine: float | None = None
    """To its own target, of held-out people: of targets that differ, so not to be compared."""


class Comparison(msgspec.Struct, frozen=True):
    """Objectives on the same faces, from the same weights, with the same budget."""

    format: int
    recipe: str
    """Its name."""
    budget: str
    """In words."""
    settings: dict[str, Any]
    """What must be the same to go on: the recipe with its budget, and what the cache held."""
    train_faces: int
    held_out_faces: int
    held_out_people: int
    genuine: int
    """Pairs of two held-out faces of one person."""
    impostor: int
    wanted: list[str]
    """The objectives that were asked for, in their order."""
    outcomes: list[Outcome] = []
    """Of those that are through."""


def write(folder: Path, found: Comparison) -> None:
    """Keep it. Raises ExportError when it cannot be written."""
    path = folder / FILE
    beside = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        beside.replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error


def read(folder: Path) -> Comparison:
    """Read what `write` kept. Raises ExportError naming file and field."""
    path = folder / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Comparison)
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path} is no comparison: {error}: write it with janus-export compare") from error
    if found.format != FORMAT:
        raise ExportError(f"{path} has format {found.format}, this version reads {FORMAT}: compare again")
    return found
