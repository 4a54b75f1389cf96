"""Other encoders in the int8 one's place: the same photographs, the door's detector, the door's comparison.

    float     the network before int8: a float .tflite file, or a run's checkpoint with its recipe
    teachers  what it was distilled from (OpenVINO)
    sface     OpenCV's SFace, an .onnx file of the OpenCV Zoo
    dlib      face_recognition's ResNet, from the wheels dlib-bin and face_recognition_models

Each sees the face as its makers align it, with the landmarks of the door's detector (dlib: with its own
landmarks inside that face), and is compared by the cosine of unit embeddings (dlib's makers take the
Euclidean distance instead). Files and wheels are the
user's: nothing is downloaded here, and nothing of it is released.
"""

# ruff: noqa: PLC0415  # each library loads only where its encoder is asked for

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd.core import align, embed, manifest
from janusd.core.align import CROP_PX
from janusd.core.types import Image, Points
from janusd_export.errors import ExportError
from janusd_export.faces.device import as_embedded, embed_at, open_pipeline
from janusd_export.faces.photos import Photo, decode
from janusd_export.faces.teachers import ONE_THREAD

if TYPE_CHECKING:
    from janusd_export.faces.device import OtherEncoder

Encode = Callable[[Image, Points], NDArray[np.float32]]

RETAIL_LANDMARKS = np.array(
    [[0.3156, 0.4616], [0.6826, 0.4616], [0.5003, 0.6405], [0.3495, 0.8247], [0.6534, 0.8247]], np.float32
)
"""Of face-reidentification-retail-0095, as fractions of its side (Open Model Zoo's page)."""


@dataclass(frozen=True, slots=True)
class FloatLiteRt:
    """A float .tflite network with the released one's input and output."""

    path: Path
    like: manifest.Encoder
    """The released one: its views, and what it makes of an answer's length."""
    name: str = "float"

    @property
    def key(self) -> str:
        """From the file's bytes."""
        return f"float-{as_embedded(self.like)}{digest(self.path)}"

    def open(self) -> Encode:
        """Load it with LiteRT."""
        from ai_edge_litert.interpreter import Interpreter

        try:
            network = Interpreter(model_path=str(self.path), num_threads=1)
            network.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise ExportError(f"{self.path} is no .tflite network: {error}") from error
        given, wanted = network.get_input_details()[0], network.get_output_details()[0]
        if given["dtype"] != np.float32 or tuple(given["shape"]) != (1, CROP_PX, CROP_PX, 3):
            raise ExportError(
                f"{self.path} takes {given['dtype']} {given['shape']}, not float (1, 112, 112, 3)"
            )

        def run(crop: Image) -> NDArray[np.float32]:
            network.set_tensor(given["index"], real(crop)[np.newaxis])
            network.invoke()
            return np.array(network.get_tensor(wanted["index"]), np.float32).reshape(-1)

        return _aligned(run, self.like.mirrored, self.like.attenuation)


@dataclass(frozen=True, slots=True)
class FloatRun:
    """The averaged weights of a run, batch norm folded in, in torch."""

    run_dir: Path
    recipe: Path
    like: manifest.Encoder
    name: str = "float"

    @property
    def key(self) -> str:
        """From the checkpoint's bytes."""
        return f"float-{as_embedded(self.like)}{digest(self.run_dir / 'checkpoint.pt')}"

    def open(self) -> Encode:
        """Load it with torch, on one thread."""
        import torch

        from janusd_export.training import recipe
        from janusd_export.training.checkpoint import load_average
        from janusd_export.training.student import fold

        torch.set_num_threads(1)
        student: Any = fold(load_average(recipe.load(self.recipe), self.run_dir / "checkpoint.pt"))

        def run(crop: Image) -> NDArray[np.float32]:
            with torch.no_grad():
                x = torch.from_numpy(real(crop)).permute(2, 0, 1)[None]  # (1, 3, 112, 112)
                return np.asarray(student(x).numpy(), np.float32).reshape(-1)

        return _aligned(run, self.like.mirrored, self.like.attenuation)


@dataclass(frozen=True, slots=True)
class Released:
    """The released encoder itself, to be timed as all others are."""

    directory: Path
    name = "int8"

    @property
    def key(self) -> str:
        """From its files."""
        return f"released-{models.load(self.directory).manifest.encoder.sha256[:16]}"

    def open(self) -> Encode:
        """Load the door's pipeline."""
        pipeline = open_pipeline(self.directory)
        return lambda image, points: embed_at(pipeline, image, points)


