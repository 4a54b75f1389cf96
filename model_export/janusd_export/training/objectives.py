"""What a run asks of its student: a weighted sum of terms, each under its published name.

    term         asks                                                      needs       source
    embedding    the teachers' vector of this face                         teachers
    prefix       the same of the first axes alone                          teachers
    relational   the teachers' ranking of a bank of other faces            teachers    Park et al. 2019
    hints        the teacher's feature maps, through a thrown-away layer   hints       Romero et al. 2015
    contrastive  same people near, others beyond a margin                  people      Hadsell et al. 2006
    triplet      a stranger further than oneself, by a margin              people      Schroff et al. 2015
    arcface      one class a person, an angle of margin                    people      Deng et al. 2019
    softmax      one class a person                                        people

The person terms come from pytorch-metric-learning. Layers that only training needs (the classes of ArcFace,
the layers that read features) live here, so that the student can be cut off and shipped alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from janusd_export.training.hints import HintScales
from janusd_export.training.losses import embedding_loss, relational_loss
from janusd_export.training.recipe import Losses


@dataclass(frozen=True, slots=True)
class Asked:
    """What a batch of B faces is compared with."""

    target: Tensor
    """(B, D) the fused teachers' vectors."""
    person: Tensor
    """(B,) number of the person, -1 where unknown."""
    bank: Tensor
    """(K, D) the fused vectors of other faces."""
    hints: tuple[Tensor, ...] = ()
    """(B, S, S, C) int8 feature maps of a teacher at each of the student's ends."""


class Objective(nn.Module):
    """Gives the loss of a batch, and what each term added to it."""

    def __init__(
        self,
        losses: Losses,
        *,
        embedding: int,
        people: int,
        feature_channels: tuple[int, ...] = (),
        hint_scales: HintScales | None = None,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        self.losses = losses
        self.hint_scales = hint_scales
        self.distance = torch.compile(_distance) if compiled else _distance
        if hint_scales is not None:
            self.readers = nn.ModuleList(
                nn.Conv2d(mine, theirs, 1)
                for mine, theirs in zip(feature_channels, hint_scales.channels, strict=True)
            )
            for place, scale in enumerate(hint_scales.scales):
                self.register_buffer(f"scale_{place}", torch.from_numpy(scale), persistent=False)
        self.pairs = nn.ModuleDict(_person_terms(losses, embedding, people))

    def forward(self, y: Tensor, features: list[Tensor], asked: Asked) -> tuple[Tensor, dict[str, float]]:
        """Weigh all terms of the (B, D) embeddings `y`."""
        losses, terms = self.losses, dict[str, Tensor]()
        y = y.float()
        if losses.embedding:
            terms["embedding"] = losses.embedding * embedding_loss(y, asked.target)
        if losses.prefix:
            first = losses.prefix_dimensions
            terms["prefix"] = losses.prefix * embedding_loss(y[:, :first], asked.target[:, :first])
        if losses.relational:
            terms["relational"] = losses.relational * relational_loss(
                y, asked.target, asked.bank, losses.temperature
            )
        if losses.hints and asked.hints:
            terms["hints"] = losses.hints * self._hint_loss(features, asked.hints)
        known = asked.person >= 0
        for name, term in self.pairs.items():
            if bool(known.any()):
                terms[name] = getattr(losses, name) * term(y[known], asked.person[known])
        if not terms:  # nobody in this batch has a name, and names are all that is asked for
            terms["nobody"] = 0.0 * y.sum()  # still a gradient, of nothing
        total = torch.stack(list(terms.values())).sum()
        return total, {name: float(value.detach()) for name, value in terms.items()}

    def fit_readers(self, features: list[Tensor], hints: list[Tensor]) -> None:
        """Let the reading layers tell as much of (B, S, S, C) int8 hints as (B, F, S, S) features hold.

        Least squares, a little ridge. Layers drawn at random would first push what a student knows about.
        """
        for place, (reader, feature, hint) in enumerate(zip(self.readers, features, hints, strict=True)):
            wanted = (hint.float() * getattr(self, f"scale_{place}")).flatten(0, 2).double()  # (n, C)
            seen = feature.detach().permute(0, 2, 3, 1).flatten(0, 2).double()  # (n, F)
            middle, means = seen.mean(dim=0), wanted.mean(dim=0)
            scatter = (seen - middle).T @ (seen - middle)
            scatter.diagonal().add_(1e-3 * scatter.diagonal().mean())
            weight = torch.linalg.solve(scatter, (seen - middle).T @ (wanted - means)).T  # (C, F)
            with torch.no_grad():
                reader.weight.copy_(weight[:, :, None, None])
                reader.bias.copy_(means - weight @ middle)

    def _hint_loss(self, features: list[Tensor], hints: tuple[Tensor, ...]) -> Tensor:
        """Mean over the ends of the teacher's variance that the student's features do not explain."""
        unexplained = []
        for place, (reader, feature, hint) in enumerate(zip(self.readers, features, hints, strict=True)):
            read = reader(feature).permute(0, 2, 3, 1)  # (B, S, S, C)
            unexplained.append(self.distance(read, hint, getattr(self, f"scale_{place}")))
        return torch.stack(unexplained).mean()


def _distance(read: Tensor, hint: Tensor, scale: Tensor) -> Tensor:
    """Mean square of (B, S, S, C) readings less (B, S, S, C) int8 hints times their (C,) scale."""
    return (read.float() - hint.float() * scale).square().mean()


def _person_terms(losses: Losses, embedding: int, people: int) -> dict[str, nn.Module]:
    """The terms that need to know who is who; only those that weigh something are built."""
    if not (losses.contrastive or losses.triplet or losses.arcface or losses.softmax):
        return {}
    from pytorch_metric_learning import losses as metric  # noqa: PLC0415  # a second to load, for these alone
    from pytorch_metric_learning import miners  # noqa: PLC0415

    terms: dict[str, nn.Module] = {}
    if losses.contrastive:
        # On unit vectors: D for two faces of one person, max(0, margin - D) for two people. Linear where
        # Hadsell et al. square; the library's form.
        terms["contrastive"] = metric.ContrastiveLoss(pos_margin=0.0, neg_margin=losses.contrastive_margin)
    if losses.triplet:
        terms["triplet"] = _Mined(
            metric.TripletMarginLoss(margin=losses.triplet_margin),
            miners.TripletMarginMiner(margin=losses.triplet_margin, type_of_triplets="semihard"),
        )
    if losses.arcface:
        terms["arcface"] = metric.ArcFaceLoss(
            people, embedding, margin=losses.arcface_margin_deg, scale=losses.arcface_scale
        )
    if losses.softmax:
        terms["softmax"] = metric.NormalizedSoftmaxLoss(
            people, embedding, temperature=1 / losses.arcface_scale
        )
    return terms


class _Mined(nn.Module):
    """A loss over the tuples that its miner picks of a batch."""

    def __init__(self, loss: nn.Module, miner: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner

    def forward(self, y: Tensor, person: Tensor) -> Tensor:
        """Pick, then weigh."""
        return cast(Tensor, self.loss(y, person, self.miner(y, person)))
