"""How many attacks of each species the network takes for living, and how many living for attacks: SIMULATED.

People, places and seven species are ones that neither training nor the threshold saw. Peers see the same
pictures through the input they are used with; their thresholds are chosen on the same tuning presentations,
so that all are compared at about the same BPCER. Rates as in ISO/IEC 30107-3, bounds of Clopper and Pearson.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from janusd.core import rates
from janusd.core.policy import Policy
from janusd.core.types import Face, Image
from janusd_export.errors import ExportError
from janusd_export.passive import series
from janusd_export.passive.judge import Judge, choose_threshold
from janusd_export.passive.portraits import Gathering
from janusd_export.passive.series import ALL, LIVING, Kind, Series

Genuine = Callable[[Series], float]
"""How genuine a presentation is, 0..1."""
Say = Callable[[str, int, int], None]

_PEER_SIDE: Final = 128
_PEER_CONTEXT: Final = 1.5
_PUBLISHED: Final = 0.5
"""MiniFASNet's makers take the likeliest of three classes, of both networks' sum: nearly this."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A network to measure."""

    name: str
    genuine: Genuine
    threshold: float | None = None
    """As released; None: to be chosen as ours was."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One species and one network."""

    errors: int
    trials: int

    @property
    def value(self) -> float:
        """The rate."""
        return self.errors / self.trials

    @property
    def bounds(self) -> tuple[float, float]:
        """Its 95 % interval."""
        return rates.bounds(self.errors, self.trials)


@dataclass(frozen=True, slots=True)
class Row:
    """One species."""

    kind: str
    species: str
    rate_name: str
    cells: dict[str, Cell]
    """By network."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `janus-export passive evaluate` prints."""

    rows: tuple[Row, ...]
    thresholds: dict[str, float]
    added_ms: float
    """Median processor time of our network for one face, crops included."""


def evaluate(
    tuning: Gathering,
    held_out: Gathering,
    peers: Sequence[Peer],
    *,
    count: int,
    living_count: int | None = None,
    is_seen_too: bool = True,
    seed: int = 7,
    frames: int = series.FRAMES,
    say: Say = lambda part, done, total: None,
) -> Evaluation:
    """Measure all of them on the same presentations of so many frames; the first peer is ours and is timed.

    Species that ours was taught on are measured if `is_seen_too`: nothing is promised of them.
    """
    thresholds = {peer.name: peer.threshold for peer in peers if peer.threshold is not None}
    open_ones = [peer for peer in peers if peer.threshold is None]
    if open_ones:
        living: dict[str, list[float]] = {peer.name: [] for peer in open_ones}
        for number, presented in enumerate(series.presentations(tuning, LIVING, count, seed + 1)):
            say("thresholds of peers", number + 1, count)
            for peer in open_ones:
                living[peer.name].append(peer.genuine(presented))
        thresholds |= {name: choose_threshold(means) for name, means in living.items()}
    rows, spent = [], []
    for species in ALL:
        if species.kind is Kind.SEEN and not is_seen_too:
            continue
        errors = dict.fromkeys([peer.name for peer in peers], 0)
        trials = count if species.is_attack else living_count or count
        for number, presented in enumerate(series.presentations(held_out, species, trials, seed, frames)):
            say(species.name, number + 1, trials)
            for place, peer in enumerate(peers):
                began = time.thread_time()
                is_living = peer.genuine(presented) >= thresholds[peer.name]
                if place == 0:
                    spent.append(1e3 * (time.thread_time() - began) / len(presented))
                errors[peer.name] += is_living if species.is_attack else not is_living
        rows.append(
            Row(
                species.kind.value,
                species.name,
                "APCER" if species.is_attack else "BPCER",
                {name: Cell(wrong, trials) for name, wrong in errors.items()},
            )
        )
    return Evaluation(tuple(rows), thresholds, float(np.median(spent)))


