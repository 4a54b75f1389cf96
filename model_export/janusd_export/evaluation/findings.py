"""What an evaluation found: the file that `janus-export evaluate --out` keeps and `report` draws.

One JSON object; every class below is one object in it. Lists of one object correspond by position. Sections
that were not asked for are null.

Trust boundary: the file may come from another machine or version, so it is read strictly typed, and a wrong
field is named.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from janusd_export.errors import ExportError
from janusd_export.metrics import Rate

FORMAT = 1


class _Found(msgspec.Struct, frozen=True):
    """Base of all findings."""


class OperatingPoint(_Found, frozen=True):
    """Genuine comparisons that match where impostors match at `fmr`: "TAR at FAR" of the literature."""

    fmr: float
    threshold: float | None = None
    """None where the impostor comparisons cannot show such a rate."""
    matched: Rate | None = None
    false: Rate | None = None
    """Impostor comparisons that match at this threshold."""
    by_people: tuple[float, float] | None = None
    """95 % interval of the matched share from a bootstrap over people, threshold drawn anew each time."""
    note: str = ""
    """What the number of impostor comparisons does not allow to say."""


class Curve(_Found, frozen=True):
    """The trade-off over all thresholds, with 95 % intervals; DET and ROC are two drawings of it."""

    threshold: list[float]
    fmr: list[float]
    fmr_low: list[float]
    fmr_high: list[float]
    fnmr: list[float]
    fnmr_low: list[float]
    fnmr_high: list[float]


class Histogram(_Found, frozen=True):
    """Scores counted in equal bins from `low` to `high`."""

    low: float
    high: float
    genuine: list[int]
    impostor: list[int]


class Confusion(_Found, frozen=True):
    """What one threshold decides; scores at or above it match."""

    fmr: float
    """The rate the manifest promises at this threshold."""
    threshold: float
    is_extrapolated: bool
    true_match: int
    false_non_match: int
    false_match: int
    true_non_match: int


class Promise(_Found, frozen=True):
    """A threshold of the manifest, and how many impostors of this collection match at it."""

    fmr: float
    threshold: float
    is_extrapolated: bool
    found: Rate


class WorstPair(_Found, frozen=True):
    """Two photographs, by name: friends that score low, or strangers that score high."""

    a: str
    b: str
    is_same: bool
    score: float


class Pairs(_Found, frozen=True):
    """The listed pairs of a collection, as LFW's view 2."""

    genuine: int
    impostor: int
    photos: int
    missed_photos: int
    missed_pairs: int
    accuracy: Rate
    accuracy_of_folds: list[float]
    equal_error_rate: float
    points: list[OperatingPoint]
    curve: Curve
    histogram: Histogram
    worst: list[WorstPair]
    confusion: Confusion | None = None


class Cross(_Found, frozen=True):
    """All pairs among all photographs of the people who have at least two."""

    people: int
    photos: int
    genuine: int
    impostor: int
    equal_error_rate: float
    points: list[OperatingPoint]
    curve: Curve
    histogram: Histogram
    worst: list[WorstPair]
    promises: list[Promise] = []


class DoorThreshold(_Found, frozen=True):
    """What happened at the threshold of one promise."""

    fpir_promised: float
    fmr: float
    threshold: float
    is_extrapolated: bool
    fnir: Rate
    fpir: Rate
    wrong_person: int
    """Of the false negatives: enrolled people answered as somebody else."""


class Door(_Found, frozen=True):
    """Identification at one gallery size: people enrolled from one photograph each, others shown."""

    enrolled: int
    draws: int
    """How often a gallery was drawn; counts are sums over them."""
    mated: int
    non_mated: int
    rank_1: Rate
    thresholds: list[DoorThreshold]
    curve_fpir: list[float]
    curve_fnir: list[float]


class Matcher(_Found, frozen=True):
    """One way to compare the same embeddings."""

    name: str
    how: str
    rank_1: Rate
    fnir: Rate
    """At the threshold that lets one in a hundred of other strangers in."""
    fpir: Rate
    """At that threshold, on the strangers it was not chosen on."""


