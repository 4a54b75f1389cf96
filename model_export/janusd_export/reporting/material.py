"""What a report is drawn from: runs, comparisons, models and evaluations, and which faces may be shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from janusd import models
from janusd.core.manifest import Encoder as Described
from janusd.core.types import Face, Image
from janusd_export.compiling import edgetpu, graph, layers
from janusd_export.compiling.layers import Layer
from janusd_export.errors import ExportError
from janusd_export.evaluation import comparison, findings
from janusd_export.evaluation.comparison import Comparison
from janusd_export.evaluation.findings import Evaluation, TailCheck
from janusd_export.faces import device
from janusd_export.faces.photos import Photo, by_name, open_photos
from janusd_export.training import runs
from janusd_export.training.runs import Run

EVALUATION = "evaluation.json"
"""In a model folder, beside the manifest."""

_PARTS = {"cross": 1, "doors": 1, "matchers": 1, "subgroups": 1, "sturdiness": 1, "networks": 2, "map": 1}
"""What an evaluation may lack, and how many make it worth showing: one encoder is no comparison."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model folder: what its manifest says, and the figures that were left beside it."""

    folder: Path
    encoder: Described
    bytes: int
    layers: list[Layer]
    tail: TailCheck | None
    edge_tpu: edgetpu.Report | None = None
    """What an Edge TPU would map; None where the file cannot be read for that."""


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
    find: Callable[[Image], Face | None] = lambda _: None
    """Where in a photograph the face is that it is of."""


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
        """Of the page's model, else the first's: the largest, with what only others of it measured."""
        mine = self._mine()
        if not mine:
            return None
        lent = {name: getattr(lender, name) for name, lender in self._lenders(mine).items()}
        notes = list(dict.fromkeys(note for each in mine for note in each.notes))
        return msgspec.structs.replace(mine[0], **lent, notes=notes)

    @property
    def rivals(self) -> list[Evaluation]:
        """Evaluations of other encoders, drawn beside the page's."""
        mine = {each.encoder.sha256 for each in self._mine()}
        return [each for each in self.evaluations if each.encoder.sha256 not in mine]

    def borrowed(self, part: str) -> str:
        """The collection that this part of the evaluation was measured on, where it is not the page's own."""
        mine = self._mine()
        lender = self._lenders(mine).get(part) if mine else None
        return lender.collection if lender and lender.collection != mine[0].collection else ""

    def _mine(self) -> list[Evaluation]:
        """All evaluations of the page's encoder, the one of most comparisons first."""
        first = self.evaluations[0].encoder.sha256 if self.evaluations else None
        digest = self.model.encoder.sha256 if self.model else first
        mine = [each for each in self.evaluations if each.encoder.sha256 == digest]
        return sorted(mine, key=lambda e: (e.cross is None, -(e.pairs.genuine + e.pairs.impostor)))

    @staticmethod
    def _lenders(mine: Sequence[Evaluation]) -> dict[str, Evaluation]:
        """Who has what the first of these has not."""
        found = {}
        for name, least in _PARTS.items():
            has = [each for each in mine if len(_listed(getattr(each, name))) >= least]
            if has and has[0] is not mine[0]:
                found[name] = has[0]
        return found


def _listed(part: object) -> list[object]:
    """A part of an evaluation as a list: empty where it was not measured."""
    return part if isinstance(part, list) else [part] if part is not None else []


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


def allow_faces(licence: str, place: Path, models_dir: Path = models.RELEASED) -> Faces:
    """Photographs of a collection that may be shown under this licence. Raises ExportError.

    The detector of `models_dir` says where in each the face is.
    """
    if not licence.strip():
        raise ExportError("--may-show-faces needs the licence under which these faces may be shown")
    photos = by_name(open_photos(place))
    detector = device.open_detector(models.load(models_dir))
    return Faces(licence.strip(), photos, lambda image: device.central_face(image, detector.detect(image)))


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
        _mapped(released.encoder),
    )


def _mapped(network: bytes) -> edgetpu.Report | None:
    try:
        return edgetpu.check(graph.read(network, "the encoder"))
    except ExportError:
        return None  # the page says what is known; `janus-export edgetpu` says why this is not
