"""What the detector is asked at each cell, and what the refiner is asked of each crop.

Which cells answer for a face is decided anew at each step, as in OTA (Z. Ge et al. 2021): cells of a fitting
grid near the face's centre compete, and the few with the lowest cost win. Their score is asked to be the
quality of their box (generalised focal loss, X. Li et al. 2020), so that the best-placed answer has the
highest score; all other cells are asked for nought. Boxes: GIoU (Rezatofighi et al. 2019). Points: distances
in face sizes, linear but for the smallest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from torch import Tensor

from janusd.core import detect

WINNERS = 5
_FITS = float(np.log(2.0))
"""A grid answers for faces up to this factor from its own size: neighbouring grids share those in between."""
_NEVER = 1e6


@dataclass(frozen=True, slots=True)
class Cells:
    """`core.detect.Grid` as tensors."""

    centre: Tensor
    """(N, 2)."""
    face: Tensor
    """(N, 1)."""
    stride: Tensor
    """(N, 1)."""

    @staticmethod
    def of(height: int, width: int) -> Cells:
        """The cells of an input of this size."""
        grid = detect.grid(height, width)
        strides = np.asarray(detect.STRIDES, np.float32)
        which = np.searchsorted(np.asarray(detect.FACE_PX, np.float32), grid.face_px[:, 0])
        return Cells(
            torch.from_numpy(grid.centre_px),
            torch.from_numpy(grid.face_px),
            torch.from_numpy(strides[which][:, None]),
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """The faces of a batch, padded to the same number of them."""

    box: Tensor
    """(B, G, 4) x1, y1, x2, y2."""
    points: Tensor
    """(B, G, 5, 2) in corner coordinates: half a pixel more than in `core.types.Points`."""
    is_face: Tensor
    """(B, G) bool."""


def asked_of(scenes: list[tuple[np.ndarray, np.ndarray]]) -> Asked:
    """Pad boxes (n, 4: x, y, width, height) and points (n, 5, 2) of each scene."""
    most = max([1, *(len(boxes) for boxes, _ in scenes)])
    box = np.zeros((len(scenes), most, 4), np.float32)
    points = np.zeros((len(scenes), most, 5, 2), np.float32)
    is_face = np.zeros((len(scenes), most), np.bool_)
    for k, (boxes, landmarks) in enumerate(scenes):
        n = len(boxes)
        box[k, :n, :2], box[k, :n, 2:] = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
        points[k, :n] = landmarks + 0.5
        is_face[k, :n] = True
    return Asked(*(torch.from_numpy(a) for a in (box, points, is_face)))


@dataclass(frozen=True, slots=True)
class Terms:
    """The parts of a loss, weighted."""

    score: Tensor
    box: Tensor
    points: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.score + self.box + self.points

    def numbers(self) -> dict[str, float]:
        """For the log."""
        return {name: float(getattr(self, name).detach()) for name in ("score", "box", "points")}


def detector_loss(answers: Tensor, cells: Cells, asked: Asked) -> Terms:
    """Of (B, N, 15) answers."""
    unit = detect.LENGTH_UNIT * cells.face  # (N, 1)
    middle = cells.centre + unit * answers[..., 1:3]
    half = 0.5 * cells.face * torch.exp((detect.LENGTH_UNIT * answers[..., 3:5]).clamp(-4.0, 4.0))
    boxes = torch.cat([middle - half, middle + half], dim=-1)  # (B, N, 4)
    logit = detect.SCORE_GAIN * answers[..., 0]  # (B, N)

    with torch.no_grad():
        owner, quality = assign(logit, boxes, cells, asked)  # (B, N) int64, -1 for nobody; (B, N)
    is_owned = owner >= 0
    count = is_owned.sum().clamp(min=1)
    away = (torch.sigmoid(logit.detach()) - quality).abs().square()
    score = (away * F.binary_cross_entropy_with_logits(logit, quality, reduction="none")).sum() / count

    picture, cell = is_owned.nonzero(as_tuple=True)
    face = owner[picture, cell]
    wanted_box, wanted_points = asked.box[picture, face], asked.points[picture, face]  # (P, 4), (P, 5, 2)
    box = (1.0 - giou(boxes[picture, cell], wanted_box)).sum() / count
    size = (wanted_box[:, 2:] - wanted_box[:, :2]).prod(dim=1).sqrt()[:, None, None]
    own = cells.centre[cell][:, None] + unit[cell][:, None] * answers[picture, cell, 5:].reshape(-1, 5, 2)
    distance = ((own - wanted_points) / size).square().sum(dim=-1).add(1e-9).sqrt()  # (P, 5)
    points = F.smooth_l1_loss(distance, torch.zeros_like(distance), beta=0.03, reduction="sum") / (
        5.0 * count
    )
    return Terms(2.0 * score, 2.0 * box, 5.0 * points)


def assign(logit: Tensor, boxes: Tensor, cells: Cells, asked: Asked) -> tuple[Tensor, Tensor]:
    """For each cell of each picture, which face it answers for (-1: none), and the score asked of it."""
    middle = (asked.box[..., :2] + asked.box[..., 2:]) / 2  # (B, G, 2)
    extent = (asked.box[..., 2:] - asked.box[..., :2]).clamp(min=1e-3)
    size = extent.prod(dim=-1).sqrt()  # (B, G)
    smallest, largest = min(detect.FACE_PX) / 1.9, max(detect.FACE_PX) * 1.9
    fits = (
        size.clamp(smallest, largest).log()[..., None] - cells.face[:, 0].log()
    ).abs() <= _FITS  # (B, G, N)
    offset = (cells.centre - middle[:, :, None]).abs()  # (B, G, N, 2)
    near = (offset <= torch.maximum(0.3 * extent[:, :, None], 0.6 * cells.stride)).all(dim=-1)
    may = near & fits & asked.is_face[..., None]
    iou = intersection(boxes[:, None], asked.box[:, :, None])  # (B, G, N)
    far = (offset / size[..., None, None]).square().sum(dim=-1)
    cost = -(iou + 1e-4).log() * 1.5 + F.softplus(-logit)[:, None] + 6.0 * far  # (B, G, N)
    cost = torch.where(may, cost, torch.full_like(cost, _NEVER))
    lowest = cost.topk(min(WINNERS, cost.shape[-1]), dim=-1, largest=False)
    wins = torch.zeros_like(may).scatter_(-1, lowest.indices, value=True) & may
    # A cell that two faces want answers for the cheaper one.
    best, owner = torch.where(wins, cost, torch.full_like(cost, _NEVER)).min(dim=1)  # (B, N)
    owner = torch.where(best < _NEVER, owner, torch.full_like(owner, -1))
    reached = iou.gather(1, owner.clamp(min=0)[:, None])[:, 0]
    # A box that is still wrong is asked for some score too, or nothing would ever begin.
    quality = torch.where(owner >= 0, 0.4 + 0.6 * reached, torch.zeros_like(reached))
    return owner, quality


def intersection(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4), broadcast."""
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0.0)
    common = sides.prod(dim=-1)
    area = (a[..., 2:] - a[..., :2]).prod(dim=-1) + (b[..., 2:] - b[..., :2]).prod(dim=-1)
    return common / (area - common).clamp(min=1e-6)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised intersection over union of (P, 4) with (P, 4), -1..1."""
    sides = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0.0)
    common = sides.prod(dim=-1)
    union = (a[:, 2:] - a[:, :2]).prod(dim=-1) + (b[:, 2:] - b[:, :2]).prod(dim=-1) - common
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(dim=-1)
    return common / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)


def refiner_loss(answers: Tensor, points: Tensor, is_face: Tensor) -> Terms:
    """Of (B, 11) answers to crops whose points (B, 5, 2) are known where `is_face` (B,)."""
    logit = detect.SCORE_GAIN * answers[:, 0]
    score = F.binary_cross_entropy_with_logits(logit, is_face.float())
    template = torch.from_numpy(detect.REFINER_TEMPLATE)
    own = template + detect.REFINER_UNIT_PX * answers[:, 1:].reshape(-1, 5, 2)
    eyes = (points[:, 1] - points[:, 0]).square().sum(dim=-1).sqrt().clamp(min=1.0)[:, None]
    distance = (own - points).square().sum(dim=-1).add(1e-9).sqrt() / eyes  # (B, 5)
    each = F.smooth_l1_loss(distance, torch.zeros_like(distance), beta=0.02, reduction="none").mean(dim=1)
    kept = is_face.float()
    at = 4.0 * (each * kept).sum() / kept.sum().clamp(min=1.0)
    return Terms(0.3 * score, torch.zeros(()), at)
