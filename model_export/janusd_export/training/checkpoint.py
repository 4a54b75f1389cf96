"""What a run keeps to go on from, and what later steps take from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from janusd_export.errors import ExportError
from janusd_export.faces import teachers
from janusd_export.training.recipe import Recipe
from janusd_export.training.student import Student, StudentSize, absorb_norms, deepen

RELEASED = "released"
"""Marks a checkpoint that was read back from an int8 file: see `compiling.recover`."""


def size_of(recipe: Recipe) -> StudentSize:
    """The architecture a recipe asks for."""
    asked = recipe.student
    return StudentSize(
        asked.family,
        asked.stem,
        asked.widths,
        asked.blocks,
        asked.factor,
        asked.mix,
        recipe.target.embedding,
        asked.normalised,
        asked.narrow,
    )


def load_average(recipe: Recipe, checkpoint: Path) -> Student:
    """The averaged student of a checkpoint, in evaluation mode.

    A recipe whose student is not normalised also takes a checkpoint of one that is; one with narrow blocks
    also takes one of a student without, and begins as that one.
    """
    average = load(checkpoint, torch.device("cpu")).get("average", {})
    size = size_of(recipe)
    has_norms = any(name.endswith("running_mean") for name in average)
    if size.normalised and not has_norms and average:
        raise ExportError(
            f"{checkpoint} holds a student without batch norm: set student.normalised = false, or start from "
            "the run that it began with"
        )
    student = Student(replace(size, normalised=has_norms))
    try:
        if average.keys() == student.state_dict().keys():
            student.load_state_dict(average)
        else:
            shallow = Student(replace(size, normalised=has_norms, narrow=(0, 0, 0)))
            shallow.load_state_dict(average)
            deepen(shallow, student)
    except RuntimeError as error:
        raise ExportError(f"{checkpoint} holds another architecture than [student] asks for") from error
    if has_norms and not size.normalised:
        absorb_norms(student)
    return student.eval()


def is_released(checkpoint: Path) -> bool:
    """Whether it holds a released file's weights: nobody knows onto which axes those were taught."""
    return bool(load(checkpoint, torch.device("cpu")).get(RELEASED))


def load_readers(objective: nn.Module, checkpoint: Path) -> bool:
    """Give an objective the layers with which a checkpoint's run read the same student's features, if it did.

    Fresh ones would first push what the student knows about. Says whether there were any.
    """
    kept = load(checkpoint, torch.device("cpu")).get("objective", {})
    mine = objective.state_dict()
    fits = {
        name: value
        for name, value in kept.items()
        if name.startswith("readers.") and name in mine and mine[name].shape == value.shape
    }
    objective.load_state_dict(mine | fits)
    return bool(fits)


def taught_by(recipe: Recipe, asked: Sequence[str], start_from: Path | None) -> list[str]:
    """Names of all teachers that a run's student learns from, or whose student it begins with.

    A checkpoint that does not say is taken to know every teacher.
    """
    names = set(asked) | ({teachers.ARCFACE.name} if recipe.losses.hints else set())
    if start_from is not None:
        everybody = [teacher.name for teacher in teachers.ALL]
        names |= set(load(start_from, torch.device("cpu")).get("taught_by", everybody))
    return sorted(names)


def identity(checkpoint: Path | None) -> str | None:
    """What a log keeps of a checkpoint that a run began with."""
    if checkpoint is None:
        return None
    digest = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return f"{checkpoint.parent.name}/{checkpoint.name} {digest[:16]}"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write beside and rename: a full disk or a kill leaves the old checkpoint whole."""
    beside = path.with_suffix(".new")
    try:
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as either
        beside.unlink(missing_ok=True)
        raise ExportError(
            f"cannot write {path} ({error}): make room and start the run again; it goes on from the last "
            "checkpoint that was written whole"
        ) from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Read what `save` wrote. Raises ExportError."""
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    except (OSError, RuntimeError, EOFError) as error:
        raise ExportError(
            f"{path} is no whole checkpoint ({error}): delete it, and the run starts anew"
        ) from error
    return state
