"""Turn pictures into aligned faces in a cache: stream, detect, align, measure, append.

    source -> items -> parts -> (in the journal already? kept) -> faces and refusals -> ledger
              one at   some hundred,                              the door's detector,
              a time   cut by their keys                          core.align, core.quality

A part ends where the digest of a key says so, not after a fixed count: a picture that is added or removed
changes one part, and all others are found again by their content. One part is in memory at a time, so neither
the number of pictures nor the number of sources matters to memory.
"""

from __future__ import annotations

import csv
import hashlib
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from janusd_export import workers
from janusd_export.errors import ExportError
from janusd_export.faces.cache import live_rows
from janusd_export.faces.ledger import Ledger, Part
from janusd_export.faces.sources import Item, Source
from janusd_export.faces.stored import Finders, Refused, Wanted, look, read_item

FORMAT = 1
Progress = Callable[[str, int, int], None]
"""Called with (source, pictures done, all)."""


@dataclass(slots=True)
class Summary:
    """What one source gave, in this run and before."""

    name: str
    kind: str
    pictures: int = 0
    faces: int = 0
    labelled: int = 0
    people: int = 0
    one_photo_people: int = 0
    """People of whom there is a single face: of use to distillation, not to pairs."""
    unseen: int = 0
    """Aligned faces in which the door's detector finds no face; they keep their shard's landmarks."""
    unfit: int = 0
    """Faces that a door would refuse for their quality; they are kept, marked in `fails`."""
    kept: int = 0
    """Pictures that an earlier run had looked at, and that have not changed."""
    gone: int = 0
    """Faces of earlier runs that the source no longer has."""
    refused: dict[str, int] = field(default_factory=dict)


def run_import(
    sources: Sequence[Source],
    cache_dir: Path,
    wanted: Wanted,
    *,
    jobs: int = 1,
    same_people: bool = False,
    has_moved: bool = False,
    finders: Callable[[], Finders] = Finders.of_the_door,
    cut: tuple[int, int] = (64, 256),
    progress: Progress | None = None,
) -> list[Summary]:
    """Append what the sources hold to the cache, and give one summary a source.

    With `same_people` a name means the same person in all sources. `cut` is (mean, most) pictures a part.
    Raises ExportError; whatever was appended until then stays.
    """
    names = [source.name for source in sources]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ExportError(f"two sources are called {twice[0]}: name them apart, as NAME=PATH")
    try:
        summaries = _import_all(
            sources, cache_dir, wanted, jobs, same_people, has_moved, finders, cut, progress
        )
        _count(cache_dir, summaries)
    except OSError as error:
        raise ExportError(
            f"{error.filename or cache_dir}: {error.strerror or error}. What was imported so far is safe: "
            "mend it and run it again"
        ) from error
    return summaries


def _import_all(
    sources: Sequence[Source],
    cache_dir: Path,
    wanted: Wanted,
    jobs: int,
    same_people: bool,
    has_moved: bool,
    finders: Callable[[], Finders],
    cut: tuple[int, int],
    progress: Progress | None,
) -> list[Summary]:
    with _Workers(finders, wanted, jobs) as workers:
        settings = {
            "format": FORMAT,
            "margin_px": wanted.margin_px,
            "grey": wanted.is_grey,
            "fewest_eyes_px": wanted.fewest_eyes_px,
            "detector": workers.detector,
        }
        with Ledger(cache_dir, settings, wanted.side) as ledger:
            summaries = []
            for source in sources:
                ledger.begin(source.name, source.path, has_moved=has_moved)
                total = sum(1 for _ in _readable(source)) if progress else 0
                summary = Summary(source.name, source.kind.value)
                met: set[str] = set()
                for name, part in workers.run(_tasks(source, same_people, ledger, cut)):
                    met.add(name)
                    if isinstance(part, int):
                        ledger.keep(name)
                        summary.kept += part
                        summary.pictures += part
                    else:
                        ledger.append(name, source.name, part)
                        summary.pictures += len(part.faces) + len(part.refused)
                    if progress:
                        progress(source.name, summary.pictures, total)
                summary.gone = ledger.finish(source.name, met)
                summaries.append(summary)
    return summaries


