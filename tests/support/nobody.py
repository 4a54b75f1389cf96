"""Photographs of nobody: the demo's portraits, as sources for the export pipeline."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

import janusd.demo

FACES = Path(janusd.demo.__file__).parent / "faces"
RESIDENTS = ("ada", "ben", "chloe")


def portrait(person: str = "ada", name: str = "enrol-00") -> np.ndarray:
    """RGB, 320 x 320."""
    return cv2.imread(str(FACES / person / f"{name}.webp"), cv2.IMREAD_COLOR)[:, :, ::-1]


def portraits(person: str, count: int) -> list[bytes]:
    """The first files of a person."""
    return [path.read_bytes() for path in sorted((FACES / person).glob("*.webp"))[:count]]


def make_tree(folder: Path, counts: Mapping[str, int]) -> Path:
    """PERSON/NN.webp."""
    for person, count in counts.items():
        (folder / person).mkdir(parents=True)
        for number, content in enumerate(portraits(person, count)):
            (folder / person / f"{number:02}.webp").write_bytes(content)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> Path:
    """A tar of these members, in this order."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items() if isinstance(files, Mapping) else files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def as_webp(pixels: np.ndarray) -> bytes:
    """RGB pixels, without loss."""
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    return cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
