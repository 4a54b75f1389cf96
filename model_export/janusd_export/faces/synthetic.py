"""Draw people who do not exist, as shards that `import` reads.

    OUT/settings.json        what decides which faces these are; another seed needs another folder
    OUT/faces-NNNN.tar       a thousand faces each, see `shards.py`
    OUT/index.csv            all shards that are there
    OUT/index/faces-NNNN.csv the lines of one finished shard
    OUT/pieces/NUMBER.*      faces of the shard that is being drawn
    OUT/refused.csv          numbers that gave no face, and why

Face number n is view n mod V of person n div V, and depends on the seed and n only (and, in its last bits, on
the processor: OpenVINO uses bfloat16 where there is some). Every face is on the disk as soon as it is drawn,
so a run can be killed at any time; asking for a larger number goes on where the smaller one ended.
"""

from __future__ import annotations

import csv
import fcntl
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from janusd.core.align import TEMPLATE
from janusd.core.types import Image
from janusd_export import workers
from janusd_export.errors import ExportError
from janusd_export.faces.demo_faces import MEASURES, Floats, Pose, posed
from janusd_export.faces.generator import STYLE_DIM, TRUNCATION, Generator
from janusd_export.faces.shards import COLUMNS, ShardFace, write_index, write_shard
from janusd_export.faces.stored import Finder, Finders, Refused, Wanted, photographed

FACES_A_SHARD = 1000
QUALITY = 90  # of the WebP
LOOKED_AT_PX = 512  # whole pictures are reduced to this before detection
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Which faces are drawn."""

    seed: int
    views: int = 1
    """Pictures a person. With one, the person is left unlabelled: nobody else is like them anyway."""
    truncation: float = TRUNCATION
    """How far from the mean a person may be; 1 is everything the generator knows, oddities included."""
    is_quick: bool = True
    """See `generator.py`."""


class Drawer(Protocol):
    """Draws pictures of people; opened once a process."""

    def __call__(self, number: int) -> Image:
        """The picture of this number."""


@dataclass(frozen=True, slots=True)
class GeneratorDrawer:
    """Opens the generator. Can be sent to another process."""

    wheel_dir: Path
    plan: Plan

    def open(self) -> Drawer:
        """Load it. Raises ExportError."""
        plan = self.plan
        try:
            generator = Generator(self.wheel_dir, is_quick=plan.is_quick)
        except FileNotFoundError as error:
            raise ExportError(str(error)) from error
        ways = directions()

        def draw(number: int) -> Image:
            person, view = divmod(number, plan.views)
            rng = np.random.default_rng([plan.seed, person])
            style = generator.styles(rng, 1, truncation=plan.truncation)[0]
            if plan.views > 1:
                style = posed(style, random_pose(np.random.default_rng([plan.seed, person, view])), ways)
            picture = generator.draw(style)
            if picture.shape[0] <= LOOKED_AT_PX:
                return picture
            size = (LOOKED_AT_PX, LOOKED_AT_PX)
            return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)

        return draw


class DrawerFactory(Protocol):
    """What a worker process is given."""

    def open(self) -> Drawer:
        """A drawer of this process's own."""


def directions() -> Floats:
    """(5, 512): what a style is moved along for each of `MEASURES`. Raises ExportError."""
    with np.load(Path(__file__).with_name("demo_directions.npz")) as stored:
        learnt = np.asarray(stored["directions"], np.float32)
    if learnt.shape != (len(MEASURES), STYLE_DIM):
        raise ExportError(f"demo_directions.npz holds {learnt.shape}: it is of another generator")
    return learnt


def random_pose(rng: np.random.Generator) -> Pose:
    """A view as a door might have it: mostly turned, sometimes smiling, lit from anywhere."""
    yaw, pitch, smile, side_light, brightness = rng.normal(0.0, (0.7, 0.4, 0.3, 0.5, 0.4)).clip(-1.2, 1.2)
    return Pose(yaw, pitch, smile, side_light, brightness)


