"""The students: two families of small networks that int8 units run well.

    crop (3, 112, 112)
      body      -> (mix, 7, 7)     "residual": dense 3x3 convolutions; "mobile": MobileFaceNet's bottlenecks
      gather    7x7 depthwise, no padding -> (mix)    "global depthwise convolution", MobileFaceNet 2018
      embed     linear   -> (D)

    residual    stem 3x3 /2 -> (16, 56, 56); then for each of 28, 14, 7: reduce 3x3 /2, residual blocks,
                narrow ones
    mobile      Chen et al. 2018, table 1, with ReLU6 for PReLU; every width times one factor

Why not only MobileFaceNet: depthwise steps are bound by memory, not arithmetic. A training step of the
residual family was several times faster on a CPU with bfloat16 tiles, and int8 inference runs dense
convolutions near the peak. Only CONV_2D, DEPTHWISE_CONV_2D, ADD, PAD and RESHAPE remain after folding: all
map to an Edge TPU. ReLU6 bounds every activation, which keeps int8 steps fine (PReLU made int8 inference four
times slower).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class StudentSize:
    """The numbers that fix the architecture."""

    family: str = "residual"
    """"residual" or "mobile"."""
    stem: int = 16
    widths: tuple[int, int, int] = (64, 128, 256)
    """Residual: channels at 28x28, 14x14 and 7x7. Multiples of 32 fill the tiles of matrix units."""
    blocks: tuple[int, int, int] = (1, 2, 0)
    """Residual: blocks at each of those resolutions."""
    factor: float = 1.0
    """Mobile: times MobileFaceNet's own widths."""
    mix: int = 512
    """Channels the global depthwise convolution sees."""
    embedding: int = 256
    normalised: bool = True
    """Whether batch norm stands behind each convolution. A student that has learnt needs it no longer."""
    narrow: tuple[int, int, int] = (0, 0, 0)
    """Residual: narrow blocks behind those of each resolution, three eighths as wide inside: depth for few
    weights. A student that starts from one without them begins as that one."""


