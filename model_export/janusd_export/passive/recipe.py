"""A run of the attack detection network as one TOML file; misspelt keys are refused."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from janusd_export.errors import ExportError
from janusd_export.passive.media import SPECIES
from janusd_export.training.clocked import Run

PIECE = 500
"""Pictures of a cache that are written at once."""


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[network]: its architecture; see `network.PassiveNet`."""

    widths: tuple[int, int, int, int] = (16, 24, 48, 96)
    blocks: tuple[int, int] = (1, 2)


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole run."""

    name: str
    version: str
    seed: int
    pictures: int
    """Composed to learn from."""
    tuning_pictures: int
    run: Run
    media: tuple[str, ...] = ()
    """Which to learn from; none: all. Those left out may be named by nobody."""
    hard_light: float = 0.0
    """Share of all pictures in light that media have of their own."""
    network: Network = Network()


def load(path: Path) -> Recipe:
    """Read a recipe. Raises ExportError that names the file and the wrong key."""
    try:
        asked = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Recipe, strict=False)
    except OSError as error:
        raise ExportError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ExportError(f"{path}: {error}") from error
    if unknown := set(asked.media) - set(SPECIES):
        raise ExportError(f"{path}: media: nothing of training is called {sorted(unknown)[0]!r}")
    return asked if asked.media else msgspec.structs.replace(asked, media=tuple(SPECIES))
