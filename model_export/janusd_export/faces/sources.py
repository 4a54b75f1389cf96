"""What `import` can read, and the stream of pictures each kind gives.

    tree       PERSON/*.jpg, as deep as you like; also below images/train/ or train/
    tars       *.tar of PERSON/*.jpg, or WebDataset tars of KEY.jpg + KEY.cls
    shards     WebDataset tars of faces that are aligned already (KEY.webp + KEY.cls) beside index.csv
    csv        a table with a column for the path and one for the person; paths count from the table's folder
    flat       a folder of pictures of unknown people

Nothing here decodes a picture. A stream holds one folder's names, or one shard's index, at a time.

Trust boundary: anything may be in there. What cannot become a face is in the stream as well, with the reason;
only a source that cannot be read at all ends in an ExportError.
"""

from __future__ import annotations

import csv
import itertools
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from janusd_export.errors import ExportError
from janusd_export.faces.photos import ENDINGS

LARGEST_BYTES = 64 << 20  # of a picture's file: what is larger is no photograph

_PATH_COLUMNS = ("path", "file", "filename", "image", "photo")
_PERSON_COLUMNS = ("person", "label", "identity", "name", "id", "class")
_SHARD_COLUMNS = {"shard", "key", "source", "person"}


class Kind(StrEnum):
    """How a source is laid out."""

    TREE = "tree"
    TARS = "tars"
    SHARDS = "shards"
    CSV = "csv"
    FLAT = "flat"

    @property
    def explanation(self) -> str:
        """What was recognised, in words."""
        return _KINDS[self]


_KINDS = {
    Kind.TREE: "a folder for each person",
    Kind.TARS: "tars of photographs",
    Kind.SHARDS: "shards of aligned faces",
    Kind.CSV: "a table of paths and people",
    Kind.FLAT: "photographs of unknown people",
}


class Refusal(StrEnum):
    """Why a picture became no face. The value is stable: `refused.csv` and --json carry it."""

    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TOO_SMALL = "too_small"
    UNREADABLE = "unreadable"
    WRONG_SIZE = "wrong_size"
    TOO_LARGE = "too_large"
    MISSING = "missing"
    CUT_OFF = "cut_off"
    EMPTY_PERSON = "empty_person"

    @property
    def explanation(self) -> str:
        """What it means, for the summary."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Refusal.NO_FACE: "the door's detector finds no face",
    Refusal.SEVERAL_FACES: "several faces, and none is alone at the centre",
    Refusal.TOO_SMALL: "the eyes are too close together",
    Refusal.UNREADABLE: "not a picture, or a damaged one",
    Refusal.WRONG_SIZE: "an aligned face of another size",
    Refusal.TOO_LARGE: f"a file of more than {LARGEST_BYTES >> 20} MiB",
    Refusal.MISSING: "named in a table, but not there",
    Refusal.CUT_OFF: "its shard ends before it does",
    Refusal.EMPTY_PERSON: "a person's folder without a picture",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a source, or what stands in its place."""

    key: str
    """Its place inside the source."""
    person: str
    """Empty: unknown."""
    path: Path
    """The picture, or the tar that holds it."""
    offset: int = -1
    """Where the picture starts in the tar; -1: the file is the picture."""
    size: int = 0
    is_aligned: bool = False
    origin: str = ""
    """The collection a shard's index says it is from; empty: the source's name."""
    upscale: float = 0.0
    """How much an aligned face was enlarged; 0: unknown."""
    problem: Refusal | None = None
    """Why there is no picture to read."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Something to import, recognised."""

    name: str
    """Keys and people of two sources are told apart by it."""
    path: Path
    """Where the pictures are: for a tree, the folder whose folders are people."""
    kind: Kind

    def items(self) -> Iterator[Item]:
        """Its pictures, always in the same order."""
        match self.kind:
            case Kind.TREE:
                return _tree(self.path)
            case Kind.FLAT:
                return _flat(self.path, "")
            case Kind.CSV:
                return _csv(self.path)
            case Kind.TARS:
                return _tars(self.path)
            case Kind.SHARDS:
                return _shards(self.path)


def recognise(given: str, kind: Kind | None = None) -> Source:
    """The source that `[NAME=]PATH` names, of the kind it looks like. Raises ExportError."""
    name, equals, rest = given.partition("=")
    if not equals or "/" in name or Path(given).exists():
        name, rest = "", given
    place = Path(rest)
    if not place.exists():
        raise ExportError(f"{place} does not exist: give a folder, a .tar or a .csv")
    name = name or place.resolve().name.removesuffix(".tar").removesuffix(".csv")
    found = kind or _kind_of(place)
    if found in (Kind.TARS, Kind.SHARDS) and not _tars_of(place):
        raise ExportError(f"{place} holds no .tar: it is no source of kind {found}")
    if found in (Kind.TREE, Kind.FLAT) and not place.is_dir():
        raise ExportError(f"{place} is no folder: it is no source of kind {found}")
    if found is Kind.CSV and not place.is_file():
        raise ExportError(f"{place} is no file: it is no source of kind {found}")
    if found is Kind.TREE:
        place = _people_of(place)
    return Source(name, place, found)


