"""A run's diary: one JSON object a line, and TensorBoard's curves where that is installed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from janusd_export.errors import ExportError


class RunLog:
    """Appends one JSON object a line, prints it, and draws its numbers for TensorBoard if that is there."""

    def __init__(self, run_dir: Path | None) -> None:
        self._path = run_dir / "log.jsonl" if run_dir else None
        self._board: Any = None
        if run_dir:
            self._cut_to_whole_lines()
            try:
                from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  # an extra nobody needs
            except ImportError:
                return
            self._board = SummaryWriter(str(run_dir / "tensorboard"))

    def _cut_to_whole_lines(self) -> None:
        """Take away half a line that a full disk or a kill left: what follows it could not be read."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)

    def __call__(self, **entry: Any) -> None:  # noqa: ANN401  # any JSON value
        """Note an event."""
        if self._path is None:
            return
        tidy = {k: round(v, 6) if isinstance(v, float) else v for k, v in entry.items()}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(tidy) + "\n")
        except OSError as error:
            with contextlib.suppress(OSError):
                self._cut_to_whole_lines()
            raise ExportError(
                f"cannot write {self._path} ({error.strerror}): make room and start the run again; it goes "
                "on from its last checkpoint"
            ) from error
        print(" ".join(f"{k}={v}" for k, v in tidy.items()), flush=True)
        if self._board is not None and entry["event"] != "start":
            terms = {f"terms/{name}": value for name, value in entry.get("terms", {}).items()}
            for name, value in (entry | terms).items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{entry['event']}/{name}", value, entry["step"])
            self._board.flush()
