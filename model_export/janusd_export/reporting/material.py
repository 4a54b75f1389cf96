"""What a report is drawn from: runs, comparisons, models and evaluations, and which faces may be shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from janusd import models
from janusd.core.manifest import Encoder as Described
from janusd_export.compiling import layers
from janusd_export.compiling.layers import Layer
from janusd_export.errors import ExportError
from janusd_export.evaluation import comparison, findings
from janusd_export.evaluation.comparison import Comparison
from janusd_export.evaluation.findings import Evaluation, TailCheck
from janusd_export.faces.photos import Photo, open_photos
from janusd_export.training import runs
from janusd_export.training.runs import Run

EVALUATION = "evaluation.json"
"""In a model folder, beside the manifest."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder: what its manifest says, and the figures that were left beside it."""

    folder: Path
    encoder: Described
    bytes: int
    layers: list[Layer]
    tail: TailCheck | None


@dataclass(frozen=True, slots=True)
class Contest:
    """A comparison's folder: what came of each objective, and their logs."""

    found: Comparison
    runs: list[Run]
    """Of the objectives that are through, in the order of their outcomes."""


@dataclass(frozen=True, slots=True)
class Faces:
    """Photographs that may be shown, and why."""

    licence: str
    photos: dict[str, Photo]


@dataclass(frozen=True, slots=True)
class Inputs:
    """All that was given to draw from; the first of several is the page's subject."""

    runs: list[Run]
    models: list[Model]
    evaluations: list[Evaluation]
    faces: Faces | None = None
    contests: list[Contest] = field(default_factory=list)

    @property
    def model(self) -> Model | None:
        """The page's model."""
        return self.models[0] if self.models else None

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation of the page's model, else the first."""
        if self.model:
            digest = self.model.encoder.sha256
            return next((e for e in self.evaluations if e.encoder.sha256 == digest), None)
        return self.evaluations[0] if self.evaluations else None


def gather(places: Sequence[Path], faces: Faces | None = None) -> Inputs:
    """Look at each place and see what it is. Raises ExportError for one that is nothing of ours."""
    found_runs, found_models, evaluations, contests = [], [], [], []
    for place in places:
        if place.is_file():
            evaluations.append(findings.read(place))
            continue
        is_known = False
        if (place / runs.LOG).exists():
            found_runs.append(runs.read(place))
            is_known = True
        if (place / comparison.FILE).exists():
            contests.append(contest(place, comparison.read(place)))
            is_known = True
        if (place / "manifest.json").exists():
            found_models.append(_model(place))
            is_known = True
        if (place / EVALUATION).exists():
            evaluations.append(findings.read(place / EVALUATION))
            is_known = True
        if not is_known:
            raise ExportError(
                f"{place} is neither a run ({runs.LOG}), nor a comparison ({comparison.FILE}), nor a model "
                "folder (manifest.json), nor an evaluation: give what train, compare, compile or "
                "evaluate --out wrote"
            )
    return Inputs(found_runs, found_models, evaluations, faces, contests)


def contest(folder: Path, found: Comparison) -> Contest:
    """A comparison with the logs of its runs. Raises ExportError."""
    return Contest(found, [runs.read(folder / outcome.name) for outcome in found.outcomes])


def allow_faces(licence: str, place: Path) -> Faces:
    """Photographs of a collection that may be shown under this licence. Raises ExportError."""
    if not licence.strip():
        raise ExportError("--may-show-faces needs the licence under which these faces may be shown")
    return Faces(licence.strip(), {photo.name: photo for photo in open_photos(place)})


def _model(folder: Path) -> Model:
    released = models.load(folder)
    encoder = released.manifest.encoder
    tail = folder / findings.TAIL_FILE
    return Model(
        folder,
        encoder,
        len(released.encoder),
        layers.read(folder) if (folder / layers.FILE).exists() else [],
        findings.read_tail(tail) if tail.exists() else None,
    )
