"""A detector's training run as one TOML file; misspelt keys are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from janusd_export.detector.model import DetectorSize, RefinerSize
from janusd_export.errors import ExportError
from janusd_export.training.clocked import Run


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the recipe's tables: every key is known and read."""


class Detector(_Table, frozen=True):
    """[detector]: its architecture; see `model.DetectorSize`."""

    stem: int = 32
    patch: int = 6
    widths: tuple[int, int, int] = (64, 64, 64)
    narrow: int = 32
    blocks: tuple[int, int, int] = (3, 2, 1)


class Refiner(_Table, frozen=True):
    """[refiner]: its architecture; see `model.RefinerSize`."""

    widths: tuple[int, int, int, int] = (16, 32, 64, 96)


class Recipe(_Table, frozen=True):
    """A whole run of both networks."""

    name: str
    version: str
    seed: int
    detector_run: Run
    """[detector_run] and [refiner_run]: how long and how fast; the schedule follows the clock."""
    refiner_run: Run
    detector: Detector = Detector()
    refiner: Refiner = Refiner()

    @property
    def detector_size(self) -> DetectorSize:
        """The detector's architecture."""
        asked = self.detector
        return DetectorSize(asked.stem, asked.patch, asked.widths, asked.narrow, asked.blocks)

    @property
    def refiner_size(self) -> RefinerSize:
        """The refiner's architecture."""
        return RefinerSize(self.refiner.widths)


def load(path: Path) -> Recipe:
    """Read a recipe. Raises ExportError that names the file and the wrong key."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipe, strict=False)
    except OSError as error:
        raise ExportError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ExportError(f"{path}: {error}") from error
