"""What setup did, so that it can be undone; and files that are replaced whole or not at all.

    /var/lib/janus-setup/journal.json    each thing is noted here before it is done; root's alone
    /var/lib/janus-setup/draft.toml      the answers of a setup that was interrupted

A file that setup replaces is kept twice: as FILE.bak for people, and in the journal for `--undo`.

Trust boundary: the folder belongs to root, mode 0700; what stands in it is believed.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from janusd.errors import InstallerError

Kind = Literal["file", "unit", "credential", "vault", "person"]


class Action(msgspec.Struct):
    """One thing that setup did, or was about to do when it ended."""

    step: str
    kind: Kind
    name: str
    """A file's path, a unit's name, a person's."""
    before: str | None = None
    """A file's text before; None where there was none. A unit: "enabled" or not, and "active" or not."""
    after: str = ""
    """SHA-256 of the file that was written."""
    vault: dict[str, str] = {}
    """Of a vault: what [vault] said of its key when it was made. Undoing takes that file away."""


class Run(msgspec.Struct):
    """One time that setup changed something."""

    began_at: str
    state: Literal["applying", "done", "undone"] = "applying"
    actions: list[Action] = []


class Memory:
    """The journal of a device."""

    def __init__(self, folder: Path) -> None:
        """Read it. Raises InstallerError where it is damaged."""
        self._folder, self._path = folder, folder / "journal.json"
        self.runs: list[Run] = []
        try:
            self.runs = msgspec.json.decode(self._path.read_bytes(), type=list[Run])
        except FileNotFoundError:
            pass
        except PermissionError:
            pass  # not root: nothing will be written either
        except (OSError, msgspec.DecodeError) as error:
            raise InstallerError(
                f"{self._path}: cannot be read: {error}", "move it away; then nothing older can be undone"
            ) from error

    @property
    def draft(self) -> Path:
        """Where answers are kept until they are used."""
        return self._folder / "draft.toml"

    @property
    def last(self) -> Run | None:
        """The newest run that is not undone."""
        return next((run for run in reversed(self.runs) if run.state != "undone"), None)

    def vault(self, name: str) -> dict[str, str]:
        """What was noted of the key when the vault in that folder was made; also of a run that was undone."""
        made = [action for run in self.runs for action in run.actions if action.kind == "vault"]
        return next((action.vault for action in reversed(made) if action.name == name), {})

    def begin(self, at: str) -> Run:
        """Begin a run."""
        self.runs.append(Run(began_at=at))
        self._save()
        return self.runs[-1]

    def note(self, action: Action) -> None:
        """Write down what is about to be done."""
        self.runs[-1].actions.append(action)
        self._save()

    def end(self, run: Run, state: Literal["done", "undone"]) -> None:
        """The run is over."""
        if run.state == "applying" and state == "done" and not run.actions:
            self.runs.remove(run)  # nothing changed: nothing to undo
        else:
            run.state = state
        self._save()

    def keep(self, draft: str) -> None:
        """Keep the answers so far."""
        self._make()
        replace(self.draft, draft, mode=0o600)

    def drop_draft(self) -> None:
        """Forget the answers so far."""
        self.draft.unlink(missing_ok=True)

    def _save(self) -> None:
        self._make()
        replace(
            self._path, msgspec.json.format(msgspec.json.encode(self.runs), indent=1).decode(), mode=0o600
        )

    def _make(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InstallerError(
                f"cannot make {self._folder}: {error.strerror}", "make it, mode 0700"
            ) from error


def digest(text: str | None) -> str:
    """SHA-256 of a text; of no file, empty."""
    return "" if text is None else hashlib.sha256(text.encode()).hexdigest()


def read(path: Path) -> str | None:
    """A file's text; None where there is no file. Raises InstallerError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise InstallerError(
            f"{path}: cannot be read: {error}", "see who may read it, and what it is"
        ) from error


def replace(path: Path, text: str, *, mode: int = 0o644, keep_old: bool = False) -> None:
    """Put a file there, whole: written beside it, forced to the disk, renamed. Raises InstallerError.

    An old file's mode and owner stay. With `keep_old` it is found as FILE.bak afterwards.
    """
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            new.unlink()  # of a run that was killed
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            if path.exists():
                old = path.stat()
                os.fchmod(file.fileno(), old.st_mode & 0o7777)
                if os.geteuid() == 0:
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            else:
                os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        if keep_old and path.exists():
            _back_up(path)
        new.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise InstallerError(
            f"cannot write {path}: {error.strerror}",
            "nothing was changed there; free space, or see who may write",
        ) from error


def remove(path: Path) -> None:
    """Take a file away, durably."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        _sync(path.parent)


def _back_up(path: Path) -> None:
    """A second name for the old file: it is never gone, not even for a moment."""
    link = path.with_name(path.name + ".bak.new")
    with suppress(FileNotFoundError):
        link.unlink()
    os.link(path, link)
    link.replace(path.with_name(path.name + ".bak"))


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
