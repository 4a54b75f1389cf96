"""What a released model file is: digest, shapes, scales, and how its scores are to be read.

Layout of `models/manifest.json`, format 1:

    {"format": 1,
     "encoder": {"name", "file", "sha256", "version",
                 "input":  {"shape": [1, 112, 112, 3], "dtype": "int8", "scale", "zero_point"},
                 "output": {"shape": [1, D], "dtype": "int8", "scale", "zero_point"},
                 "template": "arcface-112", "detector", "mirrored",
                 "calibration": {"description", "impostor_comparisons", "genuine_comparisons",
                                 "table": [{"fmr", "threshold", "low", "high"}, ...]   FMR falling
                                 "tail": {"location", "scale", "shape", "exceed_rate"},
                                 "genuine_quantiles": {"0.01": score, ...}},
                 "training": {free text fields}},
     "detector": left out, or
                {"name", "file", "sha256", "version", "input", "output", "proposal", "threshold", "overlap",
                 "refiner": {"file", "sha256", "input", "output", "looks"}, "training": {free text fields}}}

`encoder.detector` names the detector whose points its thresholds were measured with: the name and version of
the one described beside it, or of the library that finds faces where there is none.

real = (q - zero_point) * scale for both tensors. The tail is a generalised Pareto distribution fitted to
the impostor scores above `location`:
P(score > t) = exceed_rate * (1 + shape * (t - location) / scale) ** (-1 / shape).

Trust boundary: a manifest says what a file must be; `models.py` checks that the bytes are so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import msgspec
import numpy as np

DAYS_A_YEAR = 365.25

INTERFACE = 1
"""What a model and a daemon must agree on beyond this layout: the template a face is warped onto, pixels as
int8 RGB rows from the top, cosine of the output as score. Raised when any of it changes."""


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all manifest entries: immutable, and nothing in them goes unread."""


class TensorSpec(_Entry, frozen=True):
    """A network's input or output."""

    shape: tuple[int, ...]
    scale: float
    zero_point: int
    dtype: Literal["int8"] = "int8"


class Threshold(_Entry, frozen=True):
    """One measured operating point: at `threshold`, `fmr` of the impostor comparisons matched."""

    fmr: float
    threshold: float
    low: float
    """Lower end of the threshold's 95 % interval."""
    high: float


class Tail(_Entry, frozen=True):
    """A generalised Pareto tail of the impostor scores (Pickands 1975)."""

    location: float
    scale: float
    shape: float
    exceed_rate: float


class Calibration(_Entry, frozen=True):
    """How an encoder's scores behave on people it never saw."""

    description: str
    impostor_comparisons: int
    genuine_comparisons: int
    table: tuple[Threshold, ...]
    tail: Tail
    genuine_quantiles: dict[str, float] = {}
    extrapolated: tuple[Threshold, ...] = ()
    """Rates rarer than the comparisons can show: from the tail, with the interval of its fit."""


class Attenuation(_Entry, frozen=True):
    """How the length of an encoder's answer makes up for what noise takes from a score; see `core.embed`."""

    typical: float
    """The median length over faces it never saw."""
    exponent: float
    """An embedding is (length / typical) ** -exponent long."""


class Encoder(_Entry, frozen=True):
    """The released face encoder."""

    name: str
    file: str
    sha256: str
    version: str
    input: TensorSpec
    output: TensorSpec
    template: Literal["arcface-112"]
    detector: str
    """Whose landmarks it was calibrated with. No door aligns its faces with another's."""
    calibration: Calibration
    mirrored: bool = False
    """An embedding is the sum of a crop's and its mirror image's: twice the time, fewer errors."""
    attenuation: Attenuation | None = None
    """None where all embeddings are of unit length."""
    training: dict[str, object] = {}


class AttackNet(_Entry, frozen=True):
    """A released network that tells prints, screens and masks from faces; see `passive`."""

    name: str
    file: str
    sha256: str
    version: str
    input: TensorSpec
    output: TensorSpec
    """Two logits: attack, genuine."""
    context: float
    """Side of the wide crop it sees, in face heights."""
    threshold: float
    """Means over frames below it speak of an attack."""
    near: float = 0.0
    """Side of the close crop it sees below the wide one; 0 where it sees none."""
    training: dict[str, object] = {}