class Unit(nn.Module):
    """Convolution, batch norm and, where it `clips`, ReLU6."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int = 1, *, groups: int = 1, clips: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm: nn.BatchNorm2d | None = nn.BatchNorm2d(c_out)
        self.clips = clips
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def begin_silent(self) -> None:
        """Give nothing at first: a gain of 0."""
        assert self.norm is not None
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, normalise, clip."""
        x = self.conv(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu6(x) if self.clips else x


class Residual(nn.Module):
    """Two 3x3 units around which the input passes unchanged."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Unit(channels, channels, 3)
        self.second = Unit(channels, channels, 3, clips=False)
        self.second.begin_silent()  # starts as the identity: Goyal et al. 2017, section 5.1

    def forward(self, x: Tensor) -> Tensor:
        """Add what the two units make of the input to it."""
        return F.relu6(x + self.second(self.first(x)))


class Narrow(nn.Module):
    """Narrow, look around, widen again: a third of a block's cost (He et al. 2016, figure 5)."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.reduce = Unit(channels, narrow, 1)
        self.look = Unit(narrow, narrow, 3)
        self.widen = Unit(narrow, channels, 1, clips=False)
        self.widen.begin_silent()  # starts as the identity: Goyal et al. 2017, section 5.1

    def forward(self, x: Tensor) -> Tensor:
        """Add what was seen to the input."""
        return F.relu6(x + self.widen(self.look(self.reduce(x))))


class Bottleneck(nn.Module):
    """Widen, look around in each channel alone, narrow without clipping: Sandler et al., 2018."""

    def __init__(self, c_in: int, c_out: int, expand: int, stride: int) -> None:
        super().__init__()
        wide = c_in * expand
        self.widen = Unit(c_in, wide, 1)
        self.look = Unit(wide, wide, 3, stride, groups=wide)
        self.narrow = Unit(wide, c_out, 1, clips=False)
        self.passes = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        """Add the input where shapes allow."""
        y = self.narrow(self.look(self.widen(x)))
        return cast(Tensor, x + y if self.passes else y)


class Gather(nn.Module):
    """A weighted sum over all places, one weight a place and channel: (B, C, 7, 7) -> (B, C, 1, 1)."""

    def __init__(self, channels: int, side: int = 7) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, 1, side, side) / side)
        self.norm: nn.Module = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Sum, normalise."""
        # The same sum as a depthwise convolution, whose gradient took 60 times as long on a CPU.
        # Weights channels last, as x is: the gradient takes its layout from them, and all before it from it.
        weight = self.weight[:, 0].to(x.dtype).permute(1, 2, 0).contiguous().permute(2, 0, 1)  # (C, 7, 7)
        total = (x * weight).sum(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return cast(Tensor, self.norm(total.float()))

    def as_convolution(self) -> nn.Conv2d:
        """The depthwise convolution it equals, once its norm is absorbed."""
        channels, _, side, _ = self.weight.shape
        assert isinstance(self.norm, Shift)
        made = nn.Conv2d(channels, channels, side, groups=channels)
        _fill(made, self.weight.detach(), self.norm.bias.detach())
        return made


class Student(nn.Module):
    """(B, 3, 112, 112) float in -1..1 -> (B, D) float, not yet of unit length."""

    def __init__(self, size: StudentSize) -> None:
        super().__init__()
        self.size = size
        layers, self.ends = _mobile(size) if size.family == "mobile" else _residual(size)
        self.body = nn.Sequential(*layers)
        self.gather = Gather(size.mix)
        self.embed = nn.Linear(size.mix, size.embedding)
        if not size.normalised:
            absorb_norms(self)

    def forward(self, x: Tensor) -> Tensor:
        """Embed crops."""
        return self.with_features(x)[0]

    def with_features(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Embed crops, and give what stands at the end of 28x28, of 14x14, and before the gathering."""
        features = []
        for place, layer in enumerate(self.body):
            x = layer(x)
            if place in self.ends:
                features.append(x)
        gathered = self.gather(x)  # (B, mix, 1, 1)
        return cast(Tensor, self.embed(gathered.flatten(1))), features  # (B, D)

    @property
    def feature_channels(self) -> tuple[int, ...]:
        """Channels of each of `with_features`' features."""
        widths = []
        for place, layer in enumerate(self.body):
            if place in self.ends:
                last = [part for part in layer.modules() if isinstance(part, nn.Conv2d)][-1]
                widths.append(last.out_channels)
        return tuple(widths)


def _residual(size: StudentSize) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Layers, and the places where 28x28, 14x14 and 7x7 end."""
    layers: list[nn.Module] = [Unit(3, size.stem, 3, 2)]
    ends, channels = [], size.stem
    for width, blocks, narrow in zip(size.widths, size.blocks, size.narrow, strict=True):
        layers.append(Unit(channels, width, 3, 2))
        layers.extend(Residual(width) for _ in range(blocks))
        layers.extend(Narrow(width, 3 * width // 8) for _ in range(narrow))
        ends.append(len(layers) - 1)
        channels = width
    layers.append(Unit(channels, size.mix, 1))
    return layers, (ends[0], ends[1], len(layers) - 1)


def _mobile(size: StudentSize) -> tuple[list[nn.Module], tuple[int, ...]]:
    """MobileFaceNet, Chen et al. 2018, table 1; widths rounded to multiples of 8."""
    narrow, wide = (max(8, 8 * round(size.factor * width / 8)) for width in (64, 128))
    layers: list[nn.Module] = [Unit(3, narrow, 3, 2), Unit(narrow, narrow, 3, groups=narrow)]
    layers += [Bottleneck(narrow, narrow, 2, 2), *(Bottleneck(narrow, narrow, 2, 1) for _ in range(4))]
    ends = [len(layers) - 1]
    layers += [Bottleneck(narrow, wide, 4, 2), *(Bottleneck(wide, wide, 2, 1) for _ in range(6))]
    ends.append(len(layers) - 1)
    layers += [Bottleneck(wide, wide, 4, 2), *(Bottleneck(wide, wide, 2, 1) for _ in range(2))]
    layers.append(Unit(wide, size.mix, 1))
    return layers, (*ends, len(layers) - 1)


# ----------------------------------------------------------------------------------------------------
# The same function without batch norm, as it is trained on, quantized and shipped.


class Shift(nn.Module):
    """What remains of a norm whose gain went into the weights before it: one number a channel."""

    def __init__(self, bias: Tensor) -> None:
        super().__init__()
        self.bias = nn.Parameter(bias.clone())

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1) to the same."""
        return x + self.bias[:, None, None]


