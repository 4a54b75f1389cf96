"""Write aligned faces as shards that `import` reads.

    DIR/index.csv       shard,key,source,person,detector_score,upscale, sorted by shard
    DIR/faces-NN.tar    KEY.webp, a square aligned face with a margin; KEY.cls, its person where there is one

The same faces give the same bytes: members carry no time and no owner.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("shard", "key", "source", "person", "detector_score", "upscale")


@dataclass(frozen=True, slots=True)
class ShardFace:
    """One face of a shard."""

    key: str
    coded: bytes
    """WebP."""
    source: str
    person: str
    """Empty: unknown."""
    detector_score: float
    upscale: float
    """How much it was enlarged; below 1: reduced."""

    def row(self, shard: str) -> tuple[str, ...]:
        """Its line of the index."""
        scores = f"{self.detector_score:.3f}", f"{self.upscale:.3f}"
        return (shard, self.key, self.source, self.person, *scores)


def write_shard(path: Path, faces: Iterable[ShardFace]) -> None:
    """Write one tar beside its place and move it there: it is whole, or not there."""
    beside = path.with_suffix(".new")
    with tarfile.open(beside, "w", format=tarfile.USTAR_FORMAT) as archive:
        for face in faces:
            _add(archive, f"{face.key}.webp", face.coded)
            if face.person:
                _add(archive, f"{face.key}.cls", face.person.encode())
    beside.replace(path)


def write_index(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write the index beside its place and move it there."""
    beside = path.with_suffix(".new")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    beside.replace(path)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
