"""Where things lie: on the device, or below a folder that stands for one (`--root`)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A device's files."""

    root: Path = Path("/")

    def at(self, path: str) -> Path:
        """That absolute path, below the root."""
        return self.root / path.lstrip("/")

    @property
    def is_device(self) -> bool:
        """Whether this is the device itself."""
        return self.root == Path("/")

    @property
    def janus(self) -> Path:
        """janus.toml."""
        return self.at("/etc/janus/janus.toml")

    @property
    def latch(self) -> Path:
        """latch.toml."""
        return self.at("/etc/janus/latch.toml")

    @property
    def memory(self) -> Path:
        """The folder of the journal and of answers so far. Outside the vault's, which janusd owns."""
        return self.at("/var/lib/janus-setup")

    @property
    def vault(self) -> Path:
        """The folder of the vault."""
        return self.at("/var/lib/janus")

    @property
    def credential(self) -> Path:
        """Where systemd looks for the vault's sealed key."""
        return self.at("/etc/credstore.encrypted/janus-key")

    @property
    def socket(self) -> Path:
        """The control socket of janusd."""
        return self.at("/run/janus/control")

    def may_write(self) -> bool:
        """Whether this user can set the device up."""
        return not self.is_device or os.geteuid() == 0
