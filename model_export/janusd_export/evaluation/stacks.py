"""Whole stacks beside the door's own, frame to person: same frames, one thread, taking turns.

    janusd        its detector and refiner, quality, attack detection, two views of the encoder, comparison
    dlib          what face_recognition and howdy run: HOG detector, five landmarks, ResNet, all of them real
    OpenCV        YuNet, then MobileFaceNet in cv2.dnn
    onnxruntime   YuNet, then MobileFaceNet in onnxruntime, on which insightface runs its encoders
    ncnn          YuNet, then MobileFaceNet in ncnn

YuNet is real too (your .onnx file) and sees the frame as small as our detector does. MobileFaceNet is the
yardstick of `pace`: its weights are drawn, since how quick it is does not depend on what it learnt. Only the
door's own stack looks for attacks; the others are timed without. A stack whose wheels or file are not here is
left out, and named.
"""

# ruff: noqa: PLC0415  # each library loads only where its stack is asked for

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd import models, sdk
from janusd.core import align
from janusd.core.gallery import Gallery
from janusd.core.types import Frame, Image, Points
from janusd_export.compiling.onnx_file import export_onnx
from janusd_export.detector.evaluate import yunet_faces
from janusd_export.detector.pseudo_label import YuNet
from janusd_export.errors import ExportError
from janusd_export.evaluation.pace import BLOCKS, Say, mobilefacenet
from janusd_export.evaluation.peers import Dlib, real, unit
from janusd_export.training.student import fold

PEOPLE: Final = 20
"""In every stack's gallery, one vector each."""

_YUNET_SCORE: Final = 0.6
_WIDTH: Final = 320
"""To which YuNet's frames are reduced where a model directory has no detector of its own."""


class Stack(Protocol):
    """A way from a frame to a person."""

    name: str

    def detect(self, image: Image) -> bool:
        """Look for faces in an (H, W, 3) RGB frame. Says whether there is one."""

    def recognise(self, image: Image) -> bool:
        """All the way to whom the face is most like. Says whether there was a face."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What a stack takes."""

    name: str
    detect_ms: float
    """Median processor time."""
    whole_ms: float
    ratio: float
    """Median over parts of the run: the whole of it over the whole of janusd's."""
    low: float
    high: float
    """Second lowest and second highest part."""


@dataclass(frozen=True, slots=True)
class Race:
    """What was measured."""

    stacks: tuple[Timed, ...]
    """The door's own first."""
    left_out: tuple[str, ...]
    """Which stacks are not here, and what they want."""
    rounds: int


