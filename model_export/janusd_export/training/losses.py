"""What the student is asked for: the teachers' embedding of a face, and their opinion of pairs of faces."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from torch import Tensor


def embedding_loss(student: Tensor, target: Tensor) -> Tensor:
    """Mean of 1 - cosine between rows, (B, D) and (B, D): half the squared distance of the unit vectors."""
    return (1.0 - F.cosine_similarity(student, target, dim=1)).mean()


def relational_loss(student: Tensor, target: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """How differently student and teachers rank a bank of faces: mean KL divergence, (B, D), (B, D), (K, D).

    Each face's cosines to the bank, divided by `temperature`, become a distribution (softmax). The teachers'
    own distribution is the goal. A low temperature looks only at the most alike strangers, which are the ones
    that open doors. After Park et al., "Relational Knowledge Distillation", 2019, with a bank instead of the
    batch.
    """
    bank = F.normalize(bank, dim=1)
    mine = F.log_softmax(F.normalize(student, dim=1) @ bank.T / temperature, dim=1)  # (B, K)
    theirs = F.log_softmax(F.normalize(target, dim=1) @ bank.T / temperature, dim=1)  # (B, K)
    return F.kl_div(mine, theirs, reduction="batchmean", log_target=True)


def similarity_loss(student: Tensor, target: Tensor) -> Tensor:
    """Mean squared difference of the cosines of all pairs in the batch, (B, D) and (B, D)."""
    student, target = F.normalize(student, dim=1), F.normalize(target, dim=1)
    gap = student @ student.T - target @ target.T  # (B, B), diagonal 0
    pairs = len(student) * (len(student) - 1)
    return gap.square().sum() / torch.tensor(max(1, pairs), dtype=gap.dtype)
