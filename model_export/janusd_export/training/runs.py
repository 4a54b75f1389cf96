"""Read what training logged: RUN/log.jsonl, one JSON object a line, events `start`, `step` and `validate`.

A run that was killed and resumed has several starts and may repeat steps: the later line of a step counts. A
killed run's last line may be cut in half; any other damaged line is an error that names it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from janusd_export.errors import ExportError

LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Run:
    """A training run, as far as it has come."""

    name: str
    start: dict[str, Any]
    steps: list[dict[str, Any]]
    """By step, rising."""
    validations: list[dict[str, Any]]
    starts: int

    def series(self, key: str, *, validated: bool = False) -> list[tuple[float, float]]:
        """(epoch, or step where epochs are not logged; value) of what was logged under this key."""
        epoch = self.epochs_a_step
        return [
            (entry["step"] * (epoch or 1.0), float(entry[key]))
            for entry in (self.validations if validated else self.steps)
            if isinstance(entry.get(key), int | float)
        ]

    @property
    def epochs_a_step(self) -> float | None:
        """How much of an epoch one step is; None where that was not logged."""
        for entry in reversed(self.steps):
            if entry.get("epoch") and entry["step"]:
                return float(entry["epoch"]) / float(entry["step"])
        return None


def read(folder: Path) -> Run:
    """The run in this folder. Raises ExportError."""
    path = folder / LOG
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"cannot read {path}: {error}") from error
    start: dict[str, Any] = {}
    steps: dict[int, dict[str, Any]] = {}
    validations: dict[int, dict[str, Any]] = {}
    starts = 0
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            event, step = entry["event"], int(entry.get("step", 0))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if number == len(lines):
                break  # the run was killed in the middle of a line
            raise ExportError(f"{path}, line {number} is damaged: {error!r}") from error
        if event == "start":
            start, starts = entry, starts + 1
        elif event == "step":
            steps[step] = entry
        elif event == "validate":
            validations[step] = entry
    if not starts:
        raise ExportError(f"{path} holds no run that started: run janus-export train")
    return Run(
        folder.name,
        start,
        [steps[n] for n in sorted(steps)],
        [validations[n] for n in sorted(validations)],
        starts,
    )