@dataclass(frozen=True, slots=True)
class Teacher:
    """One of the teachers, sum of a face's and its mirror image's embeddings."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """Its network."""
        return self.folder / {"arcface_mbf_512": "arcface_mbf_512.onnx"}.get(self.name, f"{self.name}.xml")

    @property
    def key(self) -> str:
        """From its file."""
        return f"teacher-{self.name}-{digest(self.path)}"

    def open(self) -> Encode:
        """Load it with OpenVINO, one thread."""
        import openvino as ov

        core: Any = ov.Core()
        network = core.compile_model(str(self.path), "CPU", ONE_THREAD)

        def arcface(crop: Image) -> NDArray[np.float32]:
            planes = np.ascontiguousarray(real(crop).transpose(2, 0, 1)[None])
            return np.asarray(network(planes)[0], np.float32).reshape(-1)

        def retail(image: Image, points: Points) -> NDArray[np.float32]:
            matrix = align.similarity(points, RETAIL_LANDMARKS * np.float32(128))
            face = cv2.warpAffine(image, matrix, (128, 128), borderMode=cv2.BORDER_REPLICATE)[:, :, ::-1]
            both = [
                unit(network(np.ascontiguousarray(view.transpose(2, 0, 1)[None], np.float32))[0])
                for view in (face, face[:, ::-1])
            ]
            return unit(both[0] + both[1])

        return _aligned(arcface, True) if self.name == "arcface_mbf_512" else retail


@dataclass(frozen=True, slots=True)
class SFace:
    """OpenCV's SFace (Zhong et al. 2021), by cv2.FaceRecognizerSF."""

    path: Path
    name: str = "OpenCV SFace"

    @property
    def key(self) -> str:
        """From its file."""
        return f"sface-{digest(self.path)}"

    def open(self) -> Encode:
        """Load it with OpenCV's dnn."""
        try:
            network = cv2.FaceRecognizerSF.create(str(self.path), "")
        except cv2.error as error:
            raise ExportError(f"{self.path} is not OpenCV's SFace: {error}") from error

        def encode(image: Image, points: Points) -> NDArray[np.float32]:
            low, high = points.min(axis=0), points.max(axis=0)
            face = np.concatenate([low, high - low, points.ravel(), [1.0]]).astype(np.float32)[None]
            bgr = np.ascontiguousarray(image[:, :, ::-1])
            return unit(np.asarray(network.feature(network.alignCrop(bgr, face))))

        return encode


@dataclass(frozen=True, slots=True)
class Dlib:
    """dlib's face_recognition_resnet_model_v1, with its own five landmarks."""

    name: str = "dlib face_recognition"

    @property
    def key(self) -> str:
        """One network only."""
        return "dlib-resnet-v1"

    @property
    def path(self) -> Path:
        """Its network."""
        return self._folder() / "dlib_face_recognition_resnet_model_v1.dat"

    def open(self) -> Encode:
        """Load it from the installed wheels. Raises ExportError where they are not."""
        dlib, landmarks, network = self.parts()

        def encode(image: Image, points: Points) -> NDArray[np.float32]:
            eye = float(np.hypot(*(points[1] - points[0])))
            x, y = (float(v) for v in points.mean(axis=0))
            half = 1.25 * eye  # the square its own detector draws: brows to chin
            box = dlib.rectangle(*(round(v) for v in (x - half, y - half, x + half, y + half)))
            return unit(np.array(network.compute_face_descriptor(image, landmarks(image, box))))

        return encode

    def parts(self) -> tuple[Any, Any, Any]:
        """The library, its five landmarks, its network. Raises ExportError where they are not installed."""
        try:
            import dlib
        except ModuleNotFoundError as error:
            raise _no_wheels("dlib") from error

        landmarks = dlib.shape_predictor(str(self._folder() / "shape_predictor_5_face_landmarks.dat"))
        return dlib, landmarks, dlib.face_recognition_model_v1(str(self.path))

    @staticmethod
    def _folder() -> Path:
        import importlib.util

        found = importlib.util.find_spec("face_recognition_models")  # its own code needs pkg_resources
        if found is None or not found.submodule_search_locations:
            raise _no_wheels("face_recognition_models")
        return Path(next(iter(found.submodule_search_locations))) / "models"


def _no_wheels(name: str) -> ExportError:
    return ExportError(
        f"--peer dlib: {name} is not installed here; pip install dlib-bin face_recognition_models"
    )


def teachers(folder: Path) -> list[Teacher]:
    """Those whose files are in the folder. Raises ExportError where there are none."""
    known = ("arcface_mbf_512", "face-reidentification-retail-0095")
    found = [Teacher(folder, name) for name in known if Teacher(folder, name).path.exists()]
    if not found:
        raise ExportError(
            f"{folder} holds no teacher ({', '.join(str(Teacher(folder, n).path) for n in known)})"
        )
    return found


def embedding_ms(encoder: OtherEncoder, photo: Photo, runs: int = 20) -> float:
    """Median processor time of one embedding with alignment, the face taken to fill the photograph."""
    encode, image = encoder.open(), decode(photo.read(), photo.name)
    stretch = np.array([image.shape[1], image.shape[0]], np.float32) / np.float32(CROP_PX)
    spent = []
    for _ in range(runs + 3):
        start = time.process_time_ns()
        encode(image, align.TEMPLATE * stretch)
        spent.append(time.process_time_ns() - start)
    return float(np.median(spent[3:])) / 1e6  # the first runs fill caches


def file_bytes(encoder: OtherEncoder) -> int | None:
    """The size of the encoder's file, where it is one file of its own."""
    path = getattr(encoder, "path", None)
    if not isinstance(path, Path):
        return None
    weights = path.with_suffix(".bin")  # OpenVINO keeps them apart
    return path.stat().st_size + (weights.stat().st_size if path.suffix == ".xml" else 0)


def real(crop: Image) -> NDArray[np.float32]:
    """Pixels as the student and ArcFace were trained on them: -1..1."""
    return (crop.astype(np.float32) - np.float32(127.5)) / np.float32(127.5)


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The unit vector of its direction; zeros of zeros."""
    flat = np.asarray(vector, np.float32).reshape(-1)
    norm = np.linalg.norm(flat)
    return flat / norm if norm > 0 else flat


def digest(path: Path) -> str:
    """The start of the file's SHA-256. Raises ExportError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error


def _aligned(
    run: Callable[[Image], NDArray[np.float32]],
    is_mirrored: bool,
    attenuation: manifest.Attenuation | None = None,
) -> Encode:
    """On the door's own crop, and its mirror image where the door does so."""

    def encode(image: Image, points: Points) -> NDArray[np.float32]:
        crop = align.align(image, points)
        views = (crop, crop[:, ::-1]) if is_mirrored else (crop,)
        return embed.of_answers([run(view) for view in views], attenuation)

    return encode
