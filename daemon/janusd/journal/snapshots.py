"""Pictures of whom the door refused, sealed: only where the owner turned them on.

    snapshots/NUMBER-SECONDS    `format.seal`ed JPEG, at most 640 px wide; NUMBER is the door log's entry,
                                SECONDS since 1970; bound to both

Key: HKDF-SHA256(the door log's key, no salt, info = "janusd snapshots v1").

They are dropped after `[log] snapshot_days`, beyond the newest `MOST`, and all of them once they are turned
off. As everywhere on flash, the card itself may keep old blocks for a while; they are sealed there too.

Trust boundary: whoever has the card may delete them, but not look at them, exchange them or make one up.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2

from janusd.core.types import Image
from janusd.errors import InstallerError, OwnerError, VaultDamaged, VaultExposed
from janusd.hardening import keep_in_ram, wipe
from janusd.ports import KeySource
from janusd.vault import format as sealed
from janusd.vault.private import make_private_folder, write_private

log = logging.getLogger("janusd")

MOST = 500
"""About 25 MB."""
_WIDEST_PX = 640
_QUALITY = 80
_NAME = re.compile(r"(\d{1,19})-(\d{1,19})")
_HOUR_S = 3600.0


class Snapshots:
    """One door's. Any thread may call."""

    def __init__(self, folder: Path, key_source: KeySource) -> None:
        self._folder = folder
        source_key = key_source.key()
        self._key = sealed.derive(source_key, b"", "janusd snapshots v1")
        wipe(source_key)
        keep_in_ram(self._key)
        self._lock = threading.Lock()
        self._tidies_s = -math.inf

    def keep(self, number: int, image: Image, at: datetime | None = None) -> None:
        """Keep what the camera saw at that entry. A disk that will not have it is said, and stops nothing."""
        moment = int((datetime.now(UTC) if at is None else at).timestamp())
        height, width = image.shape[:2]
        if width > _WIDEST_PX:
            image = cv2.resize(  # type: ignore[assignment]  # of the same kind
                image, (_WIDEST_PX, round(height * _WIDEST_PX / width)), interpolation=cv2.INTER_AREA
            )
        encoded, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        )
        if not encoded or number <= 0:
            return
        box = sealed.seal(self._key, jpeg.tobytes(), _bound(number, moment))
        with self._lock:
            try:
                make_private_folder(self._folder, VaultExposed)
                write_private(self._folder / f"{number}-{moment}", box)
                for _, _, path in sorted(self._kept())[:-MOST]:
                    path.unlink(missing_ok=True)
            except (OSError, InstallerError, VaultExposed) as e:
                log.error("a snapshot cannot be kept: %s", e)

    def show(self, number: int) -> bytes:
        """The JPEG of that entry of the door log. Raises OwnerError where there is none, VaultDamaged."""
        with self._lock:
            found = next((one for one in self._kept() if one[0] == number), None)
            if found is None:
                raise OwnerError(
                    f"there is no snapshot of entry {number}",
                    "they are kept of refusals, while [log] snapshots = true, for [log] snapshot_days",
                )
            _, moment, path = found
            try:
                box = path.read_bytes()
            except OSError as e:
                raise InstallerError(
                    f"the snapshot {path} cannot be read: {e.strerror}", "see whether its disk is failing"
                ) from e
        try:
            return sealed.unseal(self._key, box, _bound(number, moment))
        except VaultDamaged as e:
            raise VaultDamaged(
                f"the snapshot of entry {number} is not the one that was kept there",
                "find out who could write to the card; the others may still be good",
            ) from e

    def keep_house(self, now_s: float, wall: datetime | None, days: int) -> None:
        """Drop what is too old, each hour, while the date is to be believed; 0 days drops all, at once."""
        if days and (now_s < self._tidies_s or wall is None):
            return
        self._tidies_s = now_s + _HOUR_S
        oldest = (wall - timedelta(days=days)).timestamp() if days and wall else math.inf
        with self._lock:
            for _, moment, path in list(self._kept()):
                if moment < oldest:
                    try:
                        path.unlink(missing_ok=True)
                    except OSError as e:
                        log.error("an old snapshot cannot be dropped: %s", e)

    def _kept(self) -> Iterator[tuple[int, int, Path]]:
        """Entry, seconds since 1970, and file of each."""
        try:
            paths = list(self._folder.iterdir())
        except OSError:
            return
        for path in paths:
            if match := _NAME.fullmatch(path.name):
                yield int(match[1]), int(match[2]), path


def _bound(number: int, moment: int) -> bytes:
    return sealed.binding("janusd snapshot", str(number).encode(), str(moment).encode())
