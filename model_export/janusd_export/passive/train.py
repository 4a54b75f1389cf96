"""Train the attack detection network on rendered presentations; `training.clocked` is the loop.

Living and attacks are drawn equally often, species equally often among the attacks. What was rendered is
mirrored, lit, and seen through a little more noise, blur and coding, the same for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from numpy.typing import NDArray
from torch import Tensor, nn

from janusd.core.types import Image
from janusd_export.detector.model import count
from janusd_export.errors import ExportError
from janusd_export.passive.cache import NAMES, SIDE, Presentations, join_caches, open_cache
from janusd_export.passive.network import PassiveNet
from janusd_export.passive.recipe import Recipe
from janusd_export.training import checkpoint as checkpoints
from janusd_export.training import clocked
from janusd_export.training.clocked import Work
from janusd_export.training.crew import half_precision

SMOOTHING: Final = 0.05
"""No presentation is quite certain: some attacks leave no trace at all (Szegedy et al. 2016, section 7)."""


def train(
    recipe: Recipe,
    caches: Sequence[Path],
    run_dir: Path,
    *,
    begin_with: Path | None = None,
    stop_after: int | None = None,
) -> Path:
    """Run or resume; give the checkpoint. A new run may begin with the averaged weights of another one's.

    Raises ExportError.
    """
    arguments, checkpoint, start = (recipe, tuple(caches)), run_dir / "passive.pt", None
    if begin_with is not None and not checkpoint.exists():
        start = grown(averaged_weights(begin_with), network_of(recipe), begin_with)
    return clocked.train(
        work_of, arguments, recipe.run.processes, checkpoint, stop_after=stop_after, start_from=start
    )


def work_of(recipe: Recipe, caches: Sequence[Path]) -> Work:
    """What is trained: on all that the caches hold, validated on what the first holds for it."""
    torch.manual_seed(recipe.seed)
    network = network_of(recipe)
    parameters, macs = count(network, 2 * SIDE, SIDE)
    network.train()
    learnt, unseen = join_caches([open_cache(one, "train") for one in caches]), open_cache(caches[0], "tune")
    batch = partial(_batch, _by_species(learnt), _by_species(unseen), recipe.run.batch)
    about = {"crops": len(learnt), "unseen": len(unseen), "parameters": parameters, "macs": macs}
    return Work(network, recipe.run, recipe.seed, batch, about)


def network_of(recipe: Recipe) -> PassiveNet:
    """The fresh network."""
    return PassiveNet(recipe.network.widths, recipe.network.blocks)


def averaged_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The averaged weights of a run. Raises ExportError."""
    try:
        weights: dict[str, Tensor] = checkpoints.load(checkpoint, torch.device("cpu"))["average"]
    except (OSError, KeyError, RuntimeError) as error:
        raise ExportError(f"{checkpoint} is no checkpoint of passive train: {error}") from error
    return weights


def grown(before: Mapping[str, Tensor], network: nn.Module, named: Path) -> dict[str, Tensor]:
    """Weights for a wider network that computes at first what the narrower one did (Chen et al. 2016).

    What a filter knew it goes on doing: it takes nothing from channels that are new. Raises ExportError.
    """
    after = network.state_dict()
    if before.keys() != after.keys():
        raise ExportError(f"{named} holds other layers than the recipe asks for")
    for name, weight in after.items():
        old = before[name]
        if any(small > large for small, large in zip(old.shape, weight.shape, strict=True)):
            raise ExportError(f"{named}: {name} is wider than the recipe asks for: {tuple(old.shape)}")
        if weight.ndim > 1:
            weight[: old.shape[0], old.shape[1] :] = 0
        weight[tuple(slice(size) for size in old.shape)] = old
    return after


def load_average(recipe: Recipe, run_dir: Path) -> nn.Module:
    """The averaged network of a run, in evaluation mode. Raises ExportError."""
    return clocked.load_average(network_of(recipe), run_dir / "passive.pt", "janus-export passive train")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a batch costs, and which share of it is judged wrongly."""

    total: Tensor
    wrong_living: float
    wrong_attack: float

    def numbers(self) -> dict[str, float]:
        """For the log."""
        return {"wrong_living": self.wrong_living, "wrong_attack": self.wrong_attack}


_Sorted = tuple[Presentations, tuple[NDArray[np.intp], ...]]


def _by_species(opened: Presentations) -> _Sorted:
    rows = tuple(np.flatnonzero(opened.species == which) for which in range(len(NAMES)))
    return opened, tuple(some for some in rows if len(some))


def _batch(
    learnt: _Sorted,
    unseen: _Sorted,
    size: int,
    network: nn.Module,
    rng: np.random.Generator,
    is_learnt: bool,
) -> Terms:
    """Half living, half attacks."""
    opened, rows = learnt if is_learnt else unseen
    seen, genuine = [], []
    for place in range(size):
        which = 0 if place % 2 == 0 else int(rng.integers(1, len(rows)))
        crops = opened.seen(int(rng.choice(rows[which])))
        seen.append(changed(crops, rng) if is_learnt else crops)
        genuine.append(which == 0)
    batch = torch.from_numpy(np.stack(seen))
    x = batch.permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)  # (B, 3, 192, 96), channels last
    with half_precision(torch.device("cpu"), wanted=True):
        y: Any = network(x)
    logits: Tensor = torch.as_tensor(y).float()  # (B, 2)
    wanted = torch.tensor(genuine, dtype=torch.long)
    loss = F.cross_entropy(logits, wanted, label_smoothing=SMOOTHING if is_learnt else 0.0)
    right = logits.argmax(dim=1) == wanted
    return Terms(
        loss,
        float((~right)[wanted == 1].float().mean()),
        float((~right)[wanted == 0].float().mean()),
    )


def changed(crops: Image, rng: np.random.Generator) -> Image:
    """Mirrored, lit anew, a little noisier, softer or coded once more: both crops alike."""
    image: Any = crops
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
    if rng.random() < 0.6:
        level = np.linspace(0.0, 1.0, 256) ** np.exp(rng.normal(0.0, 0.2)) * np.exp(rng.normal(0.0, 0.15))
        gain = np.exp(rng.normal(0.0, 0.05, 3))
        table = np.clip(255.0 * (level[:, None] * gain + rng.normal(0.0, 0.03)), 0, 255).astype(np.uint8)
        image = cv2.LUT(image, table[None])
    if rng.random() < 0.1:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.25:
        noise = rng.standard_normal(image.shape, dtype=np.float32) * np.float32(rng.uniform(1, 6))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.15:
        sigma = rng.uniform(0.3, 0.9)
        image = np.concatenate(
            [cv2.GaussianBlur(half, (0, 0), sigma) for half in (image[:SIDE], image[SIDE:])]
        )
    if rng.random() < 0.2:
        image = _erased(image, rng)
    return np.asarray(image, np.uint8)


def _erased(image: Any, rng: np.random.Generator) -> Any:  # noqa: ANN401
    """One of both crops is mostly hidden, so that neither is relied on alone."""
    image = image.copy()
    start = 0 if rng.random() < 0.5 else SIDE
    y, x = (int(n) for n in rng.integers(0, SIDE // 2, 2))
    tall, wide = (int(n) for n in rng.integers(SIDE // 4, SIDE, 2))
    part = image[start + y : min(start + y + tall, start + SIDE), x : x + wide]
    part[:] = rng.integers(0, 256, 3)
    return image
