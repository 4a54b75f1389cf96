"""A vault with somebody in it, made as the door of a configuration would."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from janusd import main as composition
from janusd.config import Config
from janusd.vault.keeper import Keeper, Place
from janusd.vault.keys import device_id


def add_somebody(config: Config, name: str) -> None:
    """Enrol that person with three samples. Raises what is wrong with the vault."""
    place = Place(
        Path(config.vault.directory) / "vault.db",
        composition.key_ring(config.vault),
        device_id(Path(config.vault.machine_id)),
        bytes(32),
        composition.anchor(config.vault),
    )
    keeper = Keeper.open(place)
    try:
        keeper.add(name, np.eye(3, 128, dtype=np.float32))
    finally:
        keeper.close()
