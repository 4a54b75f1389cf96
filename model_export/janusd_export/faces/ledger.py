"""The files of a cache that `import` appends to, and the journal that says how far they are true.

    CACHE/journal.jsonl   first line: settings that hold for all faces; then one line a part, as written
    CACHE/faces.npy       (N, S, S, 3) uint8 RGB
    CACHE/landmarks.npy   (N, 5, 2) float32
    CACHE/faces.csv       one row a face
    CACHE/refused.csv     one row a picture that became no face, and why; written from the journal

A part is some hundred pictures under the digest of their bytes and labels. Its rows are written and made
durable first, its line in the journal last; opening cuts every file back to the last whole line. So a run
that was killed, or met a full disk, loses at most one part of work and doubles nothing.

A part that its source no longer has stays in the files (later rows keep their numbers, and teachers'
embeddings stay true) but is marked gone.

Trust boundary: our own files; a journal that does not fit them ends in an ExportError.
"""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from janusd_export.errors import ExportError
from janusd_export.faces.growing import GrowingArray, write_all

FACE_COLUMNS = (
    "key", "source", "person", "detector_score", "inter_ocular_px", "yaw_deg", "pitch_deg", "roll_deg",
    "brightness", "sharpness", "fails",
)  # fmt: skip
"""`fails`: the first floor of a door's that the face would fail, empty where it is fit."""
REFUSED_COLUMNS = ("key", "source", "person", "reason", "detail")
JOURNAL = "journal.jsonl"


def _line(row: Sequence[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(row)
    return written.getvalue().encode()


@dataclass(frozen=True, slots=True)
class Part:
    """What one part of a source gave. Rows of the first three correspond."""

    pixels: NDArray[np.uint8]
    """(n, S, S, 3)"""
    landmarks_px: NDArray[np.float32]
    """(n, 5, 2)"""
    faces: Sequence[Sequence[str]]
    """n rows of `FACE_COLUMNS`."""
    refused: Sequence[Sequence[str]]
    """Rows of `REFUSED_COLUMNS`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which rows of the cache a part has."""

    source: str
    first: int
    last: int
    """The row behind its last one."""


@dataclass(slots=True)
class _Journal:
    settings: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Place] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    paths: dict[str, str] = field(default_factory=dict)
    """Where each source was found."""
    unfinished: set[str] = field(default_factory=set)
    """Sources that were begun and not read to their end."""
    rows: int = 0
    faces_bytes: int = len(_line(FACE_COLUMNS))
    length: int = 0
    """Bytes of whole lines."""


def settings(cache_dir: Path) -> dict[str, Any]:
    """What the cache was made with; nothing where it has no journal."""
    path = cache_dir / JOURNAL
    return _read(path).settings if path.exists() else {}


def gone_rows(cache_dir: Path, *, must_be_whole: bool = True) -> list[range]:
    """Rows that their source no longer has; none where the cache has no journal.

    Raises ExportError where an import was interrupted, if that matters.
    """
    path = cache_dir / JOURNAL
    if not path.exists():
        return []
    journal = _read(path)
    if journal.unfinished and must_be_whole:
        raise ExportError(
            f"{cache_dir}: the import of {', '.join(sorted(journal.unfinished))} was interrupted: "
            "run it again"
        )
    return [range(journal.parts[part].first, journal.parts[part].last) for part in sorted(journal.gone)]


class Ledger:
    """A cache, open for appending by one process. Use it as a context manager."""

    def __init__(self, cache_dir: Path, settings: dict[str, Any], side: int) -> None:
        """Open or begin a cache. Raises ExportError where it is in use, or of other settings."""
        cache_dir.mkdir(parents=True, exist_ok=True)
        path = cache_dir / JOURNAL
        others = [*cache_dir.glob("*.npy"), *cache_dir.glob("dropped.csv")]
        if not path.exists() and others:
            raise ExportError(f"{cache_dir} holds {others[0].name} but no journal: give an empty folder")
        self.cache_dir = cache_dir
        with ExitStack() as opened:
            self._file = opened.enter_context(path.open("a+b", buffering=0))
            self._take_over(path, settings)
            pixels = GrowingArray(cache_dir / "faces.npy", (side, side, 3), np.uint8)
            self._pixels = opened.enter_context(pixels)
            self._landmarks = opened.enter_context(
                GrowingArray(cache_dir / "landmarks.npy", (5, 2), np.float32)
            )
            table = _open_table(cache_dir / "faces.csv", self._journal.faces_bytes)
            self._table = opened.enter_context(table)
            if min(self._pixels.rows, self._landmarks.rows) < self._journal.rows:
                raise ExportError(
                    f"{cache_dir} holds fewer faces than its journal says: delete it and begin anew"
                )
            self._back()
            self._opened = opened.pop_all()

    def _take_over(self, path: Path, settings: dict[str, Any]) -> None:
        """Hold the cache for this process, and check what it was made with."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExportError(f"{path.parent} is in use by another janus-export: wait for it") from error
        self._journal = _read(path)
        self._file.truncate(self._journal.length)
        if not self._journal.settings:
            self._write({"settings": settings})
            self._journal.settings = settings
        if self._journal.settings != settings:
            differs = [k for k in settings if self._journal.settings.get(k) != settings[k]]
            was = ", ".join(f"{k} = {self._journal.settings.get(k)}" for k in differs)
            raise ExportError(
                f"{path.parent} was made with {was}: import with the same, or into another folder"
            )

    @property
    def rows(self) -> int:
        """Faces in the cache, those gone from their sources included."""
        return self._journal.rows

    def begin(self, source: str, path: Path, *, has_moved: bool = False) -> None:
        """Say which source the next parts are of. Raises ExportError where its name is another source's."""
        was = self._journal.paths.get(source)
        now = str(path.resolve())
        if was is not None and was != now and not has_moved:
            raise ExportError(
                f"{self.cache_dir} has a source {source} from {was}: name this one differently, "
                f"as NAME={path}; if it has only moved, give --moved"
            )
        self._write({"begun": source, "path": now})
        self._journal.paths[source] = now

    def __contains__(self, part: str) -> bool:
        return part in self._journal.parts

    def keep(self, part: str) -> None:
        """A part that is there already was met again; if it had been gone, it is back."""
        if part in self._journal.gone:
            self._write({"back": part})
            self._journal.gone.discard(part)

    def append(self, name: str, source: str, part: Part) -> None:
        """Add a part, durably. Raises ExportError when the disk is full; what was there before stays."""
        first = self._journal.rows
        try:
            self._pixels.append(part.pixels)
            self._landmarks.append(part.landmarks_px)
            self._pixels.save()
            self._landmarks.save()
            size = _append(self._table, part.faces)
            self._write(
                {
                    "part": name,
                    "source": source,
                    "faces": len(part.faces),
                    "faces_bytes": size,
                    "refused": part.refused,
                }
            )
        except OSError as error:
            self._back()
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise ExportError(
                f"{self.cache_dir}: no room for more than {first:,} faces ({error.strerror}). They are safe: "
                f"make room and run it again, it goes on from there"
            ) from error
        self._journal.rows = first + len(part.faces)
        self._journal.faces_bytes = size
        self._journal.parts[name] = Place(source, first, self._journal.rows)

    def finish(self, source: str, met: set[str]) -> int:
        """The source was read to its end and had these parts; give the rows that are newly gone."""
        lost = [
            name
            for name, place in self._journal.parts.items()
            if place.source == source and name not in met and name not in self._journal.gone
        ]
        for name in lost:
            self._write({"gone": name})
            self._journal.gone.add(name)
        self._list_refused()
        self._write({"finished": source})
        return sum(self._journal.parts[name].last - self._journal.parts[name].first for name in lost)

    def close(self) -> None:
        """Give the cache free."""
        self._opened.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, line: dict[str, Any]) -> None:
        begins = self._file.seek(0, os.SEEK_END)
        try:
            write_all(self._file, json.dumps(line).encode() + b"\n")
            os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), begins)
            raise

    def _back(self) -> None:
        """Cut every file back to what the journal says."""
        self._pixels.cut(self._journal.rows)
        self._landmarks.cut(self._journal.rows)
        os.ftruncate(self._table.fileno(), self._journal.faces_bytes)

    def _list_refused(self) -> None:
        """Write refused.csv anew: what the parts that are not gone refused."""
        path = self.cache_dir / "refused.csv"
        beside = path.with_suffix(".new")
        with (self.cache_dir / JOURNAL).open("rb") as lines, beside.open("wb") as file:
            file.write(_line(REFUSED_COLUMNS))
            for line in map(json.loads, lines):
                if "part" in line and line["part"] not in self._journal.gone:
                    file.writelines(map(_line, line["refused"]))
        beside.replace(path)


