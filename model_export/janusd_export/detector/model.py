"""The two networks: one looks at the whole picture, one looks at each face again.

    picture (3, 240, 320)
      stem      6x6 /4                          -> (32, 60, 80)
      stage 8   3x3 /2, narrow residual blocks  -> (64, 30, 40)   faces of about 10-36 px
      stage 16  likewise                        -> (64, 15, 20)   of 28-90 px
      stage 32  likewise                        -> (64, 8, 10)    of 70 px and more
      heads     1x1, 1x1                        -> 15 numbers a cell, see `janusd.core.detect`

    crop (3, 64, 64)
      body      3x3 /2 four times, a residual block at 8x8 -> (96, 4, 4)
      gather    4x4 depthwise, no padding
      answer    linear -> five points and whether it is a face at all

Dense 3x3 convolutions on few channels, as in the encoder's residual family and for the same reasons: a
training step on a CPU with matrix tiles and int8 inference both run them near the peak, while depthwise ones
are bound by memory. Pixels go to a quarter at once: two 3x3 convolutions in the stem's place made the int8
file a third slower. Nothing is enlarged on the way back (a feature pyramid would resize or transpose): only
CONV_2D, DEPTHWISE_CONV_2D, ADD, PAD, RESHAPE and one CONCATENATION remain, all of which map to an Edge TPU.
ReLU6 bounds every activation.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from janusd.core.detect import CHANNELS, REFINER_OUTPUTS
from janusd_export.training.student import Gather, Narrow, Residual, Unit, absorb_norms


@dataclass(frozen=True, slots=True)
class DetectorSize:
    """The numbers that fix the detector's architecture."""

    stem: int = 32
    """Channels at stride 4."""
    patch: int = 6
    """Side of the stem's windows in pixels, 4 apart."""
    widths: tuple[int, int, int] = (64, 64, 64)
    """Channels at strides 8, 16 and 32. Multiples of 32 fill the tiles of matrix units."""
    narrow: int = 32
    """Channels of the 3x3 convolutions inside residual blocks."""
    blocks: tuple[int, int, int] = (3, 2, 1)


@dataclass(frozen=True, slots=True)
class RefinerSize:
    """The numbers that fix the refiner's architecture."""

    widths: tuple[int, int, int, int] = (16, 32, 64, 96)


class Head(nn.Module):
    """The answers of one level: (B, C, H, W) -> (B, H * W, 15)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = Unit(channels, 64, 1)
        self.answer = nn.Conv2d(64, CHANNELS, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        nn.init.zeros_(self.answer.bias)
        with torch.no_grad():
            self.answer.bias[0] = -1.0  # few cells hold a face: Lin et al. 2017, section 4.1

    def forward(self, x: Tensor) -> Tensor:
        """Answer at each cell, rows from the top."""
        y = self.answer(self.mix(x))  # (B, 15, H, W)
        return cast(Tensor, y.permute(0, 2, 3, 1).reshape(y.shape[0], -1, CHANNELS))


class DetectorNet(nn.Module):
    """(B, 3, H, W) float in -1..1 -> (B, cells, 15), the cells of stride 8 first."""

    def __init__(self, size: DetectorSize) -> None:
        super().__init__()
        self.size = size
        self.stem = Unit(3, size.stem, size.patch, 4)
        self.stem.conv.padding = ((size.patch - 4) // 2,) * 2
        stages, heads, channels = [], [], size.stem
        for width, blocks in zip(size.widths, size.blocks, strict=True):
            parts: list[nn.Module] = [Unit(channels, width, 3, 2)]
            parts += [Narrow(width, size.narrow) for _ in range(blocks)]
            stages.append(nn.Sequential(*parts))
            heads.append(Head(width))
            channels = width
        self.stages = nn.ModuleList(stages)
        self.heads = nn.ModuleList(heads)

    def forward(self, x: Tensor) -> Tensor:
        """Look at pictures."""
        x = self.stem(x)
        answers = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            answers.append(head(x))
        return torch.cat(answers, dim=1)


class RefinerNet(nn.Module):
    """(B, 3, 64, 64) float in -1..1 -> (B, 11): five points and a face's logit, see `janusd.core.detect`."""

    def __init__(self, size: RefinerSize) -> None:
        super().__init__()
        self.size = size
        a, b, c, d = size.widths
        self.body = nn.Sequential(
            Unit(3, a, 3, 2), Unit(a, b, 3, 2), Unit(b, c, 3, 2), Residual(c), Unit(c, d, 3, 2)
        )
        self.gather = Gather(d, 4)
        self.answer = nn.Conv2d(d, REFINER_OUTPUTS, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        nn.init.zeros_(self.answer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Look at crops."""
        return cast(Tensor, self.answer(self.gather(self.body(x)))).flatten(1)


# ----------------------------------------------------------------------------------------------------
# The same functions without batch norm, as they are quantized and shipped.


def fold(network: nn.Module) -> nn.Module:
    """A copy of convolutions only; in evaluation mode it computes the same function."""
    folded = copy.deepcopy(network).eval()
    absorb_norms(folded)
    for module in list(folded.modules()):
        for name, part in module.named_children():
            if isinstance(part, Gather):
                setattr(module, name, part.as_convolution())
    return folded.eval()


def count(network: nn.Module, height: int, width: int) -> tuple[int, int]:
    """Parameters and multiply-accumulates of one picture."""
    macs = 0

    def note(layer: nn.Conv2d, _: object, y: Tensor) -> None:
        nonlocal macs
        macs += layer.weight.numel() * y.shape[-1] * y.shape[-2]

    folded = fold(network)
    for part in folded.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(note)
    with torch.no_grad():
        folded(torch.zeros(1, 3, height, width))
    return sum(p.numel() for p in folded.parameters()), macs
