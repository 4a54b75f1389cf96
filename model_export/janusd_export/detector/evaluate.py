"""Measure a detector on scenes of people and places it never saw, beside its peers, in one run.

Every peer sees the same camera pictures of 640x480 at the same time on one thread, through the input it is
used with. A face counts as found when a detection's box shares at least 0.3 of their union with the true one
(boxes of different detectors are drawn differently tight). Landmarks are compared with the teacher's labels,
moved as the scene moved them, as the mean distance of the five points over the distance of the eyes.

The labels are YuNet's own, the mean of twelve views of each source: YuNet as a peer is measured against
itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Box, Face, Image, Points
from janusd_export.detector.compile import frames_without, open_detector, read_spec
from janusd_export.detector.library import Library, Part
from janusd_export.detector.pseudo_label import YuNet
from janusd_export.detector.scenes import Composer, Scene, Wanted
from janusd_export.metrics import Rate, rate

SIZES_PX = (32.0, 48.0, 80.0, 150.0)
TILTS_DEG = (0.0, 15.0, 30.0, 45.0)
SEEN_PX = 80.0
"""Size of the faces that are tilted."""
SHARED = 0.3
FRAME = (480, 640)
YUNET_SCORE = 0.6
"""OpenCV's own example uses 0.9, its default and most programs 0.6 .. 0.9; the lower one finds more."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A detector to measure."""

    name: str
    detect: Callable[[Image], Sequence[Face]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of scene and one peer."""

    recall: Rate
    landmark_error: float
    """Mean over the faces that were found, per cent of the inter-ocular distance; NaN where none was."""
    landmark_error_90: float
    """Nine in ten are better."""


@dataclass(frozen=True, slots=True)
class Row:
    """One peer."""

    name: str
    by_size: dict[str, Cell]
    """Frontal and upright, by face size in the camera picture."""
    by_tilt: dict[str, Cell]
    floor: Cell
    """All frontal upright faces of at least 48 px."""
    false_frames: Rate
    """Face-free frames with a detection."""
    false_pictures: Rate
    """Face-free pictures with a detection in any of their frames: frames of one picture are alike."""
    ms: float
    """Median processor time of one frame with one face of 80 px."""
    ratio: float
    """Of that time to YuNet's at our input; NaN without YuNet."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What `janus-export detector evaluate` prints."""

    rows: tuple[Row, ...]
    scenes_a_cell: int
    notes: tuple[str, ...]


def peers(folder: Path, yunet: Path | None) -> tuple[list[Peer], list[str]]:
    """Ours first; what cannot be had is named."""
    spec = read_spec(folder)
    own = open_detector(spec, folder)
    height, width = spec.input.shape[1:3]
    found = [
        Peer(own.name, own.detect),
        Peer(f"{own.name}, first look", _first_look(own.propose, spec.threshold)),
    ]
    notes = []
    if yunet is None:
        notes.append("YuNet: give --yunet FILE.onnx")
    else:
        teacher = YuNet(yunet, YUNET_SCORE)
        found.append(Peer(f"YuNet {width}x{height}", lambda image: yunet_faces(teacher, image, width)))
        found.append(Peer("YuNet 640x480", lambda image: yunet_faces(teacher, image, 640)))
    return found, notes


def evaluate(
    library: Library,
    found: Sequence[Peer],
    notes: Sequence[str],
    *,
    scenes: int = 150,
    seed: int = 7,
    say: Callable[[str, int, int], None] = lambda part, done, total: None,
) -> Evaluation:
    """Measure all peers on the held-out part of a library."""
    cv2.setNumThreads(1)
    plain = Wanted(
        *FRAME, tilt_deg=(0.0, 5.0), fills=0.0, covered=0.0, squeezed=0.0, bordered=0.0, damage=0.5,
        is_frontal=True, largest_px=200.0,
    )  # fmt: skip
    kinds = [(f"{size:g} px", size, plain) for size in SIZES_PX]
    kinds += [(f"{tilt:g} deg", SEEN_PX, replace(plain, tilt_deg=(tilt, tilt))) for tilt in TILTS_DEG]
    looks: dict[tuple[str, str], list[float]] = {}
    for number, (kind, size, wanted) in enumerate(kinds):
        composer = Composer(library, Part.HELD_OUT, wanted)
        for k in range(scenes):
            say(kind, k + 1, scenes)
            scene = composer.compose(np.random.default_rng([seed, number, k]), size)
            if not len(scene.box_px):
                continue  # no room for it
            for peer in found:
                looks.setdefault((peer.name, kind), []).append(judge(scene, peer.detect(scene.image)))
    frames = frames_without(library, Part.HELD_OUT, say)
    timed = _times(found, Composer(library, Part.HELD_OUT, plain), seed)
    rows = []
    base = next((timed[p.name] for p in found if p.name.startswith("YuNet")), float("nan"))
    for peer in found:
        false = np.array([len(peer.detect(frame)) > 0 for frame in frames], np.bool_)
        six = false.reshape(-1, 6)  # `frames_without` gives six frames of each picture
        a_picture = [bool(frames_of_one.any()) for frames_of_one in six]
        floor = [e for s in SIZES_PX if s >= 48 for e in looks[peer.name, f"{s:g} px"]]
        rows.append(
            Row(
                peer.name,
                {f"{s:g} px": cell(looks[peer.name, f"{s:g} px"]) for s in SIZES_PX},
                {f"{t:g} deg": cell(looks[peer.name, f"{t:g} deg"]) for t in TILTS_DEG},
                cell(floor),
                rate(int(false.sum()), len(false)),
                rate(sum(a_picture), len(a_picture)),
                timed[peer.name],
                timed[peer.name] / base,
            )
        )
    return Evaluation(tuple(rows), scenes, tuple(notes))


def judge(scene: Scene, faces: Sequence[Face]) -> float:
    """The landmark error of the detection that fits the scene's one face best; NaN where none fits."""
    true = scene.box_px[0]
    points = scene.points_px[0]
    shares = [_shared(true, face.box_px) for face in faces]
    if not shares or max(shares) < SHARED:
        return float("nan")
    own = faces[int(np.argmax(shares))].landmarks_px
    eyes = float(np.hypot(*(points[1] - points[0])))
    return 100.0 * float(np.hypot(*(own - points).T).mean()) / max(eyes, 1e-6)


def cell(errors: Sequence[float]) -> Cell:
    """Recall and landmark error of these looks."""
    known = np.array([e for e in errors if not math.isnan(e)], np.float64)
    recall = rate(len(known), len(errors))
    if not len(known):
        return Cell(recall, float("nan"), float("nan"))
    return Cell(recall, float(known.mean()), float(np.percentile(known, 90)))


def yunet_faces(teacher: YuNet, image: Image, width: int) -> tuple[Face, ...]:
    """YuNet on the picture reduced to that width, in the picture's own pixels."""

    def look(small: Image) -> tuple[Face, ...]:
        return tuple(
            Face(Box(*(float(n) for n in row[:4])), row[4:14].reshape(5, 2).copy(), float(row[14]))
            for row in teacher.rows(small)
        )

    return reduced(look, image, width)


def reduced(detect: Callable[[Image], Sequence[Face]], image: Image, width: int) -> tuple[Face, ...]:
    """Faces of a picture that is looked at reduced to that width, in its own pixels."""
    if image.shape[1] <= width:
        return tuple(detect(image))
    scale = width / image.shape[1]
    size = (width, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return tuple(_enlarged(face, 1.0 / scale) for face in detect(small))


def _enlarged(face: Face, factor: float) -> Face:
    box, points = face.box_px, face.landmarks_px
    moved: Points = ((points + 0.5) * factor - 0.5).astype(np.float32)
    return Face(
        Box(box.x * factor, box.y * factor, box.width * factor, box.height * factor), moved, face.score
    )


def _first_look(
    propose: Callable[[Image], Sequence[Face]], threshold: float
) -> Callable[[Image], tuple[Face, ...]]:
    return lambda image: tuple(face for face in propose(image) if face.score >= threshold)


def _shared(true: NDArray[np.float32], box: Box) -> float:
    x1, y1 = max(true[0], box.x), max(true[1], box.y)
    x2, y2 = min(true[0] + true[2], box.x + box.width), min(true[1] + true[3], box.y + box.height)
    common = max(0.0, float(x2 - x1)) * max(0.0, float(y2 - y1))
    return common / max(1e-6, float(true[2] * true[3]) + box.width * box.height - common)


def _times(found: Sequence[Peer], composer: Composer, seed: int, rounds: int = 40) -> dict[str, float]:
    """Median processor milliseconds of each peer, taken in turns so that all meet the same neighbours."""
    images = [composer.compose(np.random.default_rng([seed, 99, k]), SEEN_PX).image for k in range(8)]
    spent: dict[str, list[float]] = {peer.name: [] for peer in found}
    for k in range(rounds):
        for peer in found:
            began = time.thread_time()
            peer.detect(images[k % len(images)])
            spent[peer.name].append(1e3 * (time.thread_time() - began))
    return {name: float(np.median(times[4:])) for name, times in spent.items()}
