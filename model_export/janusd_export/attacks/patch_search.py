"""Compute the colours of a patch against an encoder: gradient descent over what a camera might see of it.

Expectation over transformation (Athalye et al., "Synthesizing Robust Adversarial Examples", ICML 2018): each
step sees the wearer's faces with the patch put on a little askew, in another light, blurred, noisy, and cut
out by landmarks that are off by a few pixels. Colours are what a printer has, and smooth enough to be printed
(total variation, as in Sharif et al., "Accessorize to a Crime", CCS 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from numpy.typing import NDArray
from torch import Tensor

from janusd.core.types import Crop
from janusd_export.attacks.patches import DARKEST, LIGHTEST, Mask, Patch

Network = Callable[[Tensor], Tensor]
"""(B, 3, 112, 112) float in -1..1 -> (B, D)."""

_RATE: Final = 0.15
"""Of Adam, in logits of colour: grey to nearly black in some twenty steps."""
_SMOOTH: Final = 0.02
_GRAIN: Final = 2
"""Pixels of the crop a printed dot is wide: finer is lost in a camera."""


@dataclass(frozen=True, slots=True)
class Search:
    """How long to look, and at how much at once."""

    steps: int = 80
    batch: int = 4
    mirrored: bool = True
    """Whether an embedding is that of the crop and its mirror image, as the door's."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """A patch, and how it was come by."""

    patch: Patch
    scores: tuple[float, ...]
    """The mean score of each step with whom it is to be taken for."""


def search(
    network: Network, faces: list[Crop], wanted: NDArray[np.float32], mask: Mask, how: Search
) -> Found:
    """The colours on `mask` that bring these faces nearest to any of the `wanted` unit embeddings (k, D)."""
    chance = torch.Generator().manual_seed(how.seed)
    worn_on = torch.stack([as_tensor(face) for face in faces])
    targets, covers = torch.from_numpy(wanted), torch.from_numpy(mask)[None, None]  # (k, D), (1, 1, H, W)
    side = mask.shape[0] // _GRAIN
    inks = (0.5 * torch.randn(1, 3, side, side, generator=chance)).requires_grad_()
    descent = torch.optim.Adam([inks], lr=_RATE)
    scores = []
    for _ in range(how.steps):
        chosen = worn_on[torch.randint(len(worn_on), (how.batch,), generator=chance)]
        seen = filmed(put_on(chosen, inks, covers, chance), chance)
        with _half_where_quick():
            likeness = embed(network, seen, mirrored=how.mirrored) @ targets.T  # (B, k)
        score = likeness.max(dim=1).values.mean()
        descent.zero_grad()
        (_SMOOTH * _variation(printed(inks)) - score).backward()
        descent.step()
        scores.append(float(score.detach()))
    colours = printed(inks.detach(), tuple(mask.shape))[0].permute(1, 2, 0).numpy()
    return Found(Patch(np.rint((colours + 1) * 127.5).astype(np.uint8), mask), tuple(scores))


def as_tensor(crop: Crop) -> Tensor:
    """(3, 112, 112) in -1..1, as an encoder is trained on."""
    return torch.from_numpy((crop.astype(np.float32) - 127.5) / 127.5).permute(2, 0, 1)


def printed(inks: Tensor, size: tuple[int, ...] | None = None) -> Tensor:
    """What a printer makes of inks (logits): colours in -1..1, brought to that size."""
    share = DARKEST + (LIGHTEST - DARKEST) * torch.sigmoid(inks)
    if size is not None:
        share = F.interpolate(share, size, mode="bilinear", align_corners=False)
    return 2 * share - 1


def put_on(faces: Tensor, inks: Tensor, covers: Tensor, chance: torch.Generator) -> Tensor:
    """(B, 3, H, W): the faces with the patch on them, each time a little askew and in another ink."""
    count, size = len(faces), tuple(faces.shape[2:])
    both = torch.cat([printed(inks, size), covers], dim=1).expand(count, -1, -1, -1)
    lain = _moved(both, _spread(count, chance, turn_deg=2.0, zoom=0.02, shift_px=1.0))
    colours = lain[:, :3] * (1 + 0.1 * torch.randn(count, 3, 1, 1, generator=chance))
    return faces * (1 - lain[:, 3:]) + colours * lain[:, 3:]


def filmed(faces: Tensor, chance: torch.Generator) -> Tensor:
    """What a camera and a detector might make of them: cut out otherwise, lit, blurred, noisy."""
    count = len(faces)
    cut = _moved(faces, _spread(count, chance, turn_deg=3.0, zoom=0.04, shift_px=1.5))
    soft = 0.5 * torch.rand(count, 1, 1, 1, generator=chance)
    cut = (1 - soft) * cut + soft * F.avg_pool2d(F.pad(cut, (1, 1, 1, 1), mode="replicate"), 3, 1)
    gain = torch.exp(0.12 * torch.randn(count, 1, 1, 1, generator=chance))
    lit = (cut + 1) * gain - 1 + 0.02 * torch.randn(cut.shape, generator=chance)
    return lit.clamp(-1, 1)


def embed(network: Network, crops: Tensor, *, mirrored: bool) -> Tensor:
    """(B, D) unit vectors, as a door combines its views."""
    if not mirrored:
        return F.normalize(network(crops).float())
    views = F.normalize(network(torch.cat([crops, crops.flip(3)])).float())
    return F.normalize(views[: len(crops)] + views[len(crops) :])


def _spread(count: int, chance: torch.Generator, *, turn_deg: float, zoom: float, shift_px: float) -> Tensor:
    """(B, 2, 3): small similarity transforms, in the grid's units."""
    turn, scale, x, y = torch.randn(4, count, generator=chance)
    angle, size = torch.deg2rad(turn_deg * turn), torch.exp(zoom * scale)
    cos, sin, across = torch.cos(angle) * size, torch.sin(angle) * size, shift_px / 56
    return torch.stack(
        [torch.stack([cos, -sin, across * x], dim=1), torch.stack([sin, cos, across * y], dim=1)], dim=1
    )


def _moved(pictures: Tensor, by: Tensor) -> Tensor:
    grid = F.affine_grid(by, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _variation(colours: Tensor) -> Tensor:
    """The mean step between neighbours."""
    down, across = colours.diff(dim=2), colours.diff(dim=3)
    return down.abs().mean() + across.abs().mean()


def _half_where_quick() -> AbstractContextManager[object]:
    """bfloat16 where the processor multiplies matrices of it: several times as quick, and near enough."""
    is_quick = bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    return torch.autocast("cpu", torch.bfloat16) if is_quick else nullcontext()
