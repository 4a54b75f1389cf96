"""What the verbs share at the terminal: progress bars, JSON, common arguments."""

# ruff: noqa: PLC0415  # rich loads only where it is used

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from janusd import models


def measuring(parser: argparse.ArgumentParser, *, keeps_embeddings: bool = False) -> None:
    """Declare what all verbs that measure a model take, and those that embed the photographs of a folder."""
    parser.add_argument(
        "--models", type=Path, default=models.RELEASED, help="model directory (the released one)"
    )
    if keeps_embeddings:
        parser.add_argument(
            "--cache", type=Path, help="keep embeddings here, so that the next measurement is quick"
        )
        parser.add_argument("--jobs", type=int, default=1, help="processes that embed photographs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on standard error, one a part; nothing where that is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def show(part: str, done: int, total: int) -> None:
            if part not in tasks:
                tasks[part] = progress.add_task(part, total=total)
            progress.update(tasks[part], completed=done)

        yield show


def plain(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """Without what JSON does not know."""
    if isinstance(value, dict):
        made = {key: plain(item) for key, item in value.items()}
        if "hits" in made and made.get("trials"):
            made["value"] = made["hits"] / made["trials"]
        return made
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
