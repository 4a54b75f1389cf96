"""MiniFASNet as a peer: two published networks that look at 2.7 and at 4 face boxes, one for each.

Its weights are minivision's Silent-Face-Anti-Spoofing (Apache-2.0), two .pth files of tensors; nothing of
them is in this repository. The graph below is written from the shapes of those tensors and the published
description: MobileFaceNet's blocks, pruned to uneven widths, all of them read off the file.

    crop (3, 80, 80) BGR 0..255
      conv1 3x3 /2, conv2_dw 3x3 depthwise      32 channels, 40 px
      conv_23, conv_3    a block of stride 2, then residual blocks     64 channels, 20 px
      conv_34, conv_4    likewise                                      128 channels, 10 px
      conv_45, conv_5    likewise                                      128 channels, 5 px
      conv_6             1x1 to 512, then 5x5 depthwise, no padding    512 channels, 1 px
      linear, bn, prob   128, then three logits: the second is a living face

A block widens by 1x1, looks by 3x3 depthwise, narrows by 1x1; where the file has `se_module`, its answer is
weighed by what the whole picture says (Hu, Shen, Sun 2018) before it is added to what came in.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from janusd.core.types import Box, Face, Image
from janusd_export.errors import ExportError
from janusd_export.passive.series import Series

SIDE_PX = 80
LIVING = 1
"""The class of living faces; the others are kinds of attack."""
_REMEDY = (
    "the peer's files are 2.7_80x80_MiniFASNetV2.pth and 4_0_0_80x80_MiniFASNetV1SE.pth of "
    "Silent-Face-Anti-Spoofing"
)


class Unit(nn.Module):
    """Convolution, batch norm, and PReLU where the file has its slopes."""

    def __init__(
        self, into: int, out: int, side: int = 1, *, stride: int = 1, groups: int = 1, bends: bool = True
    ) -> None:
        super().__init__()
        padding = 1 if side == 3 else 0
        self.conv = nn.Conv2d(into, out, side, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out)
        self.prelu = nn.PReLU(out) if bends else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, into, H, W) -> (B, out, H / stride, W / stride)."""
        return self.prelu(self.bn(self.conv(x)))


class Weighing(nn.Module):
    """Squeeze and excitation: each channel by how much the whole picture says it matters."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.fc1, self.bn1 = nn.Conv2d(channels, narrow, 1, bias=False), nn.BatchNorm2d(narrow)
        self.fc2, self.bn2 = nn.Conv2d(narrow, channels, 1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), weighed."""
        whole = torch.relu(self.bn1(self.fc1(x.mean(dim=(2, 3), keepdim=True))))  # (B, narrow, 1, 1)
        return x * torch.sigmoid(self.bn2(self.fc2(whole)))


class Block(nn.Module):
    """Widen, look, narrow; of stride 1 what came in is added."""

    def __init__(self, into: int, wide: int, out: int, *, stride: int = 1, narrow: int = 0) -> None:
        super().__init__()
        self.conv = Unit(into, wide)
        self.conv_dw = Unit(wide, wide, 3, stride=stride, groups=wide)
        self.project = Unit(wide, out, bends=False)
        self.se_module = Weighing(out, narrow) if narrow else nn.Identity()
        self.is_residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, into, H, W) -> (B, out, H / stride, W / stride)."""
        seen = self.se_module(self.project(self.conv_dw(self.conv(x))))
        return x + seen if self.is_residual else seen


class Stage(nn.Module):
    """Residual blocks of one size, one after the other."""

    def __init__(self, blocks: list[Block]) -> None:
        super().__init__()
        self.model = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W), of the same shape."""
        return self.model(x)


