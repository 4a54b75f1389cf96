"""All media of training, and those that are left out of it to choose recipes and versions by."""

from __future__ import annotations

from typing import Final

from janusd_export.passive import displays, presses, species
from janusd_export.passive.species import Medium

FIRST: Final = tuple(species.SPECIES)
"""What the first version was taught on."""
SPECIES: Final[dict[str, Medium]] = species.SPECIES | displays.DISPLAYS | presses.PRESSES
LEFT_OUT: Final[dict[str, Medium]] = displays.LEFT_OUT | presses.LEFT_OUT
SCREENS: Final = species.SCREENS | displays.DISPLAYS.keys() | displays.LEFT_OUT.keys()