class Refiner(_Entry, frozen=True):
    """The network that looks at each found face again; see `core.detect`."""

    file: str
    sha256: str
    input: TensorSpec
    output: TensorSpec
    looks: int = 2
    """How often it looks at a face, each time from where the last look ended."""


class Detector(_Entry, frozen=True):
    """The released face detector."""

    name: str
    file: str
    sha256: str
    version: str
    input: TensorSpec
    output: TensorSpec
    proposal: float
    """Scores from here on are looked at again by the refiner, 0..1."""
    threshold: float
    """Scores from here on are faces, 0..1."""
    overlap: float = 0.4
    """Of two boxes that share more of their union than this, one face is left."""
    refiner: Refiner | None = None
    training: dict[str, object] = {}

    @property
    def identity(self) -> str:
        """Name and version: what an encoder's manifest calls it."""
        return f"{self.name} {self.version}"

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of each of its networks, by file."""
        refiner = {self.refiner.file: self.refiner.sha256} if self.refiner else {}
        return {self.file: self.sha256, **refiner}


class Manifest(_Entry, frozen=True, omit_defaults=True):
    """Every model a door needs."""

    format: Literal[1]
    encoder: Encoder
    detector: Detector | None = None
    """Absent where the door finds faces with a library."""
    attack: AttackNet | None = None
    """No door must have one; without it nothing is said about how a face looks."""

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 of every network, by file."""
        found_by = self.detector.files if self.detector else {}
        attack = {self.attack.file: self.attack.sha256} if self.attack else {}
        return {self.encoder.file: self.encoder.sha256, **found_by, **attack}

    @property
    def model_digest(self) -> bytes:
        """What embeddings are comparable within: the encoder's digest, and those of the networks that align.

        The encoder's alone where no detector is described, as it was before there were any.
        """
        return bound_to(self.encoder, self.detector)


def bound_to(encoder: Encoder, detector: Detector | None) -> bytes:
    """32 bytes, the same exactly where embeddings can be compared; see `Manifest.model_digest`."""
    by = encoder.attenuation
    if detector is None and by is None:
        return bytes.fromhex(encoder.sha256)
    looks = detector.refiner.looks if detector and detector.refiner else 0
    parts = ["janusd model", encoder.sha256, *(detector.files.values() if detector else ()), str(looks)]
    if by is not None:
        parts.append(f"{by.typical!r} {by.exponent!r}")
    return hashlib.sha256("\n".join(parts).encode()).digest()


def parse(raw: bytes) -> Manifest:
    """Read a manifest. Raises ValueError that names the wrong field."""
    try:
        return msgspec.json.decode(raw, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from error


def release_number(version: str) -> tuple[int, ...]:
    """A version as numbers that compare: "2.10" -> (2, 10). Raises ValueError."""
    parts = version.split(".")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 9 for part in parts):
        raise ValueError(f"the version is {version!r}, and must be numbers with points, like 2.1")
    return tuple(map(int, parts))


def flaw(manifest: Manifest) -> str:
    """Why no door may run this model, or "". Shapes and scales are checked when the network is loaded."""
    encoder, calibration = manifest.encoder, manifest.encoder.calibration
    try:
        release_number(encoder.version)
    except ValueError as error:
        return f"encoder.version: {error}"
    if not calibration.table or calibration.impostor_comparisons < 1:
        return (
            "encoder.calibration is missing: without measured impostor scores no threshold can keep a promise"
        )
    if calibration.tail.scale <= 0.0 or not 0.0 < calibration.tail.exceed_rate <= 1.0:
        return "encoder.calibration.tail: scale and exceed_rate must be above 0, and a rate at most 1"
    if (by := encoder.attenuation) is not None and not (by.typical > 0.0 and 0.0 <= by.exponent <= 1.0):
        return "encoder.attenuation: typical must be above 0, and exponent in 0..1"
    networks = [encoder, manifest.attack, manifest.detector, manifest.detector and manifest.detector.refiner]
    if len(manifest.files) != sum(network is not None for network in networks):
        return "each network must have a file of its own"
    return _thresholds_flaw((*calibration.table, *calibration.extrapolated)) or _detector_flaw(manifest)


