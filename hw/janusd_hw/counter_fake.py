"""A counter without a TPM, for tests: in a file that can be put back, as a TPM's cannot."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from janusd.errors import AnchorLost, InstallerError


@dataclass(slots=True)
class FakeCounter:
    """A `Counter` in a file; remembers what was asked of it."""

    path: Path
    is_silent: bool = False
    """Whether it answers nothing, as a TPM that hangs."""
    asked: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Which counter."""
        return "fake counter"

    def read(self) -> int:
        """What it stands at. Raises AnchorLost, InstallerError."""
        self._ask("read")
        if not self.path.exists():
            raise AnchorLost("there is no fake counter", "make it")
        return int(self.path.read_text())

    def increment(self) -> None:
        """Move it on by one. Raises AnchorLost, InstallerError."""
        self._ask("increment")
        fresh = self.path.with_name(self.path.name + ".new")
        fresh.write_text(str(self.read() + 1))
        fresh.rename(self.path)

    def make(self) -> bool:
        """Make it where it is missing; whether it was."""
        self._ask("make")
        if self.path.exists():
            return False
        self.path.write_text("17")  # a TPM's first number is not 0 either
        return True

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.is_silent:
            raise InstallerError("the fake counter does not answer", "wake it")
