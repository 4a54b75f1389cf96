"""Quantization-aware fine-tuning: teach the folded network to live with its int8 steps.

The float network is its own teacher: what is asked of the network that sees int8 steps is the embedding which
the float one gives, so neither labels nor teachers are needed and the drop is what is trained away.

    weights       one scale a channel, symmetric, -127..127; as the quantizer does it
    activations   one scale a tensor, from the outermost values of the network without rounding, as
                  calibration finds them; found anew ten times on the way

torch's own fake-quantization operators round in the forward pass and let gradients through (the
straight-through estimator of Bengio et al. 2013). Where they stand follows what the int8 file computes in one
operator: a convolution or an addition, with the ReLU behind it, is rounded once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
import torch.fx
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from torch import Tensor, nn

from janusd_export.errors import ExportError

Batches = Callable[[int], Tensor]
"""Gives the crops of a step, (B, 3, 112, 112) float in -1..1."""

_WATCHED = 10
"""Batches whose outermost values make the ranges."""
_CLIPS = (F.relu6, F.relu, torch.relu, "relu", "relu_")


class FakeActivation(nn.Module):
    """Watch the outermost values pass, or round to 256 steps between them, zero among them."""

    low: Tensor
    high: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.watches = True

    def forward(self, x: Tensor) -> Tensor:
        """Widen the range while it watches, else round."""
        if self.watches:
            self.low = torch.minimum(self.low, x.detach().min())
            self.high = torch.maximum(self.high, x.detach().max())
            return x
        # A hair wider: pixels lie half way between two steps of their own scale, where single precision would
        # round them to even numbers and the door's double precision does not.
        scale = torch.clamp((self.high - self.low) / 255.0, min=1e-9) * (1.0 + 1e-6)
        zero_point = torch.clamp(torch.round(-128.0 - self.low / scale), -128, 127).to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, -128, 127)


class FakeWeights(nn.Module):
    """A convolution whose weights are rounded to 255 symmetric steps a channel."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.watches = True

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with rounded weights; with exact ones while ranges are looked for."""
        weight = self.conv.weight
        if self.watches:
            return cast(Tensor, self.conv(x))
        scale = torch.clamp(weight.detach().abs().amax(dim=(1, 2, 3)) / 127.0, min=1e-9)
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        rounded = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -127, 127)
        return cast(Tensor, self.conv._conv_forward(x, rounded, self.conv.bias))


def prepare(folded: nn.Module) -> torch.fx.GraphModule:
    """A copy of the folded network that can round where the int8 file rounds; see `observe`.

    Raises ExportError for a layer that there is no rule for.
    """
    traced = torch.fx.symbolic_trace(copy.deepcopy(folded))
    parts = dict(traced.named_modules())
    count = 0
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and isinstance(parts[node.target], nn.Conv2d):
            _put(traced, node.target, FakeWeights(cast(nn.Conv2d, parts[node.target])))
        elif node.op == "call_module":
            raise ExportError(
                f"{node.target} is a {type(parts[node.target]).__name__}: no rule for rounding it"
            )
        if not _rounds(node):
            continue
        name = f"rounded_{count}"
        count += 1
        traced.add_submodule(name, FakeActivation())
        with traced.graph.inserting_after(node):
            made = traced.graph.call_module(name, (node,))
        node.replace_all_uses_with(made, delete_user_cb=lambda user, made=made: user is not made)
    traced.graph.lint()
    traced.recompile()
    return traced


def finetune(
    folded: nn.Module,
    batches: Batches,
    steps: int,
    *,
    learning_rate: float = 2e-5,
    say: Callable[[int, int, float], None] | None = None,
) -> nn.Module:
    """The folded network with weights that int8 hurts less. Raises ExportError when the loss is no number.

    The learning rate rises over the first tenth and falls along half a cosine: Adam at 1 % of what trained
    the network, since its function must stay. Ten times on the way the cosine is measured on crops that are
    not learnt from, and the best weights are given, which may be those it began with.
    """
    if steps < 1:
        raise ExportError(f"aware_steps is {steps}: give a number above 0, or leave it out")
    teacher = copy.deepcopy(folded).eval().requires_grad_(False)
    student = prepare(folded).train()
    optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate)
    watched = [batches(number) for number in range(min(steps, _WATCHED))]
    unseen = batches(steps)
    best, best_loss = restore(folded, student), math.inf
    for step in range(steps + 1):
        if step == steps or step % max(1, steps // 10) == 0:
            observe(student, watched)
            with torch.no_grad():
                loss_now = float(_distance(student(unseen), teacher(unseen)))
            if not math.isfinite(loss_now):
                raise ExportError(
                    f"int8-aware loss became {loss_now} at step {step}: lower the learning rate"
                )
            if loss_now < best_loss:
                best, best_loss = restore(folded, student), loss_now
        if step == steps:
            break
        rate = min(1.0, (step + 1) / max(1.0, 0.1 * steps)) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate
        crops = batches(step)
        loss = _distance(student(crops), teacher(crops))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if say:
            say(step + 1, steps, float(loss.detach()))
    return best


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (1.0 - F.cosine_similarity(a, b)).mean()


def observe(student: nn.Module, crops: Iterable[Tensor]) -> None:
    """Find the ranges of all activations over these crops, without rounding; from then on it rounds."""
    watching = [part for part in student.modules() if isinstance(part, (FakeActivation, FakeWeights))]
    for part in watching:
        part.watches = True
        if isinstance(part, FakeActivation):
            part.low, part.high = torch.zeros(()), torch.zeros(())
    with torch.no_grad():
        for batch in crops:
            student(batch)
    for part in watching:
        part.watches = False


def restore(folded: nn.Module, student: torch.fx.GraphModule) -> nn.Module:
    """A copy of `folded` with the weights of its rounded twin: what is exported."""
    made, learnt = copy.deepcopy(folded), student.state_dict()
    state = made.state_dict()
    for name in state:
        layer, _, which = name.rpartition(".")
        state[name] = learnt[f"{layer}.conv.{which}"]
    made.load_state_dict(state)
    return made.eval()


def _rounds(node: Any) -> bool:  # noqa: ANN401  # torch.fx has no types here
    """Whether the int8 file keeps this node's value: the input, and what no ReLU follows at once."""
    if node.op in ("output", "get_attr") or node.target in ("flatten", torch.flatten):
        return False
    followers = list(node.users)
    return not (len(followers) == 1 and node.target not in _CLIPS and followers[0].target in _CLIPS)


def _put(module: nn.Module, path: str, part: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(module.get_submodule(parent) if parent else module, name, part)