def race(directory: Path, yunet: Path | None, frames: Sequence[Image], rounds: int, say: Say) -> Race:
    """Let all stacks that are here take turns on these frames, each of which shows one face to all.

    Raises ExportError where a frame shows a stack no face: one that gives up early would look quick.
    """
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        stacks, left_out = _stacks(directory, yunet, Path(folder))
        for stack in stacks:
            for number, image in enumerate(frames):
                if not (stack.detect(image) and stack.recognise(image)):
                    raise ExportError(f"{stack.name} finds no face in frame {number}: give it another one")
        times = np.zeros((BLOCKS, max(1, rounds // BLOCKS), len(stacks), 2))  # ms: detect, whole
        for block in range(BLOCKS):
            say("stacks", block + 1, BLOCKS)
            for place in range(times.shape[1]):
                image = frames[(block * times.shape[1] + place) % len(frames)]
                for number, stack in enumerate(stacks):
                    times[block, place, number] = _ms(stack.detect, image), _ms(stack.recognise, image)
    medians = np.median(times, axis=1)  # (BLOCKS, stacks, 2)
    ratios = np.sort(medians[:, :, 1] / medians[:, :1, 1], axis=0)  # (BLOCKS, stacks)
    both = np.median(times, axis=(0, 1))  # (stacks, 2)
    return Race(
        tuple(
            Timed(
                stack.name,
                float(both[k, 0]),
                float(both[k, 1]),
                float(np.median(ratios[:, k])),
                float(ratios[1, k]),
                float(ratios[-2, k]),
            )
            for k, stack in enumerate(stacks)
        ),
        tuple(left_out),
        times.shape[0] * times.shape[1],
    )


def _ms(call: Callable[[Image], object], image: Image) -> float:
    began = time.thread_time_ns()
    call(image)
    return (time.thread_time_ns() - began) / 1e6


def _stacks(directory: Path, yunet: Path | None, folder: Path) -> tuple[list[Stack], list[str]]:
    stacks: list[Stack] = [_Janusd(directory)]
    left_out = []
    if importlib.util.find_spec("dlib") and importlib.util.find_spec("face_recognition_models"):
        stacks.append(_DlibStack())
    else:
        left_out.append("dlib: pip install dlib-bin face_recognition_models")
    if yunet is None:
        left_out.append("OpenCV, onnxruntime, ncnn: give --yunet FILE.onnx")
        return stacks, left_out
    ours = models.load(directory).manifest.detector
    find = _Finder(YuNet(yunet, _YUNET_SCORE), ours.input.shape[2] if ours else _WIDTH)
    path = folder / "mobilefacenet.onnx"
    export_onnx(fold(mobilefacenet()), path)
    stacks.append(_Two(f"OpenCV {cv2.__version__}", find, _opencv(path)))
    stacks.append(_Two(f"onnxruntime {_version('onnxruntime')}", find, _onnxruntime(path)))
    if importlib.util.find_spec("ncnn") and importlib.util.find_spec("pnnx"):
        stacks.append(_Two(f"ncnn {_version('ncnn')}", find, _ncnn(path)))
    else:
        left_out.append("ncnn: pip install ncnn pnnx")
    return stacks, left_out


class _Janusd:
    """The door's own pipeline, as `make bench` runs it."""

    def __init__(self, directory: Path) -> None:
        self._pipeline = sdk.load_models(directory).pipeline
        self.name = f"janusd ({models.load(directory).manifest.encoder.name})"
        drawn = _gallery(self._pipeline.spec.output.shape[-1])
        self._gallery = Gallery.of_embeddings({f"person {k}": [row] for k, row in enumerate(drawn)})

    def detect(self, image: Image) -> bool:
        return bool(self._pipeline.faces(image))

    def recognise(self, image: Image) -> bool:
        _, probe = self._pipeline.evidence(Frame(image, 0.0, 0), self._gallery)
        return "match" in probe.stage_ms


class _DlibStack:
    """face_recognition's own order and settings: the frame doubled once, one face, Euclidean distance."""

    def __init__(self) -> None:
        dlib, self._landmarks, self._network = Dlib().parts()
        self.name = f"dlib {dlib.__version__} (HOG, ResNet)"
        self._detector = dlib.get_frontal_face_detector()
        self._gallery = _gallery(128)

    def detect(self, image: Image) -> bool:
        return bool(len(self._detector(image, 1)))

    def recognise(self, image: Image) -> bool:
        found = self._detector(image, 1)
        if not len(found):
            return False
        vector = np.array(self._network.compute_face_descriptor(image, self._landmarks(image, found[0])))
        np.linalg.norm(self._gallery - vector, axis=1).argmin()
        return True


Find = Callable[[Image], Points | None]
Encode = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""(1, 3, 112, 112) float to (1, 128)."""


class _Finder:
    """YuNet on the reduced frame; the landmarks of the likeliest face."""

    def __init__(self, yunet: YuNet, width: int) -> None:
        self._yunet, self._width = yunet, width

    def __call__(self, image: Image) -> Points | None:
        found = yunet_faces(self._yunet, image, self._width)
        return max(found, key=lambda face: face.score).landmarks_px if found else None


class _Two:
    """A detector, the usual alignment, and MobileFaceNet."""

    def __init__(self, runtime: str, find: Find, encode: Encode) -> None:
        self.name = f"YuNet, MobileFaceNet in {runtime}"
        self._find, self._encode, self._gallery = find, encode, _gallery(128)

    def detect(self, image: Image) -> bool:
        return self._find(image) is not None

    def recognise(self, image: Image) -> bool:
        points = self._find(image)
        if points is None:
            return False
        crop = real(align.align(image, points)).transpose(2, 0, 1)[np.newaxis]
        (self._gallery @ unit(self._encode(np.ascontiguousarray(crop)))).argmax()
        return True


def _opencv(path: Path) -> Encode:
    network = cv2.dnn.readNetFromONNX(str(path))

    def encode(crop: NDArray[np.float32]) -> NDArray[np.float32]:
        network.setInput(crop)
        return np.asarray(network.forward(), np.float32)

    return encode


def _onnxruntime(path: Path) -> Encode:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda crop: np.asarray(session.run(["embedding"], {"crop": crop})[0])


def _ncnn(path: Path) -> Encode:
    """Converted by ncnn's own tool, which writes its files beside the .onnx file."""
    import pnnx

    tool = Path(pnnx.__file__).with_name("pnnx")
    done = subprocess.run(  # noqa: S603  # the wheel's own tool, on a file that was just written here
        [tool, path.name, "inputshape=[1,3,112,112]"], cwd=path.parent, capture_output=True, check=False
    )
    graph, weights = (path.with_name(f"{path.stem}.ncnn.{end}") for end in ("param", "bin"))
    if done.returncode or not graph.exists():
        raise ExportError(f"pnnx cannot convert MobileFaceNet: {done.stderr.decode(errors='replace')[-300:]}")
    import ncnn

    network: Any = ncnn.Net()
    network.opt.num_threads = 1
    network.load_param(str(graph))
    network.load_model(str(weights))

    def encode(crop: NDArray[np.float32]) -> NDArray[np.float32]:
        session = network.create_extractor()
        session.input("in0", ncnn.Mat(crop[0]))
        return np.array(session.extract("out0")[1])

    return encode


def _gallery(dimensions: int) -> NDArray[np.float32]:
    """(PEOPLE, dimensions) unit rows of nobody."""
    rows = np.random.default_rng(1).normal(size=(PEOPLE, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _version(package: str) -> str:
    return importlib.metadata.version(package)
