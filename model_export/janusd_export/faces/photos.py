"""A collection of photographs, one folder a person, as a folder tree, a tar, or a folder of tars.

    DIR/PERSON/*.webp|jpg|jpeg|png|bmp
    FILE.tar with the same inside
    DIR/*.tar, each with the same inside; together one collection

Trust boundary: anything may be in there. A shard that is cut off, a file that is no picture and an empty
folder end in an ExportError that names them; nothing is skipped silently.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from janusd.core.types import Image
from janusd_export.errors import ExportError

ENDINGS = (".webp", ".jpg", ".jpeg", ".png", ".bmp")


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph and where its bytes are."""

    person: str
    """The folder's name."""
    name: str
    """The file's name without its ending."""
    path: Path
    """The picture, or the tar that holds it."""
    offset: int = -1
    """Where the picture starts in the tar; -1: the file is the picture."""
    size: int = 0

    def read(self) -> bytes:
        """The file's bytes. Raises ExportError."""
        try:
            if self.offset < 0:
                return self.path.read_bytes()
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read(self.size)
        except OSError as error:
            raise ExportError(f"cannot read {self.path}: {error.strerror}") from error


def open_photos(place: Path) -> tuple[Photo, ...]:
    """All photographs of a collection, sorted by person and name. Raises ExportError."""
    if place.is_file():
        found = _of_tar(place)
    elif place.is_dir():
        tars = sorted(place.glob("*.tar"))
        found = [photo for tar in tars for photo in _of_tar(tar)] if tars else _of_tree(place)
    else:
        raise ExportError(
            f"{place} does not exist: give a folder of PERSON/*.jpg, or a .tar of such a folder"
        )
    if not found:
        raise ExportError(
            f"{place} holds no photographs ({', '.join(ENDINGS)}) in folders named after people"
        )
    return tuple(sorted(found, key=lambda photo: (photo.person, photo.name)))


def by_name(photos: Iterable[Photo]) -> dict[str, Photo]:
    """The photographs by their names. Raises ExportError where two share one: a list of pairs names them."""
    found: dict[str, Photo] = {}
    for photo in photos:
        if (other := found.setdefault(photo.name, photo)) is not photo:
            raise ExportError(
                f"two photographs are called {photo.name} ({other.person}'s and {photo.person}'s):"
                " give each file a name of its own"
            )
    return found


def decode(coded: bytes, name: str) -> Image:
    """The picture as RGB. Raises ExportError naming it."""
    try:
        pixels = cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_COLOR_BGR) if coded else None
    except cv2.error:  # it claims to be larger than OpenCV takes
        pixels = None
    if pixels is None:
        raise ExportError(f"{name} is not a readable picture: remove it or replace it")
    return np.ascontiguousarray(pixels[:, :, ::-1]).astype(np.uint8, copy=False)


def _of_tree(place: Path) -> list[Photo]:
    return [
        Photo(file.parent.name, file.stem, file)
        for folder in sorted(place.iterdir())
        if folder.is_dir()
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in ENDINGS
    ]


def _of_tar(tar: Path) -> list[Photo]:
    found = []
    ends = 0
    try:
        length = tar.stat().st_size
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                path = PurePosixPath(member.name)
                ends = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if not member.isfile() or path.suffix.lower() not in ENDINGS:
                    continue
                if member.offset_data + member.size > length:
                    raise tarfile.ReadError("unexpected end of data")
                found.append(Photo(path.parent.name, path.stem, tar, member.offset_data, member.size))
        with tar.open("rb") as file:  # tarfile takes a cut between two members for the end
            file.seek(ends)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("no end mark")
    except (tarfile.TarError, OSError) as error:
        raise ExportError(f"{tar} is damaged or cut off ({error}): fetch it again") from error
    return found
