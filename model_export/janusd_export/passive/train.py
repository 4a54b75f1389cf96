"""Train the attack detection network on rendered presentations; `training.clocked` is the loop.

Living and attacks are drawn equally often, species equally often among the attacks. What was rendered is
mirrored, lit, and seen through a little more noise, blur and coding, the same for both.
"""

from __future__ import annotations

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
from janusd_export.passive.cache import NAMES, SIDE, Presentations, open_cache
from janusd_export.passive.network import PassiveNet
from janusd_export.passive.recipe import Recipe
from janusd_export.training import clocked
from janusd_export.training.clocked import Work
from janusd_export.training.crew import half_precision

SMOOTHING: Final = 0.05
"""No presentation is quite certain: some attacks leave no trace at all (Szegedy et al. 2016, section 7)."""


def train(recipe: Recipe, cache: Path, run_dir: Path, *, stop_after: int | None = None) -> Path:
    """Run or resume; give the checkpoint."""
    arguments = (recipe, cache)
    checkpoint = run_dir / "passive.pt"
    return clocked.train(work_of, arguments, recipe.run.processes, checkpoint, stop_after=stop_after)


def work_of(recipe: Recipe, cache: Path) -> Work:
    """What is trained."""
    torch.manual_seed(recipe.seed)
    network = network_of(recipe)
    parameters, macs = count(network, 2 * SIDE, SIDE)
    network.train()
    learnt, unseen = open_cache(cache, "train"), open_cache(cache, "tune")
    batch = partial(_batch, _by_species(learnt), _by_species(unseen), recipe.run.batch)
    about = {"crops": len(learnt), "unseen": len(unseen), "parameters": parameters, "macs": macs}
    return Work(network, recipe.run, recipe.seed, batch, about)


def network_of(recipe: Recipe) -> PassiveNet:
    """The fresh network."""
    return PassiveNet(recipe.network.widths, recipe.network.blocks)


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
