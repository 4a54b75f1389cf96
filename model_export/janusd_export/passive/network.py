"""The network: a wide and a close crop, one above the other, -> attack or genuine.

    crops (3, 192, 96)
      body    3x3 /2 four times (16, 24, 48, 96 channels), narrow residual blocks at strides 8 and 16
      gather  12x6 depthwise, no padding: each place has its own weight, so wide and close crop differ here
      answer  linear -> two logits, attack and genuine

Both crops share the filters: what a screen's grid or a sheet's edge looks like is the same in either. Like
the detector it is made of what int8 units run well: dense convolutions, ReLU6, additions.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from torch import Tensor, nn

from janusd_export.passive.cache import SIDE
from janusd_export.training.student import Narrow, Unit


class PlacedGather(nn.Module):
    """A weighted sum over all places, one weight a place and channel: (B, C, H, W) -> (B, C, 1, 1)."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.full((channels, 1, height, width), 1.0 / (height * width) ** 0.5)
            * (1 + 0.3 * torch.randn(channels, 1, height, width))
        )
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Sum, normalise, clip."""
        # The same sum as a depthwise convolution, whose gradient took 60 times as long on a CPU.
        total = (x * self.weight[:, 0].to(x.dtype)).sum(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return F.relu6(self.norm(total.float()))


class FoldedGather(nn.Module):
    """The gathering as the convolution it equals."""

    def __init__(self, gather: PlacedGather) -> None:
        super().__init__()
        channels, _, height, width = gather.weight.shape
        self.conv, norm = nn.Conv2d(channels, channels, (height, width), groups=channels), gather.norm
        gain = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        with torch.no_grad():
            self.conv.weight.copy_(gather.weight * gain[:, None, None, None])
            self.conv.bias.copy_(norm.bias - norm.running_mean * gain)

    def forward(self, x: Tensor) -> Tensor:
        """Sum, clip."""
        return F.relu6(self.conv(x))


class PassiveNet(nn.Module):
    """(B, 3, 192, 96) float in -1..1 -> (B, 2): attack, genuine."""

    def __init__(self, widths: tuple[int, int, int, int], blocks: tuple[int, int]) -> None:
        super().__init__()
        a, b, c, d = widths
        self.body = nn.Sequential(
            Unit(3, a, 3, 2),
            Unit(a, b, 3, 2),
            Unit(b, c, 3, 2),
            *(Narrow(c, c // 2) for _ in range(blocks[0])),
            Unit(c, d, 3, 2),
            *(Narrow(d, d // 2) for _ in range(blocks[1])),
        )
        self.gather = PlacedGather(d, SIDE // 8, SIDE // 16)
        self.answer = nn.Conv2d(d, 2, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        nn.init.zeros_(self.answer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Look at crops."""
        return cast(Tensor, self.answer(self.gather(self.body(x)))).flatten(1)