def ours(judge: Judge, remembers: int | None = None, threshold: float | None = None) -> Peer:
    """Our network, at its own threshold or another.

    With `remembers` it is judged as a door that opens as soon as it may.
    """
    genuine = judge.genuine
    if remembers is not None:
        genuine = partial(judge.longest_trust, remembers=remembers, agree=Policy(0.0).agree)
    return Peer(judge.spec.name, genuine, judge.spec.threshold if threshold is None else threshold)


def peers_of(paths: Sequence[Path]) -> list[Peer]:
    """Peers by their files: .onnx, or a .pth of MiniFASNet; two of these also as their makers use them.

    Raises ExportError.
    """
    made = []
    published = [path for path in paths if path.suffix == ".pth"]
    for path in paths:
        if path.suffix not in (".onnx", ".pth"):
            raise ExportError(f"{path} is neither .onnx nor .pth: see janus-export passive evaluate --help")
        if path.suffix == ".onnx":
            made.append(onnx_peer(path))
    if published:
        from janusd_export.passive.minifasnet import open_published  # noqa: PLC0415 - it loads torch

        asked = [(path.stem, _once(open_published(path).genuine)) for path in published]
        made += [Peer(name, genuine) for name, genuine in asked]
        if len(asked) > 1:
            mean = _mean_of([genuine for _, genuine in asked])
            made += [Peer("MiniFASNet, mean", mean), Peer("MiniFASNet, mean at 0.5", mean, _PUBLISHED)]
    return made


def _once(genuine: Genuine) -> Genuine:
    """Asked again about the same presentation it gives the same answer without looking again."""
    last: tuple[Series, float] | None = None

    def remembered(presented: Series) -> float:
        nonlocal last
        if last is None or last[0] is not presented:
            last = presented, genuine(presented)
        return last[1]

    return remembered


def _mean_of(asked: Sequence[Genuine]) -> Genuine:
    """One answer of several networks."""

    def genuine(presented: Series) -> float:
        return float(np.mean([one(presented) for one in asked]))

    return genuine


def onnx_peer(path: Path) -> Peer:
    """A peer as an ONNX file: 128x128 RGB 0..1 of 1.5 face boxes, its first class is living."""
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no common base of its errors
        raise ExportError(f"{path} cannot be run: {error}") from error
    name = session.get_inputs()[0].name

    def genuine(presented: Series) -> float:
        return float(np.mean([_living(session, name, image, face) for image, face in presented]))

    return Peer(path.stem, genuine)


def _living(session: Any, name: str, image: Image, face: Face) -> float:  # noqa: ANN401  # no types
    box = face.box_px
    side = max(box.width, box.height) * _PEER_CONTEXT
    scale = _PEER_SIDE / side
    x, y = box.x + box.width / 2 - side / 2, box.y + box.height / 2 - side / 2
    if scale < 1:
        image = np.asarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
        x, y, scale = x * scale, y * scale, 1.0
    matrix = np.array([[scale, 0, -x * scale], [0, scale, -y * scale]])
    crop = cv2.warpAffine(image, matrix, (_PEER_SIDE, _PEER_SIDE), flags=cv2.INTER_LINEAR)
    answer = session.run(None, {name: (crop.astype(np.float32) / 255).transpose(2, 0, 1)[np.newaxis]})[0][0]
    likely = np.exp(answer - answer.max())
    return float(likely[0] / likely.sum())


def floors_missed(measured: Evaluation, name: str) -> list[str]:
    """What of the promised floors this network misses, in words."""
    missed = []
    for row in measured.rows:
        cell = row.cells[name]
        limit = 0.05 if row.rate_name == "BPCER" else 0.10
        if cell.value > limit and row.kind in (Kind.LIVING.value, Kind.HELD_OUT.value):
            missed.append(
                f"{row.species}: {row.rate_name} {100 * cell.value:.1f} % is above {100 * limit:.0f} %"
            )
    return missed