def _detector_flaw(manifest: Manifest) -> str:
    detector, encoder = manifest.detector, manifest.encoder
    if detector is None:
        return ""
    try:
        release_number(detector.version)
    except ValueError as error:
        return f"detector.version: {error}"
    if not 0.0 < detector.proposal <= detector.threshold < 1.0 or not 0.0 < detector.overlap < 1.0:
        return "detector: proposal, threshold and overlap must be above 0 and below 1, proposal the lowest"
    if detector.identity != encoder.detector:
        return (
            f"encoder.detector is {encoder.detector}, and the detector beside it is {detector.identity}: "
            "no calibration was made with its points"
        )
    return ""


def _thresholds_flaw(rows: tuple[Threshold, ...]) -> str:
    if any(not 0.0 < row.fmr <= 1.0 or not -1.0 <= row.threshold <= 1.0 for row in rows):
        return "encoder.calibration.table: an FMR must be in 0..1 and a threshold in -1..1"
    if any(not row.low <= row.threshold <= row.high <= 1.0 for row in rows):
        return "encoder.calibration.table: a threshold must lie in its interval, and that below 1"
    by_rate = sorted(rows, key=lambda row: row.fmr)
    if any(rare.threshold < often.threshold or rare.high < often.high for rare, often in pairwise(by_rate)):
        return "encoder.calibration.table: a rarer FMR must not have a lower threshold"
    return ""


@dataclass(frozen=True, slots=True)
class Promise:
    """What an owner asks of the door: one false unlock in `years`, with that many strangers' tries a day."""

    years: float
    tries_a_day: float

    @property
    def fpir(self) -> float:
        """The false positive identification rate a single try may have (ISO/IEC 19795-1)."""
        return min(1.0, 1.0 / (self.years * DAYS_A_YEAR * self.tries_a_day))


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold, and how far it can be trusted."""

    threshold: float
    fmr: float
    is_extrapolated: bool
    """The rate is rarer than what was measured: it rests on the fitted tail."""


def fmr_for_gallery(fpir: float, comparisons: int) -> float:
    """The FMR one comparison may have so that a search of so many (`Gallery.comparisons`) stays at `fpir`.

    FPIR = 1 - (1 - FMR)^N for independent comparisons (ISO/IEC 19795-1, annex on identification).
    """
    if not 0.0 < fpir <= 1.0:
        raise ValueError(f"FPIR must be above 0 and at most 1, not {fpir}")
    if fpir == 1.0:
        return 1.0
    return float(-np.expm1(np.log1p(-fpir) / max(1, comparisons)))


def operating_point(calibration: Calibration, fmr: float) -> OperatingPoint:
    """The threshold at which impostors match at rate `fmr`.

    Between measured rates the threshold is interpolated over log FMR; beyond the rarest measured one it
    comes from the fitted tail, but never below the last measured threshold.
    """
    table = sorted(calibration.table, key=lambda row: row.threshold)
    if not table:
        raise ValueError("the calibration has no measured threshold")
    rarest = table[-1]
    if fmr < rarest.fmr:
        return OperatingPoint(max(rarest.threshold, _tail_threshold(calibration.tail, fmr)), fmr, True)
    log_rates = [-np.log(row.fmr) for row in table]
    threshold = float(np.interp(-np.log(fmr), log_rates, [row.threshold for row in table]))
    return OperatingPoint(threshold, fmr, False)


def promised_point(calibration: Calibration, fmr: float) -> OperatingPoint:
    """The threshold a promise rests on: the upper end of its 95 % interval, not the best estimate.

    An estimate is too low as often as too high, and a threshold too low lets strangers in. Between rates that
    have an interval, and beyond the rarest of them, their distance from estimate to upper end is added.
    """
    best = operating_point(calibration, fmr)
    rows = sorted((*calibration.table, *calibration.extrapolated), key=lambda row: -row.fmr)
    log_rates = [-np.log(row.fmr) for row in rows]
    caution = float(np.interp(-np.log(fmr), log_rates, [row.high - row.threshold for row in rows]))
    return OperatingPoint(best.threshold + caution, fmr, best.is_extrapolated)


def _tail_threshold(tail: Tail, fmr: float) -> float:
    ratio = fmr / tail.exceed_rate
    if abs(tail.shape) < 1e-9:  # the exponential limit
        return float(tail.location - tail.scale * np.log(ratio))
    return float(tail.location + tail.scale / tail.shape * (ratio**-tail.shape - 1.0))
