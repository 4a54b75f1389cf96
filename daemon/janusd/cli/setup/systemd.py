"""Units, where systemd runs. Elsewhere nothing is started: the commands are said."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from janusd.cli.setup.place import Place
from janusd.errors import InstallerError

_SYSTEMCTL_S = 90.0


@dataclass(frozen=True, slots=True)
class Systemd:
    """The systemd of a device; a folder that stands for one has none, but for $JANUS_SYSTEMCTL."""

    place: Place

    @property
    def program(self) -> str:
        """systemctl, or empty where there is nothing to run."""
        if not self.place.is_device:  # never the host's, for a folder's sake
            return os.environ.get("JANUS_SYSTEMCTL", "")
        runs = self.place.at("/run/systemd/system").exists()
        return (shutil.which("systemctl") or "") if runs else ""

    def state(self, unit: str) -> str:
        """For example "enabled active"; "unknown" for a unit that is not installed."""
        if not self.program:
            return "unknown"
        said = self._ask("show", "--property=LoadState,UnitFileState,ActiveState", unit)
        found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
        if found.get("LoadState") != "loaded":
            return "unknown"
        return f"{found.get('UnitFileState') or 'static'} {found.get('ActiveState', 'inactive')}"

    def reload(self) -> None:
        """Have the units' files read anew. Raises InstallerError."""
        if self.program:
            self.run("daemon-reload")

    def run(self, *words: str) -> None:
        """`systemctl WORDS`. Raises InstallerError with what it said."""
        try:
            done = subprocess.run(  # noqa: S603 - systemctl, or what its owner named
                [self.program, *words], capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallerError(f"systemctl {' '.join(words)}: {error}", "try it by hand") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
            raise InstallerError(
                f"systemctl {' '.join(words)}: {said}", f"see: journalctl -u {words[-1]} -n 30"
            )

    def _ask(self, *words: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - systemctl, or what its owner named
                [self.program, *words], capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip()