class MiniFasNet(nn.Module):
    """The network whose widths these tensors have."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """`shapes` by name, as a file has them. Raises KeyError or IndexError of another network's."""
        super().__init__()
        stem = shapes["conv1.conv.weight"][0]
        self.conv1 = Unit(3, stem, 3, stride=2)
        self.conv2_dw = Unit(stem, stem, 3, groups=stem)
        for down, stage in (("conv_23", "conv_3"), ("conv_34", "conv_4"), ("conv_45", "conv_5")):
            setattr(self, down, _block(shapes, down, stride=2))
            count = len(
                {found[1] for name in shapes if (found := re.match(rf"{stage}\.model\.(\d+)\.", name))}
            )
            setattr(self, stage, Stage([_block(shapes, f"{stage}.model.{at}") for at in range(count)]))
        out, into = shapes["conv_6_sep.conv.weight"][:2]
        self.conv_6_sep = Unit(into, out)
        self.conv_6_dw = Unit(out, out, shapes["conv_6_dw.conv.weight"][2], groups=out, bends=False)
        answer, gathered = shapes["linear.weight"]
        self.linear = nn.Linear(gathered, answer, bias=False)
        self.bn = nn.BatchNorm1d(answer)
        self.prob = nn.Linear(answer, shapes["prob.weight"][0], bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, 80, 80) BGR 0..255 -> (B, 3) logits."""
        x = self.conv2_dw(self.conv1(x))  # (B, 32, 40, 40)
        for down, stage in (
            (self.conv_23, self.conv_3),
            (self.conv_34, self.conv_4),
            (self.conv_45, self.conv_5),
        ):
            x = stage(down(x))
        x = self.conv_6_dw(self.conv_6_sep(x))  # (B, 512, 1, 1)
        return self.prob(self.bn(self.linear(x.flatten(1))))


def _block(shapes: Mapping[str, tuple[int, ...]], name: str, *, stride: int = 1) -> Block:
    wide, into = shapes[f"{name}.conv.conv.weight"][:2]
    narrow = shapes.get(f"{name}.se_module.fc1.weight", (0,))[0]
    return Block(into, wide, shapes[f"{name}.project.conv.weight"][0], stride=stride, narrow=narrow)


@dataclass(frozen=True, slots=True)
class Published:
    """One file, ready to be asked."""

    name: str
    network: MiniFasNet
    context: float
    """How many face boxes it looks at."""

    def genuine(self, presented: Series) -> float:
        """How genuine a presentation looks, 0..1: the mean over its frames."""
        crops = np.stack([crop(image, face, self.context) for image, face in presented])
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(crops))
        return float(torch.softmax(logits, 1)[:, LIVING].mean())


def open_published(path: Path) -> Published:
    """Read a .pth of tensors; its name begins with the context. Raises ExportError."""
    if not path.is_file():
        raise ExportError(f"{path} is not there: {_REMEDY}")
    context = re.match(r"(\d+(?:\.\d+)?)_", path.name)
    if context is None:
        raise ExportError(f"{path.name} does not begin with how many face boxes it looks at: {_REMEDY}")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise ExportError(f"{path} holds no tensors that can be read: {error}") from error
    if not isinstance(tensors, Mapping) or not all(isinstance(one, Tensor) for one in tensors.values()):
        raise ExportError(f"{path} is no list of tensors by name: {_REMEDY}")
    return Published(
        path.stem, build({str(name): one for name, one in tensors.items()}, path), float(context[1])
    )


def build(tensors: Mapping[str, Tensor], path: Path) -> MiniFasNet:
    """The network with these weights, each of them used and none missing. Raises ExportError."""
    own = {name.removeprefix("module."): one for name, one in tensors.items()}  # DataParallel's prefix
    try:
        network = MiniFasNet({name: tuple(one.shape) for name, one in own.items()})
        network.load_state_dict(own, strict=True)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())  # torch's list of names goes over several lines
        raise ExportError(f"{path} is not a MiniFASNet: {why}: {_REMEDY}") from error
    return network.eval()


def crop(image: Image, face: Face, context: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """What the network sees of a face: (3, 80, 80) float32 BGR 0..255."""
    x, y, width, height = _around(face.box_px, image.shape[1], image.shape[0], context)
    seen = cv2.resize(image[y : y + height, x : x + width, ::-1], (SIDE_PX, SIDE_PX))
    return np.ascontiguousarray(seen.transpose(2, 0, 1), np.float32)


def _around(box_px: Box, columns: int, rows: int, context: float) -> tuple[int, int, int, int]:
    """So many boxes about the box: fewer where the picture is too small, moved where it would leave it."""
    scale = min(context, (columns - 1) / box_px.width, (rows - 1) / box_px.height)
    width, height = box_px.width * scale, box_px.height * scale
    left = min(max(box_px.x + box_px.width / 2 - width / 2, 0.0), columns - 1 - width)
    top = min(max(box_px.y + box_px.height / 2 - height / 2, 0.0), rows - 1 - height)
    x, y = max(0, int(left)), max(0, int(top))
    return x, y, max(1, int(left + width) - x + 1), max(1, int(top + height) - y + 1)