def _kind_of(place: Path) -> Kind:
    if place.is_file():
        if place.suffix.lower() == ".csv":
            return Kind.CSV
        if place.suffix.lower() != ".tar":
            raise ExportError(f"{place} is neither a folder nor a .tar or .csv: say which with --kind")
        return Kind.SHARDS if _looks_aligned(place) else Kind.TARS
    tars = _tars_of(place)
    if tars:
        return Kind.SHARDS if (place / "index.csv").exists() or _looks_aligned(tars[0]) else Kind.TARS
    if _people_of(place) != place:
        return Kind.TREE
    names = sorted(os.scandir(place), key=lambda entry: entry.name)
    pictures = any(_is_picture(entry.name) for entry in names if entry.is_file())
    folders = [entry.path for entry in names if entry.is_dir()]
    below = any(True for folder in folders for _ in _pictures_below(Path(folder)))
    if pictures and below:
        raise ExportError(
            f"{place} holds pictures and also folders of pictures: say with --kind whether the folders are "
            "people (tree) or not (flat)"
        )
    if not pictures and not below:
        raise ExportError(f"{place} holds no pictures ({', '.join(ENDINGS)}), no .tar and no .csv")
    return Kind.TREE if below else Kind.FLAT


def _people_of(place: Path) -> Path:
    """The folder whose folders are people: the common layouts keep them apart from test pictures."""
    return next((inner for inner in (place / "images" / "train", place / "train") if inner.is_dir()), place)


def _tars_of(place: Path) -> list[Path]:
    return [place] if place.suffix.lower() == ".tar" else sorted(place.glob("*.tar"))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def _pictures_below(folder: Path) -> Iterator[Path]:
    """Pictures in a folder and in those below it, in a fixed order."""
    entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):  # a link upwards would never end
            yield from _pictures_below(Path(entry.path))
        elif _is_picture(entry.name):
            yield Path(entry.path)


def _tree(place: Path) -> Iterator[Item]:
    for folder in sorted(entry.name for entry in os.scandir(place) if entry.is_dir()):
        is_empty = True
        for item in _flat(place / folder, folder):
            is_empty = False
            yield item
        if is_empty:
            yield Item(folder, folder, place / folder, problem=Refusal.EMPTY_PERSON)


def _flat(folder: Path, person: str) -> Iterator[Item]:
    for path in _pictures_below(folder):
        inside = path.relative_to(folder).as_posix()
        yield Item(f"{person}/{inside}" if person else inside, person, path)


def _csv(table: Path) -> Iterator[Item]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = csv.DictReader(file)
            columns = {name.strip().lower(): name for name in rows.fieldnames or ()}
            path_column = next((columns[name] for name in _PATH_COLUMNS if name in columns), None)
            person_column = next((columns[name] for name in _PERSON_COLUMNS if name in columns), None)
            if path_column is None:
                raise ExportError(
                    f"{table} has the columns {', '.join(rows.fieldnames or ()) or '(none)'}: "
                    f"one must be called {' or '.join(_PATH_COLUMNS)}"
                )
            for row in rows:
                named, person = row[path_column] or "", (row[person_column] or "") if person_column else ""
                path = table.parent / named
                is_there = bool(named) and path.is_file()
                yield Item(
                    named or f"line {rows.line_num}",
                    person.strip(),
                    path,
                    problem=None if is_there else Refusal.MISSING,
                    detail="" if is_there else f"line {rows.line_num} of {table.name}",
                )
        except (csv.Error, UnicodeDecodeError) as error:
            raise ExportError(f"{table} is no table in UTF-8 ({error}): save it as such") from error


@dataclass(frozen=True, slots=True)
class _Member:
    """A picture in a tar."""

    name: str
    offset: int
    size: int
    label: str
    """The text of the .cls beside it."""
    is_cut: bool


