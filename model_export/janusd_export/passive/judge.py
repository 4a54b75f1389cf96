"""The compiled network as a door runs it, and how genuine it takes a presentation for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from janusd.core import passive
from janusd.core.manifest import AttackNet
from janusd.core.tensors import to_tensor
from janusd_export.errors import ExportError
from janusd_export.passive.series import Series
from janusd_hw.litert import LiteRtNetwork

SPEC = "attack.json"
BPCER = 0.02
"""Well below the 5 % that are promised: those measured on are other people in other places, and the 62 people
and 51 places of tuning say little about others: a threshold for 4 % refused 7.7 % of 600 others."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The network as a door runs it."""

    network: LiteRtNetwork
    spec: AttackNet

    def genuine(self, presented: Series) -> float:
        """The mean over a presentation's frames, 0..1."""
        return float(np.mean(self._scores(presented)))

    def longest_trust(self, presented: Series, remembers: int, agree: int) -> float:
        """The highest threshold at which a door would have let this presentation in at some time, 0..1.

        A door takes the mean over the newest `remembers` frames, from the first on, and opens when `agree`
        in a row reach its threshold.
        """
        scores = self._scores(presented)
        means = [float(np.mean(scores[max(0, end - remembers) : end])) for end in range(1, len(scores) + 1)]
        return max(min(means[start : start + agree]) for start in range(len(means) - agree + 1))

    def _scores(self, presented: Series) -> list[float]:
        seen = (passive.looks(image, face, self.spec) for image, face in presented)
        answers = [self.network.run(to_tensor(one, self.spec.input)) for one in seen]
        return [passive.from_tensor(answer, self.spec.output) for answer in answers]


def open_judge(folder: Path) -> Judge:
    """What `compile_run` wrote, as a door opens it, on one thread. Raises ExportError."""
    try:
        spec = msgspec.json.decode((folder / SPEC).read_bytes(), type=AttackNet)
        model = (folder / spec.file).read_bytes()
    except OSError as error:
        raise ExportError(f"{error.filename} cannot be read: run janus-export passive compile") from error
    except msgspec.DecodeError as error:
        raise ExportError(f"{folder / SPEC}: {error}: compile it again") from error
    if hashlib.sha256(model).hexdigest() != spec.sha256:
        raise ExportError(f"{folder / spec.file} is not the file that {SPEC} describes: compile it again")
    return Judge(LiteRtNetwork(model), spec)


def choose_threshold(living: list[float]) -> float:
    """The highest at which at most `BPCER` of these means speak of an attack."""
    if not living:
        raise ExportError("no living presentation to choose a threshold on: ask for some")
    return sorted(living)[int(BPCER * len(living))]
