"""The same recognition the daemon runs, for a program of your own.

    from janusd import sdk

    recognizer = sdk.load_models()
    ada = recognizer.embed(sdk.read_image("ada.jpg"))
    gallery = sdk.Gallery.of_embeddings({"ada": [ada]})
    found = recognizer.identify(sdk.read_image("somebody.jpg"), gallery)
    print(found.person or found.reason.hint, found.score)

Images are (H, W, 3) uint8 RGB arrays. Nothing here opens a door: a door wants several agreeing frames, a
margin, a schedule and a lockout, all of which live in `janusd.core.policy`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from janusd.config import ModelSection
from janusd.core import match
from janusd.core.gallery import Gallery
from janusd.core.manifest import fmr_for_gallery, promised_point
from janusd.core.policy import is_match
from janusd.core.reason import Reason
from janusd.core.types import Embedding, Face, Image
from janusd.errors import UnusableFace, UnusableImage
from janusd.main import open_pipeline
from janusd.pipeline import Pipeline

__all__ = ["Found", "Gallery", "Recognizer", "load_models", "read_image"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search of a gallery gave."""

    person: str | None
    """Whom the picture shows, or None."""
    reason: Reason
    """MATCHED, UNKNOWN, NOBODY_ENROLLED, or why the picture could not be compared."""
    score: float | None
    """Of the most similar person, matched or not."""
    threshold: float | None
    """What the score was held against: it depends on the gallery's size."""


@dataclass(frozen=True, slots=True)
class Recognizer:
    """Loaded networks. Not thread-safe: give each thread its own."""

    pipeline: Pipeline

    def faces(self, image: Image) -> tuple[Face, ...]:
        """All faces in the picture, the largest first."""
        return self.pipeline.faces(image)

    def embed(self, image: Image, face: Face | None = None) -> Embedding:
        """The embedding of the one face in the picture, or of `face`, whatever its quality.

        Raises UnusableFace, with the reason, when no face is named and there is not exactly one fit face.
        """
        if face is not None:
            return self.pipeline.embed(image, face)
        probe = self.pipeline.probe(image)
        if probe.embedding is None:
            reason = probe.reason or Reason.NO_FACE
            raise UnusableFace(reason.explanation, reason.hint)
        return probe.embedding

    def compare(self, a: Embedding, b: Embedding) -> float:
        """The score of two embeddings, about -1..1; see `janusd.core.match`."""
        return match.verify(a, b)

    def threshold(self, gallery: Gallery, fpir: float = 1e-3) -> float:
        """The score at which a stranger matches anybody of this gallery at rate `fpir`."""
        fmr = fmr_for_gallery(fpir, gallery.comparisons)
        return promised_point(self.pipeline.spec.calibration, fmr).threshold

    def identify(self, image: Image, gallery: Gallery, fpir: float = 1e-3) -> Found:
        """Search the gallery for the one face in the picture, at a false positive identification rate."""
        probe = self.pipeline.probe(image)
        if probe.embedding is None:
            return Found(None, probe.reason or Reason.NO_FACE, None, None)
        best, _ = match.identify(probe.embedding, gallery)
        if best is None:
            return Found(None, Reason.NOBODY_ENROLLED, None, None)
        threshold = self.threshold(gallery, fpir)
        if not is_match(best, threshold):
            return Found(None, Reason.UNKNOWN, best.score, threshold)
        template = gallery.person(best.person_id)
        return Found(template.name if template else None, Reason.MATCHED, best.score, threshold)


def load_models(
    directory: Path | str | None = None, *, threads: int = 1, runtime: str = "auto"
) -> Recognizer:
    """Load the released models, or those of a signed bundle or folder. Raises ModelError or NetworkError."""
    section = ModelSection(directory=str(directory or ""), threads=threads, runtime=runtime)  # type: ignore[arg-type]  # the driver names the runtimes it knows
    return Recognizer(open_pipeline(section))


def read_image(path: Path | str) -> Image:
    """Read a picture file as (H, W, 3) uint8 RGB. Raises UnusableImage naming the file."""
    try:
        raw = np.fromfile(path, np.uint8)
    except OSError as error:
        raise UnusableImage(f"{path}: cannot be read ({error.strerror})", "check the path") from error
    image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if image is None:
        raise UnusableImage(f"{path}: is not a picture", "give a JPEG, PNG or WebP file")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
