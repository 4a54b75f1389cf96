"""Where things lie: on the device, or below a folder that stands for one (`--root`)."""

from __future__ import annotations

import os
import shlex
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
    def drop_in(self) -> Path:
        """What janusd.service lets through beyond what every door needs."""
        return self.at("/etc/systemd/system/janusd.service.d/janus-setup.conf")

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
    def machine_id(self) -> Path:
        """The device's id, of machine-id(5)."""
        return self.at("/etc/machine-id")

    @property
    def socket(self) -> Path:
        """The control socket of janusd."""
        return self.at("/run/janus/control")

    def typed(self, words: str) -> str:
        """`janusctl WORDS` as somebody types it for this place: below a folder it spares the device."""
        is_setup = words.split(maxsplit=1)[0] == "setup"
        if self.is_device:
            return f"{'sudo ' if is_setup else ''}janusctl {words}"
        if is_setup:
            return f"janusctl setup --root {shlex.quote(str(self.root))}{words.removeprefix('setup')}"
        return f"janusctl --socket {shlex.quote(str(self.socket))} {words}"

    def may_write(self) -> bool:
        """Whether this user can set the device up."""
        return not self.is_device or os.geteuid() == 0