def synthesize(
    drawer: DrawerFactory,
    plan: Plan,
    count: int,
    out: Path,
    *,
    jobs: int = 1,
    finder: Callable[[], Finder] | None = None,
    a_shard: int = FACES_A_SHARD,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Draw numbers 0 .. count - 1 into shards; give how many became faces, and why others did not.

    Raises ExportError; whatever was drawn until then stays.
    """
    try:
        (out / "pieces").mkdir(parents=True, exist_ok=True)
        (out / "index").mkdir(exist_ok=True)
        with _settled(out, plan, a_shard):
            done = 0
            missing = list(_missing(out, count, a_shard)) if progress else []
            done = count - len(missing)
            with _Workers(drawer, plan, finder, jobs) as workers:
                for first in range(0, count, a_shard):
                    numbers = range(first, min(first + a_shard, count))
                    if _is_finished(out, first, a_shard):
                        continue
                    wanted = [number for number in numbers if not _piece(out, number).exists()]
                    for number, drawn in workers.draw(wanted):
                        _keep(out, number, drawn)
                        done += 1
                        if progress:
                            progress("faces", done, count)
                    _pack(out, numbers, plan, a_shard)
            _list_all(out)
            return _count(out)
    except OSError as error:
        raise ExportError(
            f"{out}: {error.strerror or error}. The faces drawn so far are safe: mend it and run it again"
        ) from error


@contextmanager
def _settled(out: Path, plan: Plan, a_shard: int) -> Iterator[None]:
    """Hold the folder for one process and one plan."""
    path = out / "settings.json"
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExportError(f"{out} is in use by another janus-export: wait for it") from error
        settings: dict[str, Any] = {**asdict(plan), "faces_a_shard": a_shard}
        file.seek(0)
        text = file.read()
        if not text:
            file.write(json.dumps(settings) + "\n")
            file.flush()
        elif json.loads(text) != settings:
            raise ExportError(
                f"{out} was drawn with {text.strip()}: go on with the same, or give another folder"
            )
        yield


def _shard(first: int, a_shard: int) -> str:
    return f"faces-{first // a_shard:04d}"


def _piece(out: Path, number: int) -> Path:
    """What is known of a number; its picture lies beside it."""
    return out / "pieces" / f"{number:08d}.json"


def _is_finished(out: Path, first: int, a_shard: int) -> bool:
    return (out / "index" / f"{_shard(first, a_shard)}.csv").exists()


def _missing(out: Path, count: int, a_shard: int) -> Iterator[int]:
    for number in range(count):
        if not _is_finished(out, number, a_shard) and not _piece(out, number).exists():
            yield number


@dataclass(frozen=True, slots=True)
class _Drawn:
    coded: bytes
    detector_score: float
    upscale: float
    refused: str = ""


def _keep(out: Path, number: int, drawn: _Drawn) -> None:
    """The picture first, what is known of it last: a number without the second is drawn again."""
    piece = _piece(out, number)
    if drawn.coded:
        piece.with_suffix(".webp").write_bytes(drawn.coded)
    beside = piece.with_suffix(".new")
    beside.write_text(
        json.dumps({"score": drawn.detector_score, "upscale": drawn.upscale, "refused": drawn.refused})
    )
    beside.replace(piece)


def _pack(out: Path, numbers: range, plan: Plan, a_shard: int) -> None:
    """Write the shard of these numbers; when it is full, its pieces go."""
    name = _shard(numbers.start, a_shard)
    faces, refused = [], []
    for number in numbers:
        known = json.loads(_piece(out, number).read_text())
        if known["refused"]:
            refused.append((f"{number:08d}", known["refused"]))
            continue
        person = f"s{plan.seed}-{number // plan.views:07d}" if plan.views > 1 else ""
        coded = _piece(out, number).with_suffix(".webp").read_bytes()
        faces.append(ShardFace(f"{number:08d}", coded, "synthetic", person, known["score"], known["upscale"]))
    write_shard(out / f"{name}.tar", faces)
    is_full = len(numbers) == a_shard
    folder = out / "index" if is_full else out / "pieces"
    _write_refused(folder / f"{name}.refused", refused)
    write_index(folder / f"{name}.csv", (face.row(f"{name}.tar") for face in faces))  # last: it is done
    if is_full:
        for number in numbers:
            _piece(out, number).with_suffix(".webp").unlink(missing_ok=True)
            _piece(out, number).unlink()
        for stale in (out / "pieces").glob(f"{name}.*"):
            stale.unlink()


def _write_refused(path: Path, rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _listed(out: Path, ending: str) -> Iterator[list[str]]:
    """The lines of all shards, in their order: those of finished ones, then those of the last."""
    for folder in (out / "index", out / "pieces"):
        for path in sorted(folder.glob(f"*.{ending}")):
            if folder.name == "pieces" and (out / "index" / path.name).exists():
                continue  # finished since, and killed before this one was removed
            with path.open(newline="", encoding="utf-8") as file:
                yield from csv.reader(file)


def _list_all(out: Path) -> None:
    write_index(out / "index.csv", (row for row in _listed(out, "csv") if tuple(row) != COLUMNS))
    _write_refused(out / "refused.csv", chain([("key", "reason")], _listed(out, "refused")))


def _count(out: Path) -> dict[str, int]:
    found = Counter({"faces": sum(tuple(row) != COLUMNS for row in _listed(out, "csv"))})
    found.update(row[1] for row in _listed(out, "refused"))
    return dict(found)


@dataclass(frozen=True, slots=True)
class _Eye:
    """What a process keeps: it draws, finds the face, and aligns it."""

    draw: Drawer
    find: Finder

    def see(self, number: int) -> _Drawn:
        wanted = Wanted(fewest_eyes_px=0.0)
        try:
            face = photographed(self.draw(number), self.find, wanted)
        except Refused as why:
            return _Drawn(b"", 0.0, 0.0, why.reason.value)
        score, eyes_px = float(face.measured[0]), float(face.measured[1])
        bgr = np.ascontiguousarray(face.pixels[:, :, ::-1])
        _, coded = cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, QUALITY])
        return _Drawn(coded.tobytes(), score, float(np.hypot(*(TEMPLATE[1] - TEMPLATE[0]))) / eyes_px)


_eye: _Eye | None = None  # of a worker process


def _open_eye(drawer: DrawerFactory, finder: Callable[[], Finder] | None) -> _Eye:
    return _Eye(drawer.open(), finder() if finder else Finders.of_the_door().photo)


def _start(drawer: DrawerFactory, finder: Callable[[], Finder] | None) -> None:
    global _eye  # noqa: PLW0603  # a process pool has no other place for what its workers keep
    _eye = _open_eye(drawer, finder)


def _see_in_worker(number: int) -> _Drawn:
    if _eye is None:
        raise RuntimeError("the worker was not started")
    return _eye.see(number)


class _Workers:
    """Draws numbers, here or in several processes; gives them in their order."""

    def __init__(
        self, drawer: DrawerFactory, plan: Plan, finder: Callable[[], Finder] | None, jobs: int
    ) -> None:
        self._drawer, self._finder, self._jobs = drawer, finder, jobs
        self._here: _Eye | None = None
        self._pool: ProcessPoolExecutor | None = None

    def draw(self, numbers: list[int]) -> Iterator[tuple[int, _Drawn]]:
        if not numbers:
            return
        if self._jobs == 1:
            self._here = self._here or _open_eye(self._drawer, self._finder)
            for number in numbers:
                yield number, self._here.see(number)
            return
        if self._pool is None:
            self._pool = workers.pool(self._jobs, _start, self._drawer, self._finder)
        rest = iter(numbers)
        waiting: list[tuple[int, Future[_Drawn]]] = []
        while True:
            for number in islice(rest, 2 * self._jobs - len(waiting)):
                waiting.append((number, self._pool.submit(_see_in_worker, number)))
            if not waiting:
                return
            number, drawn = waiting.pop(0)
            yield number, drawn.result()

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
