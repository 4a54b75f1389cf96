"""Read face shards into one array.

    DIR/index.csv       shard,key,source,person,detector_score,upscale
    DIR/faces-NN.tar    KEY.webp, a square aligned face with a margin; KEY.cls, its person (also in the index)

Trust boundary: a shard that is cut off, a picture that cannot be read or has another size, or a face missing
from its shard ends in an ExportError that names it.
"""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from janusd_export.errors import ExportError
from janusd_export.photos import decode


def unpack(
    shards_dir: Path, cache_dir: Path, side: int, progress: Callable[[int, int], None] | None = None
) -> int:
    """Decode all faces into CACHE/faces.npy and CACHE/faces.csv; give their number."""
    try:
        with (shards_dir / "index.csv").open(newline="", encoding="utf-8") as file:
            rows = [(r["shard"], r["key"], r["source"], r["person"]) for r in csv.DictReader(file)]
    except (OSError, KeyError) as error:
        raise ExportError(
            f"{shards_dir}/index.csv cannot be read ({error!r}): give the folder of the shards"
        ) from error
    place = {(shard, key): number for number, (shard, key, _, _) in enumerate(rows)}
    cache_dir.mkdir(parents=True, exist_ok=True)
    beside = cache_dir / "faces.new.npy"
    faces = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=(len(rows), side, side, 3))
    done = 0
    for shard in sorted({shard for shard, _, _, _ in rows}):
        try:
            with tarfile.open(shards_dir / shard, "r:") as archive:
                for member in archive:
                    number = (
                        place.pop((shard, Path(member.name).stem), None)
                        if member.name.endswith(".webp")
                        else None
                    )
                    if number is None:
                        continue
                    stored = archive.extractfile(member)
                    face = decode(stored.read() if stored else b"", f"{shard}/{member.name}")
                    if face.shape != (side, side, 3):
                        raise ExportError(f"{shard}/{member.name} is {face.shape[1]} px wide, not {side}")
                    faces[number] = face
                    done += 1
                    if progress:
                        progress(done, len(rows))
        except (tarfile.TarError, OSError) as error:
            raise ExportError(
                f"{shards_dir / shard} is damaged or cut off ({error}): fetch it again"
            ) from error
    if place:
        shard, key = next(iter(place))
        raise ExportError(f"{len(place)} faces of index.csv are not in their shards, first {shard}/{key}")
    faces.flush()
    beside.replace(cache_dir / "faces.npy")
    with (cache_dir / "faces.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "source", "person"])
        writer.writerows(
            [f"{shard.removesuffix('.tar')}/{key}", source, person] for shard, key, source, person in rows
        )
    return done