def absorb_norms(network: nn.Module) -> None:
    """Move every batch norm into the convolution before it; in evaluation mode nothing else changes.

    A norm behind each convolution helps a network to begin. Once it has learnt, its statistics stand still,
    and a step without them took three quarters of the time on a CPU.
    """
    for part in network.modules():
        if not isinstance(part, Unit | Gather) or not isinstance(part.norm, nn.BatchNorm2d):
            continue
        if isinstance(part, Unit):
            old = part.conv
            part.conv = nn.Conv2d(
                old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, groups=old.groups
            )
            _fill(part.conv, *_absorb(old.weight, part.norm))
            part.norm = None
        else:
            weight, bias = _absorb(part.weight, part.norm)
            part.weight, part.norm = nn.Parameter(weight), Shift(bias)


def deepen(shallow: Student, deep: Student) -> None:
    """Give the deeper of two students what the other has learnt; its own narrow blocks stay the identity."""
    taught = iter(shallow.body)
    for layer in deep.body:
        if not isinstance(layer, Narrow):
            layer.load_state_dict(next(taught).state_dict())
    deep.gather.load_state_dict(shallow.gather.state_dict())
    deep.embed.load_state_dict(shallow.embed.state_dict())


def turn_onto(student: Student, crops: Tensor, targets: Tensor) -> None:
    """Rotate what a student says of these (n, 3, 112, 112) crops onto (n, D) unit targets, as near as may be.

    Two faces are as alike as before: only the axes are others (Schönemann, "A generalized solution of the
    orthogonal Procrustes problem", 1966).
    """
    with torch.no_grad():
        said = F.normalize(torch.cat([student(some) for some in crops.split(128)]))  # (n, D)
        left, _, right = torch.linalg.svd((targets.T @ said).double())
        turn = (left @ right).float()  # (D, D), orthogonal
        student.embed.weight.copy_(turn @ student.embed.weight)
        student.embed.bias.copy_(turn @ student.embed.bias)


class FoldedStudent(nn.Module):
    """What `fold` gives: convolutions and additions only.

    The last layer is a 1x1 convolution: int8 convolutions have one scale a channel everywhere,
    FULLY_CONNECTED only in the newest runtimes.
    """

    def __init__(self, body: nn.Sequential, gather: nn.Conv2d, embed: nn.Conv2d) -> None:
        super().__init__()
        self.body = body
        self.gather = gather
        self.embed = embed

    def forward(self, x: Tensor) -> Tensor:
        """Embed crops."""
        x = self.gather(self.body(x))  # (B, mix, 1, 1)
        return cast(Tensor, self.embed(x)).flatten(1)  # (B, D)


def fold(student: Student) -> FoldedStudent:
    """Give the student as convolutions only; in evaluation mode it computes the same function."""
    student = copy.deepcopy(student)
    absorb_norms(student)
    embed = nn.Conv2d(student.embed.in_features, student.embed.out_features, 1)
    _fill(embed, student.embed.weight.detach()[:, :, None, None], student.embed.bias.detach())
    return FoldedStudent(student.body, student.gather.as_convolution(), embed).eval()


def _absorb(weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Give (weight, bias) of the convolution that equals this bias-free one followed by `norm`."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)  # (C,)
    return weight.detach() * gain[:, None, None, None], norm.bias.detach() - norm.running_mean * gain


def _fill(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)


def count_macs(student: Student) -> Iterator[tuple[str, int]]:
    """Name and multiply-accumulates of each layer for one 112x112 crop."""
    side = 112
    for name, layer in student.named_modules():
        if isinstance(layer, nn.Conv2d):
            side //= layer.stride[0]
            yield name, layer.weight.numel() * side * side
    yield "gather", student.gather.weight.numel()
    yield "embed", student.embed.weight.numel()
