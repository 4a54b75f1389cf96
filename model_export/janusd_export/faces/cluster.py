"""An unlabelled photo collection, sorted into stacks of the same person by verification alone.

Every face is embedded through the door's own path. Two stacks become one where the mean score over all pairs
of their faces reaches a threshold (average linkage, UPGMA), the most alike first. The guard against chaining
is in that mean: a face that resembles one of twenty does not join them, as it would with single linkage or
connected components, where A joins B and B joins C though A is nothing like C. Two further guards:

- Faces of one photograph are different people: their score counts as -1, so that a group portrait keeps its
  stacks apart.
- A face joins nobody where the door would not compare it (too small, turned, blurred, dark).

The threshold is the manifest's for one comparison at an FMR, by default 1e-3: a mean over pairs varies less
than one pair, so fewer strangers reach it than that rate says. What is left apart the owner joins by naming
two stacks alike; what is wrongly joined would teach a door a stranger.

Trust boundary: the photographs are the owner's. What is written (faces, names) stays in the output folder,
mode 0700, and nothing is fetched from or sent anywhere; the sheet says so to the browser.
"""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from janusd.core import align, quality
from janusd.core.manifest import operating_point
from janusd.core.types import Face, Image
from janusd.pipeline import Pipeline
from janusd_export.errors import ExportError
from janusd_export.faces.device import Progress
from janusd_export.faces.photos import ENDINGS, decode

MOST_FACES = 8000
"""The scores of all pairs are kept: 256 MB at this number."""
DEFAULT_FMR = 1e-3
_OTHER_PERSON = -1.0
_MARGIN = 0.55
"""Of a face's box, kept around it in a stack's pictures: enough for the door's detector to find it again."""


class FaceInPhoto(msgspec.Struct, frozen=True):
    """One face of the collection."""

    photo: str
    """The photograph's path below the collection."""
    box_px: tuple[int, int, int, int]
    """x, y, width, height."""
    file: str = ""
    """Its picture below the output folder."""


class Stack(msgspec.Struct, frozen=True):
    """Faces taken for one person, the most typical first."""

    number: int
    """From 1, the largest stack first."""
    faces: tuple[FaceInPhoto, ...]
    cohesion: float
    """Mean score over all pairs; 1 for a single face, 0 where the owner joined stacks."""
    name: str = ""
    """Whom the owner says it is."""

    @property
    def folder(self) -> str:
        """Where its pictures are, below the output folder."""
        return f"stack-{self.number:03d}"


class Collection(msgspec.Struct, frozen=True):
    """What `janus-export cluster` writes as stacks.json."""

    encoder: str
    threshold: float
    fmr: float
    photos: int
    digest: str
    """Of the photographs and how they were sorted: whether an earlier sorting still stands."""
    stacks: tuple[Stack, ...]
    no_face: tuple[str, ...]
    """Photographs in which no face was found."""
    unfit: tuple[FaceInPhoto, ...]
    """Faces that a door would not compare."""
    unreadable: tuple[str, ...]
    """Files that are no pictures."""


@dataclass(frozen=True, slots=True)
class _Found:
    face: FaceInPhoto
    embedding: NDArray[np.float32]
    coded: bytes
    """The face with some surroundings, as a PNG: thousands of them are kept until all are sorted."""


