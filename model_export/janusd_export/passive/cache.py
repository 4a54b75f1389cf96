"""Rendered presentations on the disk, as the network sees them.

    CACHE/PART-K.pixels   (n, 2 * SIDE, SIDE, 3) uint8: the wide crop above the close one
    CACHE/PART-K.npz      species (n,) index into NAMES, 0 living; scene (n,) one number a picture
    CACHE/made-from.json

A cache is written in pieces, so that several processes can render at once and a training can begin with what
is there. Picture k of a piece depends on the library, the seed, the piece and k alone.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from janusd.core import passive
from janusd.core.types import Face, Image
from janusd_export import workers
from janusd_export.detector.library import Part, open_library
from janusd_export.errors import ExportError
from janusd_export.origin import note_origin
from janusd_export.passive import pictures
from janusd_export.passive.media import LEFT_OUT, SPECIES
from janusd_export.passive.places import lit_hard
from janusd_export.passive.portraits import Gathering, gather

SIDE: Final = 96
WIDE: Final = 2.2
"""Face heights: a phone before a face shows its case, a page its edge; more would show the face smaller."""
NEAR: Final = 1.1
NAMES: Final = ("living", *SPECIES, *LEFT_OUT)
LOOKS: Final = 3
"""Crops of one picture, as a detector errs: composing costs ten times as much as cropping."""


@dataclass(frozen=True, slots=True)
class Presentations:
    """A cache that is open."""

    pixels: tuple[NDArray[np.uint8], ...]
    """One array (n, 2 * SIDE, SIDE, 3) a piece, on the disk."""
    species: NDArray[np.int64]
    scene: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.species)

    def seen(self, number: int) -> NDArray[np.uint8]:
        """One of them."""
        for piece in self.pixels:
            if number < len(piece):
                return np.array(piece[number])
            number -= len(piece)
        raise IndexError(number)


def see(image: Image, face: Face) -> Image:
    """(2 * SIDE, SIDE, 3) what the network sees of a face; as `janusd.core.passive.looks`."""
    return np.concatenate([passive.crop(image, face, context, SIDE) for context in (WIDE, NEAR)])


def write_piece(
    people: Gathering,
    folder: Path,
    name: str,
    count: int,
    seed: int,
    *,
    media: Sequence[str] = tuple(SPECIES),
    hard_light: float = 0.0,
) -> Path:
    """Render so many pictures, half of them living, the others on these media in turn; give the table's path.

    What is there already stays. This share of the living, and of the attacks, is in light that media have of
    their own.
    """
    table = folder / f"{name}.npz"
    if table.exists():
        return table
    number_of = int.from_bytes(name.encode()) % 2**31
    species, scenes = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with table.with_suffix(".pixels").open("wb") as file:
            for number in range(count):
                rng = np.random.default_rng([seed, number_of, number])
                kind = "living" if number % 2 == 0 else media[(number // 2) % len(media)]
                which = NAMES.index(kind)
                shown = pictures.living(people, rng) if which == 0 else pictures.attack(people, rng, kind)
                if hard_light and rng.random() < hard_light:
                    shown = replace(shown, light=lit_hard(shown.light, rng))
                image, find = pictures.single(shown, rng)
                for _ in range(LOOKS):
                    file.write(see(image, find()).tobytes())
                    species.append(which)
                    scenes.append(number)
        with table.with_suffix(".new").open("wb") as file:
            np.savez(file, species=np.array(species, np.int64), scene=np.array(scenes, np.int64))
        table.with_suffix(".new").replace(table)
    except OSError as error:
        raise ExportError(f"{folder}: {error.strerror or error}: make room and render again") from error
    return table


def render(
    library: Path,
    outlines: Path,
    folder: Path,
    part: Part,
    *,
    count: int,
    piece: int,
    seed: int,
    processes: int,
    media: Sequence[str] = tuple(SPECIES),
    hard_light: float = 0.0,
) -> None:
    """Render so many pictures of a part in pieces, several processes at once; what is there already stays.

    Raises ExportError if the folder's pictures are of another library, seed or media, or lit otherwise.
    """
    made_from = {
        "library": open_library(library).digest,
        "seed": seed,
        "list of media": list(media),
        "share of hard light": hard_light,
    }
    note_origin(folder / "made-from.json", made_from)
    pieces = -(-count // piece)
    context = multiprocessing.get_context("spawn")
    same = (library, outlines, folder, part, pieces, min(piece, count), seed, tuple(media), hard_light)
    started = [
        context.Process(target=workers.begin, args=(_render, rank, processes, *same))
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise ExportError(f"{folder}: rendering ended early: what was written stays; run it again to go on")


def _render(
    rank: int,
    ranks: int,
    library: Path,
    outlines: Path,
    folder: Path,
    part: Part,
    pieces: int,
    size: int,
    seed: int,
    media: tuple[str, ...],
    hard_light: float,
) -> None:
    people = gather(open_library(library), outlines, part)
    for number in range(rank, pieces, ranks):
        name = f"{part.name.lower()}-{number:03d}"
        write_piece(people, folder, name, size, seed, media=media, hard_light=hard_light)


def join_caches(opened: Sequence[Presentations]) -> Presentations:
    """Several caches as one."""
    return Presentations(
        tuple(piece for one in opened for piece in one.pixels),
        np.concatenate([one.species for one in opened]),
        np.concatenate([one.scene for one in opened]),
    )


def open_cache(folder: Path, part: str) -> Presentations:
    """Open all pieces of a part. Raises ExportError."""
    pixels, species, scenes, first = [], [], [], 0
    tables = sorted(folder.glob(f"{part}-*.npz"))
    if not tables:
        raise ExportError(f"{folder} holds no pictures for {part}: run janus-export passive train")
    for table in tables:
        try:
            with np.load(table) as columns:
                which, scene = columns["species"], columns["scene"]
            shape = (len(which), 2 * SIDE, SIDE, 3)
            pixels.append(np.memmap(table.with_suffix(".pixels"), np.uint8, "r", shape=shape))
        except (OSError, ValueError, KeyError) as error:
            raise ExportError(f"{table} is damaged ({error}): delete it and render again") from error
        species.append(which)
        scenes.append(scene + first)
        first += int(scene.max(initial=0)) + 1
    return Presentations(tuple(pixels), np.concatenate(species), np.concatenate(scenes))