def _members(tar: Path) -> Iterator[_Member]:
    """The pictures of a tar, with the label that stands beside each; the one it was cut in comes last.

    WebDataset keeps the files of one sample together, so a label is looked for only until the next sample.
    """
    length = tar.stat().st_size
    ends = 0
    waiting: _Member | None = None
    label: tuple[str, str] = ("", "")
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined]  # not in typeshed; headers pile up
                ends = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if not member.isfile():
                    continue
                stem, ending = _split(member.name)
                is_cut = member.offset_data + member.size > length
                if waiting is not None and _split(waiting.name)[0] != stem:
                    yield waiting
                    waiting = None
                if ending.lower() in ENDINGS:
                    text = label[1] if label[0] == stem else ""
                    waiting = _Member(member.name, member.offset_data, member.size, text, is_cut)
                elif ending.lower() == ".cls" and not is_cut and member.size < 4096:
                    stored = archive.extractfile(member)
                    label = stem, (stored.read() if stored else b"").decode("utf-8", "replace").strip()
                    if waiting is not None:
                        waiting = _Member(
                            waiting.name, waiting.offset, waiting.size, label[1], waiting.is_cut
                        )
        with tar.open("rb") as file:  # tarfile takes a cut between two members for the end
            file.seek(ends)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("no end mark")
    except tarfile.ReadError as error:
        if waiting is None:
            yield _Member(tar.name, 0, 0, "", is_cut=True)  # not even one whole header
            return
        if not waiting.is_cut:
            yield waiting
            waiting = _Member(f"{tar.name}: {error}", 0, 0, "", is_cut=True)
    except OSError as error:
        raise ExportError(f"cannot read {tar}: {error.strerror or error}") from error
    if waiting is not None:
        yield waiting


def _split(name: str) -> tuple[str, str]:
    """Stem, with its folders, and ending of a member's name."""
    ending = PurePosixPath(name).suffix
    return name.removesuffix(ending), ending


def _item(tar: Path, member: _Member, key: str, person: str, *, is_aligned: bool) -> Item:
    return Item(
        key,
        person,
        tar,
        member.offset,
        member.size,
        is_aligned,
        problem=Refusal.CUT_OFF if member.is_cut else None,
        detail=f"{tar.name} is damaged or cut off: fetch it again" if member.is_cut else "",
    )


def _tars(place: Path) -> Iterator[Item]:
    for tar in _tars_of(place):
        for member in _members(tar):
            folder = PurePosixPath(member.name).parent.name
            yield _item(tar, member, f"{tar.stem}/{member.name}", member.label or folder, is_aligned=False)


def _shards(place: Path) -> Iterator[Item]:
    table = (place if place.is_dir() else place.parent) / "index.csv"
    wanted = {tar.name for tar in _tars_of(place)}
    listed: set[str] = set()
    if table.exists():
        for shard, rows in _index(table):
            if place.is_dir() or shard in wanted:
                if shard in listed:
                    raise ExportError(f"{table} names {shard} in two places: sort it by shard")
                listed.add(shard)
                yield from _shard(table.parent / shard, rows)
    for tar in _tars_of(place):
        if tar.name not in listed:
            yield from _shard(tar, {})


def _index(table: Path) -> Iterator[tuple[str, dict[str, dict[str, str]]]]:
    """Each shard's rows by key; the index is sorted by shard, so that one shard is in memory at a time."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if missing := _SHARD_COLUMNS - set(rows.fieldnames or ()):
                raise ExportError(f"{table} has no column {', '.join(sorted(missing))}")

            def whole(row: dict[str, str]) -> dict[str, str]:
                if any(row[column] is None for column in _SHARD_COLUMNS):
                    raise ExportError(f"{table} is cut off in line {rows.line_num}: fetch it again")
                return row

            for shard, group in itertools.groupby(map(whole, rows), key=lambda row: row["shard"]):
                yield shard, {row["key"]: row for row in group}
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise ExportError(f"{table} cannot be read ({error}): give the folder of the shards") from error


def _shard(tar: Path, rows: dict[str, dict[str, str]]) -> Iterator[Item]:
    if tar.exists():
        for member in _members(tar):
            key = PurePosixPath(member.name).stem
            row = rows.pop(key, None)
            item = _item(
                tar, member, f"{tar.stem}/{key}", row["person"] if row else member.label, is_aligned=True
            )
            yield _from_index(item, row) if row else item
    for key, row in rows.items():
        why = f"{tar.name} does not hold it" if tar.exists() else f"{tar.name} is missing"
        item = Item(
            f"{tar.stem}/{key}", row["person"], tar, is_aligned=True, problem=Refusal.MISSING, detail=why
        )
        yield _from_index(item, row)


def _from_index(item: Item, row: dict[str, str]) -> Item:
    try:
        upscale = float(row.get("upscale") or 0.0)
    except ValueError:
        upscale = 0.0
    return Item(
        item.key, item.person, item.path, item.offset, item.size, item.is_aligned,
        row["source"], upscale, item.problem, item.detail,
    )  # fmt: skip


def _looks_aligned(tar: Path) -> bool:
    """Whether the first picture of a tar is a labelled or unlabelled face of the stored size, at its root."""
    member = next(_members(tar), None)
    if member is None or member.is_cut or "/" in member.name or member.size > LARGEST_BYTES:
        return False
    with tar.open("rb") as file:
        file.seek(member.offset)
        pixels = cv2.imdecode(np.frombuffer(file.read(member.size), np.uint8), cv2.IMREAD_COLOR_BGR)
    return pixels is not None and pixels.shape[:2] in ((112, 112), (144, 144))