def _open_table(path: Path, size: int) -> io.FileIO:
    file = path.open("a+b", buffering=0)
    if path.stat().st_size == 0:
        write_all(file, _line(FACE_COLUMNS))
    if path.stat().st_size < size:
        raise ExportError(f"{path} is shorter than its journal says: delete its folder and begin anew")
    return file


def _append(file: io.FileIO, rows: Sequence[Sequence[str]]) -> int:
    """Write rows durably; give the file's length."""
    write_all(file, b"".join(map(_line, rows)))
    os.fsync(file.fileno())
    return os.fstat(file.fileno()).st_size


def _read(path: Path) -> _Journal:
    """What the whole lines of a journal say."""
    journal = _Journal()
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.endswith(b"\n"):
                break  # the line was being written when the run ended
            try:
                _take(journal, json.loads(raw))
            except (ValueError, KeyError, TypeError) as error:
                raise ExportError(
                    f"{path}, line {number} is damaged ({error!r}): delete its folder and begin anew"
                ) from error
            journal.length += len(raw)
    return journal


def _take(journal: _Journal, line: dict[str, Any]) -> None:
    if "settings" in line:
        journal.settings = line["settings"]
    elif "begun" in line:
        journal.paths[line["begun"]] = line["path"]
        journal.unfinished.add(line["begun"])
    elif "finished" in line:
        journal.unfinished.discard(line["finished"])
    elif "gone" in line:
        journal.gone.add(line["gone"])
    elif "back" in line:
        journal.gone.discard(line["back"])
    else:
        rows = journal.rows + line["faces"]
        journal.parts[line["part"]] = Place(line["source"], journal.rows, rows)
        journal.rows, journal.faces_bytes = rows, line["faces_bytes"]
