"""Put a bundle where the daemon looks for it, whole or not at all.

The installed model is one file, so that `rename` exchanges it: whoever reads, and whoever kills us at any
moment, finds the old bundle or the new one. The folder belongs to root; the daemon only reads it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from janusd.bundle.check import Signed, verify
from janusd.bundle.keys import PROJECT_KEY, TrustedKey
from janusd.errors import ModelError
from janusd.vault.private import sync_folder

INSTALLED: Final = Path("/var/lib/janus-models/installed.janus")
"""Not below /var/lib/janus: that is the daemon's own, and it must not be able to exchange its model."""
SHIPPED: Final = PROJECT_KEY.parent
"""The models that came with this version."""

_BESIDE = ".installing"


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation changed."""

    before: Signed | None
    """What the door would have run; None where that was damaged."""
    now: Signed

    @property
    def asks_to_enrol(self) -> bool:
        """Whether faces enrolled before are no longer recognised: each is bound to encoder and detector."""
        return self.before is None or self.before.manifest.model_digest != self.now.manifest.model_digest

    @property
    def is_new_encoder(self) -> bool:
        """Whether it is the encoder that changed."""
        return self.before is None or self.before.manifest.encoder.sha256 != self.now.manifest.encoder.sha256

    @property
    def was_there(self) -> bool:
        """Whether exactly this bundle was installed already."""
        return self.before is not None and self.before.raw == self.now.raw


def present(keys: Sequence[TrustedKey], target: Path = INSTALLED, shipped: Path = SHIPPED) -> Signed:
    """What a door runs that is configured no other models: the installed bundle, else the shipped folder.

    Raises ModelError: an installed bundle that is damaged is never passed over in silence.
    """
    return verify(target if os.path.lexists(target) else shipped, keys, whole=False)


def install(
    bundle: Path,
    keys: Sequence[TrustedKey],
    *,
    target: Path = INSTALLED,
    shipped: Path = SHIPPED,
    allow_older: bool = False,
) -> Installed:
    """Verify a bundle, write it, and give what changed. Raises ModelError and leaves all as it was."""
    if bundle.is_dir():
        raise ModelError(f"{bundle}: is a folder", "give the .janus file that janus-export release wrote")
    now = verify(bundle, keys)
    with _one_at_a_time(target.parent):
        before = _if_whole(target if os.path.lexists(target) else shipped, keys)
        baseline = before or _if_whole(shipped, keys)
        if baseline is not None and not allow_older:
            _refuse_older(bundle, now, baseline)
        _exchange(now.raw, target, is_wanted=before is None or before.raw != now.raw)
    return Installed(before, now)


def _if_whole(place: Path, keys: Sequence[TrustedKey]) -> Signed | None:
    """The models there, or None: damaged ones are what an installation mends."""
    try:
        return verify(place, keys, whole=False)
    except ModelError:
        return None


def _refuse_older(bundle: Path, now: Signed, before: Signed) -> None:
    older = "install it all the same: --older"
    if now.version < before.version:
        raise ModelError(f"{bundle}: {now.title} is older than {before.title}, which is here", older)
    is_same = (now.manifest.encoder, now.manifest.detector) == (
        before.manifest.encoder,
        before.manifest.detector,
    )
    if now.version == before.version and not is_same:
        raise ModelError(
            f"{bundle}: {now.title} has the number of {before.title}, which is here, but is another model",
            f"ask for it under a higher version; or {older}",
        )


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two installations do not write the same file."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_write(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _exchange(raw: bytes, target: Path, *, is_wanted: bool) -> None:
    beside = target.with_name(_BESIDE)
    try:
        beside.unlink(missing_ok=True)  # of an installation that was killed
        if not is_wanted:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(beside, flags, 0o644), "wb") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the umask: the daemon's user reads it
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise _cannot_write(target, error) from error


def _cannot_write(path: Path, error: OSError) -> ModelError:
    remedy = "run it as root: sudo janusctl model install FILE"
    if not isinstance(error, PermissionError):
        remedy = "make room, or look at the disk; the model that was there is still there"
    return ModelError(f"{path}: cannot be written ({error.strerror})", remedy)