def _readable(source: Source) -> Iterator[Item]:
    try:
        for item in source.items():
            yield replace(item, key=_printable(item.key), person=_printable(item.person))
    except OSError as error:
        raise ExportError(f"cannot read {error.filename or source.path}: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _Task:
    """One part of a source, its pictures read once to know their content."""

    name: str
    """The digest of all that decides what the part gives."""
    items: tuple[tuple[Item, str], ...]
    """Each with the digest of its bytes."""
    source: str
    people: str
    """What people's names begin with."""


def _tasks(
    source: Source, same_people: bool, ledger: Ledger, cut: tuple[int, int]
) -> Iterator[_Task | tuple[str, int]]:
    """The parts to make; of those that are in the ledger only (name, pictures)."""
    mean, most = cut
    people = "" if same_people else f"{source.name}/"
    items: list[tuple[Item, str]] = []
    given: set[str] = set()  # a table may say the same twice

    def part() -> _Task | tuple[str, int]:
        digest = hashlib.sha256(repr((source.name, people)).encode())
        for item, content in items:
            digest.update(
                repr((item.key, item.person, item.origin, item.upscale, item.problem, content)).encode()
            )
        name = digest.hexdigest()
        if name in ledger or name in given:
            return name, len(items)
        given.add(name)
        return _Task(name, tuple(items), source.name, people)

    for item in _readable(source):
        items.append((item, _content(item)))
        if len(items) == most or zlib.crc32(item.key.encode()) % mean == 0:
            yield part()
            items = []
    if items:
        yield part()


def _printable(name: str) -> str:
    """A file's name as text: bytes that are no UTF-8 become question marks."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _content(item: Item) -> str:
    """The digest of a picture's bytes; empty where it cannot be read."""
    try:
        return "" if item.problem else hashlib.sha256(read_item(item)).hexdigest()
    except OSError:
        return ""


class _Workers:
    """Makes parts, in this process or in several; gives them in the order asked for."""

    def __init__(self, finders: Callable[[], Finders], wanted: Wanted, jobs: int) -> None:
        here = finders()
        self.detector = here.name
        self._here, self._wanted, self._jobs = here, wanted, jobs
        self._pool: ProcessPoolExecutor | None = None
        if jobs > 1:
            self._pool = workers.pool(jobs, _start, finders, wanted)

    def run(self, tasks: Iterable[_Task | tuple[str, int]]) -> Iterator[tuple[str, Part | int]]:
        """(name, part), or (name, pictures) of a part that was there."""
        waiting: deque[tuple[str, Future[Part] | int]] = deque()
        for task in tasks:
            if isinstance(task, tuple):
                waiting.append(task)
            elif self._pool is None:
                yield from _settled(waiting)
                yield task.name, make_part(task.items, task.source, task.people, self._here, self._wanted)
            else:
                waiting.append((task.name, self._pool.submit(_in_worker, task)))
            while len(waiting) > 2 * self._jobs:
                yield _wait(*waiting.popleft())
        yield from _settled(waiting)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def _settled(waiting: deque[tuple[str, Future[Part] | int]]) -> Iterator[tuple[str, Part | int]]:
    while waiting:
        yield _wait(*waiting.popleft())


def _wait(name: str, made: Future[Part] | int) -> tuple[str, Part | int]:
    return name, made if isinstance(made, int) else made.result()


_worker: tuple[Finders, Wanted] | None = None


def _start(finders: Callable[[], Finders], wanted: Wanted) -> None:
    global _worker  # noqa: PLW0603  # a process pool has no other place for what its workers keep
    _worker = finders(), wanted


def _in_worker(task: _Task) -> Part:
    if _worker is None:
        raise RuntimeError("the worker was not started")
    return make_part(task.items, task.source, task.people, *_worker)


def make_part(
    items: Iterable[tuple[Item, str]], source: str, people: str, finders: Finders, wanted: Wanted
) -> Part:
    """Detect, align and measure the faces of these pictures."""
    pixels, landmarks, faces, refused = [], [], [], []
    for item, content in items:
        person = people + item.person if item.person else ""
        key, origin = f"{source}/{item.key}", item.origin or source
        try:
            face = look(item, content, finders, wanted)
        except Refused as why:
            refused.append((key, origin, person, why.reason.value, why.detail))
            continue
        pixels.append(face.pixels)
        landmarks.append(face.landmarks_px)
        faces.append((key, origin, person, *face.measured))
    return Part(
        np.stack(pixels) if pixels else np.zeros((0, wanted.side, wanted.side, 3), np.uint8),
        np.stack(landmarks).astype(np.float32) if landmarks else np.zeros((0, 5, 2), np.float32),
        faces,
        refused,
    )


def _count(cache_dir: Path, summaries: Sequence[Summary]) -> None:
    """Fill the summaries from what is in the cache now."""
    by_name = {summary.name: summary for summary in summaries}
    photos: Counter[tuple[str, str]] = Counter()
    for row in live_rows(cache_dir):
        name = row["key"].partition("/")[0]
        summary = by_name.get(name)
        if summary is None:
            continue
        summary.faces += 1
        summary.labelled += bool(row["person"])
        summary.unseen += row["fails"] == "no_face"
        summary.unfit += row["fails"] not in ("", "no_face")
        if row["person"]:
            photos[name, row["person"]] += 1
    for (name, _), count in photos.items():
        by_name[name].people += 1
        by_name[name].one_photo_people += count == 1
    with (cache_dir / "refused.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if summary := by_name.get(row["key"].partition("/")[0]):
                summary.refused[row["reason"]] = summary.refused.get(row["reason"], 0) + 1