class Matchers(_Found, frozen=True):
    """Several matchers on one drawn gallery."""

    enrolled: int
    samples: int
    """Photographs a person was enrolled from."""
    mated: int
    non_mated: int
    rows: list[Matcher]
    pair_svm: Rate | None = None
    """Ten-fold accuracy of a support vector machine on the products of the pairs' embeddings."""
    note: str = ""


class Subgroup(_Found, frozen=True):
    """Errors among people or photographs that share a label, at the threshold of all."""

    attribute: str
    value: str
    people: int
    photos: int
    fnmr: Rate
    fmr: Rate


class Subgroups(_Found, frozen=True):
    """Errors by label."""

    threshold: float
    fmr: float
    rows: list[Subgroup]
    unlabelled_photos: int


class RobustPoint(_Found, frozen=True):
    """Errors at one strength of a change."""

    level: float
    label: str
    fnmr: Rate
    fmr: Rate
    missed: Rate
    """Changed photographs in which no face was found."""


class Robustness(_Found, frozen=True):
    """Errors as one thing about the second photograph of each pair gets worse. SIMULATED."""

    kind: str
    axis: str
    what: str
    points: list[RobustPoint]


class Sturdiness(_Found, frozen=True):
    """All robustness curves, and what they have in common."""

    pairs: int
    threshold: float
    fmr: float
    curves: list[Robustness]


class Network(_Found, frozen=True):
    """One encoder on the same photographs, detections and code."""

    name: str
    what: str
    accuracy: Rate
    equal_error_rate: float
    points: list[OperatingPoint]
    cross: list[OperatingPoint] = []
    bytes: int | None = None
    embedding_ms: float | None = None
    cosine: float | None = None
    """Mean cosine between its embeddings and the int8 encoder's, where they can be compared."""
    note: str = ""


class Map(_Found, frozen=True):
    """Embeddings of people the network never saw, laid out in a plane."""

    method: str
    people: list[str]
    x: list[float]
    y: list[float]
    person: list[int]
    purity: Rate
    """Photographs whose nearest neighbour, in the embedding space, is of the same person."""


class TailChoice(_Found, frozen=True):
    """The rarest threshold, had the tail begun elsewhere."""

    exceed_rate: float
    shape: float
    threshold: float


class TailCheck(_Found, frozen=True):
    """How well the fitted tail describes the impostor scores above its location; `calibrate` keeps it."""

    scores: int
    fitted: list[float]
    """Quantiles of the tail, from the highest down."""
    observed: list[float]
    low: list[float]
    high: list[float]
    choices: list[TailChoice]


class Encoder(_Found, frozen=True):
    """The encoder that was measured."""

    name: str
    version: str
    sha256: str
    bytes: int
    encoder_ms: float
    """One run, processor time of one core of the machine that evaluated."""
    views: int
    dimensions: int
    detector: str
    training: dict[str, object] = {}


class Evaluation(_Found, frozen=True):
    """All that one evaluation found."""

    format: int
    encoder: Encoder
    collection: str
    pairs: Pairs
    cross: Cross | None = None
    doors: list[Door] = []
    matchers: Matchers | None = None
    subgroups: Subgroups | None = None
    sturdiness: Sturdiness | None = None
    networks: list[Network] = []
    map: Map | None = None
    notes: list[str] = []
    """What was asked for and could not be measured, and why."""


TAIL_FILE = "tail.json"
"""In a model folder, beside the manifest."""


def read_tail(path: Path) -> TailCheck:
    """Read what `calibrate` kept. Raises ExportError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=TailCheck)
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: {error}: write it with janus-export calibrate") from error


def write(path: Path, found: Evaluation | TailCheck) -> None:
    """Keep what was found. Raises ExportError when it cannot be written."""
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        beside.replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error


def read(path: Path) -> Evaluation:
    """Read what `write` kept. Raises ExportError naming file and field."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExportError(
            f"{path} is no evaluation: {error}: write it with janus-export evaluate --out {path.name}"
        ) from error
    if found.format != FORMAT:
        raise ExportError(f"{path} has format {found.format}, this version reads {FORMAT}: evaluate again")
    return found
