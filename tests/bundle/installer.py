"""A process that installs one bundle after the other until it is killed."""

from __future__ import annotations

from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

from janusd.bundle.install import install
from support.bundles import KEYS


def install_for_ever(bundles: list[Path], target: Path, shipped: Path, says: Connection) -> None:
    says.send("ready")
    for bundle in cycle(bundles):
        install(bundle, KEYS, target=target, shipped=shipped, allow_older=True)
