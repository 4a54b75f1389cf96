"""What moves the weights: AdamW, or Muon for the matrices and AdamW for the rest.

Muon (Jordan et al. 2024; scaled as by Liu et al. 2025, so that AdamW's learning rates fit) replaces a
matrix's momentum by the nearest orthogonal one. A convolution counts as a matrix of output channels by the
rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from janusd_export.training.recipe import Schedule


class Optimizer:
    """One or two optimizers that act as one."""

    def __init__(self, student: nn.Module, other_layers: nn.Module, schedule: Schedule) -> None:
        wants_muon = schedule.optimizer == "muon"
        weights = [(name, p) for name, p in student.named_parameters() if p.ndim > 1]
        # The first layer sees pixels and the gathering has one weight a place: neither mixes channels.
        matrices = [p for name, p in weights if wants_muon and not name.startswith(("body.0.", "gather."))]
        in_muon = {id(p) for p in matrices}
        decayed = [p for _, p in weights if id(p) not in in_muon] + list(other_layers.parameters())
        plain = [p for p in student.parameters() if p.ndim <= 1]  # biases and norms are not pulled to zero
        self._parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": decayed, "weight_decay": schedule.weight_decay},
                    {"params": plain, "weight_decay": 0.0},
                ],
                lr=schedule.learning_rate,
                betas=(0.9, 0.99),
            )
        ]
        if matrices:
            self._parts.append(Muon(matrices, schedule.learning_rate, schedule.weight_decay))

    def step(self, learning_rate: float) -> None:
        """Move along the gradients, then forget them."""
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps."""
        return [part.state_dict() for part in self._parts]

    def load(self, state: list[dict[str, Any]]) -> None:
        """Go on from a checkpoint of the same recipe."""
        for part, kept in zip(self._parts, state, strict=True):
            part.load_state_dict(kept)


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum. torch's own takes only tensors of two dimensions."""

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch comes without types here
    def step(self, closure: None = None) -> None:
        """Move each matrix by an orthogonal one of AdamW's usual size."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"].lerp_(weight.grad, 1.0 - group["momentum"])
                ahead = weight.grad.lerp(momentum, group["momentum"])  # Nesterov
                matrix = ahead.reshape(len(ahead), -1)
                # An orthogonal matrix has root mean square 1 / sqrt(longer side); AdamW's steps about 0.2.
                move = orthogonal(matrix) * (0.2 * max(matrix.shape) ** 0.5)
                weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                weight.add_(move.reshape(weight.shape).to(weight.dtype), alpha=-group["lr"])


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """About the nearest orthogonal matrix: Newton-Schulz lifts the singular values to 0.7 .. 1.2."""
    a, b, c = 3.4445, -4.7750, 2.0315  # Jordan et al. 2024: steep at zero, so that five rounds are enough
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if is_tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(rounds):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return (x.T if is_tall else x).to(matrix.dtype)