def photographs(place: Path) -> list[Path]:
    """Every picture in a folder and below, by name. Raises ExportError where there is none."""
    if not place.is_dir():
        raise ExportError(f"{place} is not a folder: give one with photographs in it")
    found = sorted(path for path in place.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise ExportError(f"{place} holds no photographs ({', '.join(ENDINGS)})")
    return found


def sort_photos(
    place: Path, out: Path, pipeline: Pipeline, *, fmr: float = DEFAULT_FMR, progress: Progress | None = None
) -> Collection:
    """Sort a collection and write its stacks' pictures and stacks.json into `out`. Raises ExportError.

    An earlier sorting of the same photographs with the same encoder and detector is taken as it is, names
    included.
    """
    paths = [path for path in photographs(place) if not path.is_relative_to(out)]
    threshold = operating_point(pipeline.spec.calibration, fmr).threshold
    raw_digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    summary = [
        str(threshold),
        pipeline.model_digest.hex(),
        *raw_digests,
        *(str(p.relative_to(place)) for p in paths),
    ]
    digest = hashlib.sha256("\n".join(summary).encode()).hexdigest()
    before = read_collection(out) if (out / "stacks.json").exists() else None
    if before is not None and before.digest == digest:
        return before
    found: list[_Found] = []
    no_face, unfit, unreadable, seen = [], [], [], set()
    for number, (path, content) in enumerate(zip(paths, raw_digests, strict=True)):
        name = str(path.relative_to(place))
        if progress:
            progress(number + 1, len(paths))
        if content in seen:  # the same file twice says nothing new, and looks like two agreeing pictures
            continue
        seen.add(content)
        try:
            image = decode(path.read_bytes(), name)
        except ExportError:
            unreadable.append(name)
            continue
        faces = pipeline.faces(image)
        if not faces:
            no_face.append(name)
        for face in faces:
            taken = _look(image, face, name, pipeline)
            if isinstance(taken, FaceInPhoto):
                unfit.append(taken)
            else:
                found.append(taken)
        if len(found) > MOST_FACES:
            raise ExportError(f"{place} holds more than {MOST_FACES:,} faces: sort it in parts")
    stacks = _stack(found, threshold)
    collection = Collection(
        f"{pipeline.spec.name} version {pipeline.spec.version}", threshold, fmr, len(paths), digest,
        tuple(_write_stacks(out, found, stacks)), tuple(no_face), tuple(unfit), tuple(unreadable),
    )  # fmt: skip
    write_collection(out, collection)
    return collection


def linkage(scores: NDArray[np.float32], threshold: float) -> list[list[int]]:
    """Groups of rows by average linkage: (n, n) scores, merged while the mean of cross pairs >= threshold.

    By chains of nearest neighbours (Murtagh 1983): n**2 steps in all, the same groups as merging the most
    alike first, because average linkage is reducible. Largest group first, then by their first row.
    """
    n = len(scores)
    if not n:
        return []
    near = scores.astype(np.float32, copy=True)
    np.fill_diagonal(near, -np.inf)
    members: dict[int, list[int]] = {row: [row] for row in range(n)}
    finished: list[list[int]] = []
    chain: list[int] = []
    while members:
        if not chain:
            chain.append(next(iter(members)))
        last = chain[-1]
        best = int(np.argmax(near[last]))
        previous = chain[-2] if len(chain) > 1 else -1
        if previous >= 0 and near[last, previous] >= near[last, best]:
            best = previous  # of equals the one we came from, so that the chain ends
        if near[last, best] < threshold:
            # Nothing is alike enough, and merging others cannot make it so: a mean of means stays below.
            finished.append(members.pop(last))
            near[last, :] = near[:, last] = -np.inf
            chain.pop()
        elif best == previous:
            a, b = len(members[last]), len(members[best])
            joined = (a * near[last] + b * near[best]) / (a + b)  # Lance and Williams 1967
            joined[[last, best]] = -np.inf
            near[best, :] = near[:, best] = joined
            near[last, :] = near[:, last] = -np.inf
            members[best] += members.pop(last)
            del chain[-2:]
        else:
            chain.append(best)
    return sorted((sorted(rows) for rows in finished), key=lambda rows: (-len(rows), rows[0]))


def name_stack(out: Path, collection: Collection, number: int, name: str) -> Collection:
    """Say whom a stack shows, and keep it in stacks.json. Raises ExportError.

    Where another stack has that name, its faces join that one's: the owner knows better.
    """
    name = name.strip()
    if not name or not name.isprintable():
        raise ExportError(f"{name!r} is no name: give a person's name")
    stacks = {stack.number: stack for stack in collection.stacks}
    if number not in stacks:
        raise ExportError(f"there is no stack {number}: the sheet shows which there are")
    named = msgspec.structs.replace(stacks[number], name=name)
    stacks[number] = named
    same = [stack for stack in stacks.values() if stack.name.casefold() == name.casefold()]
    if len(same) > 1:
        first, second = same
        stacks[first.number] = _join(out, first, second)
        del stacks[second.number]
    changed = msgspec.structs.replace(collection, stacks=tuple(stacks.values()))
    write_collection(out, changed)
    return changed


def _join(out: Path, first: Stack, second: Stack) -> Stack:
    """The first stack with the second's faces behind its own, and their pictures in its folder."""
    moved = []
    for place, face in enumerate(second.faces, start=len(first.faces)):
        file = f"{first.folder}/{place:03d}.png"
        (out / face.file).replace(out / file)
        moved.append(msgspec.structs.replace(face, file=file))
    (out / second.folder).rmdir()
    return msgspec.structs.replace(first, faces=(*first.faces, *moved), cohesion=0.0)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a sorting compares with folders that are named after people. Counts are of pairs of faces."""

    together: int
    """Put into one stack."""
    same: int
    """Of one person."""
    both: int

    def __str__(self) -> str:
        return f"precision {self.both:,} of {self.together:,} pairs, recall {self.both:,} of {self.same:,}"


def agreement(collection: Collection) -> Agreement:
    """Compare the stacks with the folders that the photographs are in, over all pairs of faces in stacks."""
    of_stack = Counter(stack.number for stack in collection.stacks for _ in stack.faces)
    of_person = Counter(Path(face.photo).parent for stack in collection.stacks for face in stack.faces)
    of_both = Counter(
        (stack.number, Path(face.photo).parent) for stack in collection.stacks for face in stack.faces
    )
    return Agreement(*(sum(math.comb(n, 2) for n in c.values()) for c in (of_stack, of_person, of_both)))


def parse_names(wishes: Sequence[str]) -> dict[int, str]:
    """Read STACK=NAME wishes. Raises ExportError naming the wrong one."""
    names = {}
    for wish in wishes:
        match = re.fullmatch(r"\s*(\d{1,6})\s*=\s*(.+?)\s*", wish)
        if match is None:
            raise ExportError(f"--name {wish}: give STACK=NAME, for example 3=Anna")
        names[int(match[1])] = match[2]
    return names


def read_collection(out: Path) -> Collection:
    """Read stacks.json. Raises ExportError."""
    path = out / "stacks.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Collection)
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ExportError(f"{path} is damaged ({error}): delete it and sort again") from error


def write_collection(out: Path, collection: Collection) -> None:
    """Write stacks.json, beside and renamed."""
    beside = out / ".stacks.new"
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(collection), indent=1) + b"\n")
    beside.replace(out / "stacks.json")


def _look(image: Image, face: Face, name: str, pipeline: Pipeline) -> _Found | FaceInPhoto:
    """The embedded face, or only where it is when it is unfit for comparison."""
    box = face.box_px
    where = FaceInPhoto(name, (round(box.x), round(box.y), round(box.width), round(box.height)))
    try:
        crop = align.align(image, face.landmarks_px)
    except ValueError:  # landmarks in one point
        return where
    if quality.assess(image, face, crop, pipeline.floors).reason is not None:
        return where
    return _Found(where, pipeline.embed(image, face), _surroundings(image, face))


def _surroundings(image: Image, face: Face) -> bytes:
    box, (height, width) = face.box_px, image.shape[:2]
    edge = _MARGIN * max(box.width, box.height)
    left, right = max(0, int(box.x - edge)), min(width, int(box.x + box.width + edge))
    top, bottom = max(0, int(box.y - edge)), min(height, int(box.y + box.height + edge))
    return cv2.imencode(".png", image[top:bottom, left:right, ::-1])[1].tobytes()


def _stack(found: list[_Found], threshold: float) -> list[tuple[list[int], float]]:
    """(rows, the most typical first; mean score of pairs) of each stack."""
    if not found:
        return []
    embeddings = np.stack([one.embedding for one in found])
    scores = embeddings @ embeddings.T
    photos = np.array([one.face.photo for one in found])
    together = photos[:, np.newaxis] == photos
    constrained = np.where(together, np.float32(_OTHER_PERSON), scores)
    stacks = []
    for rows in linkage(constrained, threshold):
        inside = scores[np.ix_(rows, rows)]
        pairs = len(rows) * (len(rows) - 1)
        cohesion = float((inside.sum() - np.trace(inside)) / pairs) if pairs else 1.0
        order = np.argsort(-inside.sum(axis=1), kind="stable")
        stacks.append(([rows[place] for place in order], cohesion))
    return stacks


def _write_stacks(out: Path, found: list[_Found], stacks: list[tuple[list[int], float]]) -> Iterator[Stack]:
    """Write each face's picture into its stack's folder. Old stacks go."""
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        out.chmod(0o700)
        for old in out.glob("stack-[0-9][0-9][0-9]*"):
            shutil.rmtree(old)
        for number, (rows, cohesion) in enumerate(stacks, start=1):
            stack = Stack(number, (), round(cohesion, 4))
            (out / stack.folder).mkdir()
            faces = []
            for place, row in enumerate(rows):
                file = f"{stack.folder}/{place:03d}.png"
                (out / file).write_bytes(found[row].coded)
                faces.append(msgspec.structs.replace(found[row].face, file=file))
            yield msgspec.structs.replace(stack, faces=tuple(faces))
    except OSError as error:
        raise ExportError(f"cannot write into {out}: {error.strerror}") from error
