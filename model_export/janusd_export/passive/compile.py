"""From a run's checkpoint to the int8 file and the manifest's `attack` entry.

    OUT/NAME.tflite
    OUT/attack.json   the manifest's `attack` entry

The threshold is chosen here, on living presentations of people that were neither learnt from nor are measured
on: at most `BPCER` of their means lie below it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from janusd.core import passive
from janusd.core.manifest import AttackNet, TensorSpec
from janusd.core.tensors import to_tensor
from janusd_export.compiling import release
from janusd_export.detector import int8
from janusd_export.detector import model as detector_model
from janusd_export.detector.model import count
from janusd_export.passive import series
from janusd_export.passive.cache import NEAR, SIDE, WIDE, open_cache
from janusd_export.passive.judge import SPEC, Judge, choose_threshold
from janusd_export.passive.network import FoldedGather, PassiveNet
from janusd_export.passive.portraits import Gathering
from janusd_export.passive.recipe import Recipe
from janusd_export.passive.series import LIVING
from janusd_export.passive.train import load_average
from janusd_hw.litert import LiteRtNetwork

CALIBRATION = 128


Say = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What `janus-export passive compile` prints."""

    spec: Path
    parameters: int
    macs: int
    size: int
    error: float
    """Mean difference of int8 and float in how genuine a picture is, 0..1."""
    threshold: float
    presentations: int
    """Living ones that the threshold was chosen on."""


def compile_run(
    recipe: Recipe,
    run_dir: Path,
    cache: Path,
    tuning: Gathering,
    out: Path,
    *,
    presentations: int = 1000,
    say: Say = lambda part, done, total: None,
) -> Compiled:
    """Write the folder. Raises ExportError."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    learnt = open_cache(cache, "train")
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.choice(len(learnt), min(CALIBRATION, len(learnt)), replace=False)
    pictures = np.stack([learnt.seen(int(number)) for number in chosen])
    network = cast(PassiveNet, load_average(recipe, run_dir))
    folded = fold(network)
    pair = int8.compile_network(folded, pictures)
    litert = LiteRtNetwork(pair.in_int8)
    file = f"{recipe.name}.tflite"
    (out / file).write_bytes(pair.in_int8)
    spec = AttackNet(
        recipe.name,
        file,
        hashlib.sha256(pair.in_int8).hexdigest(),
        recipe.version,
        TensorSpec(litert.input_shape, *litert.input_quantization),
        TensorSpec(litert.output_shape, *litert.output_quantization),
        context=WIDE,
        threshold=0.5,
        near=NEAR,
        training={
            "data": "photographs of people, living and on media that are simulated; no real attack",
            "seed": recipe.seed,
            "commit": release.commit_of(Path(__file__).parent),
        },
    )
    error = _error(folded, litert, spec, pictures[:64])
    judge, living = Judge(litert, spec), []
    for number, presented in enumerate(series.presentations(tuning, LIVING, presentations, recipe.seed)):
        say("threshold", number + 1, presentations)
        living.append(judge.genuine(presented))
    threshold = math.floor(1000 * choose_threshold(living)) / 1000  # said in three digits, and never stricter
    spec = msgspec.structs.replace(spec, threshold=threshold)
    path = out / SPEC
    path.write_bytes(msgspec.json.format(msgspec.json.encode(spec), indent=2) + b"\n")
    parameters, macs = count(network, 2 * SIDE, SIDE)
    return Compiled(path, parameters, macs, len(pair.in_int8), error, threshold, presentations)


def fold(network: PassiveNet) -> torch.nn.Module:
    """A copy without batch norm; in evaluation mode it computes the same function."""
    folded = detector_model.fold(network)
    folded.gather = FoldedGather(network.gather)
    return folded.eval()


def _error(
    folded: torch.nn.Module, litert: LiteRtNetwork, spec: AttackNet, pictures: NDArray[np.uint8]
) -> float:
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)
    with torch.no_grad():
        exact = torch.softmax(folded(x), dim=1)[:, 1].numpy()
    rounded = [passive.from_tensor(litert.run(to_tensor(one, spec.input)), spec.output) for one in pictures]
    return float(np.abs(np.array(rounded) - exact).mean())
