"""A released int8 file as a checkpoint to teach on from, for whoever has no other.

Weights are read back from their integers: each is off by a 254th of its channel's largest at most, which a
few hundred steps make good. What a run keeps besides (the optimizer, the layers that read features) is gone.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from janusd_export.compiling import graph
from janusd_export.compiling.differentiable import constants
from janusd_export.errors import ExportError
from janusd_export.training import checkpoint as checkpoints
from janusd_export.training.recipe import Recipe
from janusd_export.training.student import Gather, Shift, Student


def recover(recipe: Recipe, model: Path, out: Path) -> Path:
    """Write a checkpoint with the weights of a released .tflite; give its path. Raises ExportError."""
    try:
        content = model.read_bytes()
    except OSError as error:
        raise ExportError(f"cannot read {model}: {error.strerror}") from error
    student = student_of(recipe, content, str(model))
    checkpoints.save(out, {"average": student.state_dict(), checkpoints.RELEASED: True})
    return out


def student_of(recipe: Recipe, content: bytes, name: str) -> Student:
    """The student that the recipe names, or the one without narrow blocks. Raises ExportError."""
    if recipe.student.normalised:
        raise ExportError(f"{name} holds no batch norm any more: set student.normalised = false")
    found = [constants(one, name) for one in graph.read(content, name).operators if "CONV_2D" in one.kind]
    shapes = [weight.shape for weight, _ in found]
    size = checkpoints.size_of(recipe)
    for student in (Student(size), Student(replace(size, narrow=(0, 0, 0)))):
        wanted = _places(student)
        if shapes == [_as_convolution(weight).shape for weight, _ in wanted]:
            break
    else:
        raise ExportError(f"{name} holds another architecture than [student] asks for")
    with torch.no_grad():
        for (weight, bias), (new_weight, new_bias) in zip(wanted, found, strict=True):
            weight.copy_(new_weight.reshape(weight.shape))
            bias.copy_(new_bias)
    return student.eval()


def _places(student: Student) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias of each convolution, in the order in which the file computes them."""
    places: list[tuple[Tensor, Tensor]] = []
    for layer in student.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            places.append((layer.weight, layer.bias))  # type: ignore[arg-type]  # there without norms
        elif isinstance(layer, Gather):
            assert isinstance(layer.norm, Shift)
            places.append((layer.weight, layer.norm.bias))
    return places


def _as_convolution(weight: Tensor) -> Tensor:
    return weight if weight.ndim == 4 else weight[:, :, None, None]
