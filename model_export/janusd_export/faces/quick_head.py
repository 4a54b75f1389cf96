"""Fit the head with which a quick generator paints 256 x 256 pixels from features at 128 x 128.

    features (256, 128, 128) --1x1--> 64 --LeakyReLU--3x3--> 12 --+--> 2 x 2 pixels of 3 colours each
                             --1x1--------------------------> 12 -+
    their mean (256,) moves the 64 hidden values and the colours

The targets are the whole network's own pictures, reduced by the area rule: nothing but the generator is
needed, and what is learnt is the generator's. `quick_head.npz` was written by

    python -m janusd_export.faces.quick_head --wheel DIR --out quick_head.npz

It needs torch, some minutes of one core and 2 GB of memory. With `--measure 12 --teachers DIR` instead of
--out it compares quick pictures of 12 other people with the whole network's. Cosine 0.926 (0.884 at least)
for the teacher ArcFace and 0.944 (0.918) for the Apache-2.0 one, where two people have 0.14; 0.26 of the
processor time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from janusd import models
from janusd.core.align import align
from janusd_export.faces.device import central_face, open_detector
from janusd_export.faces.generator import LAYERS, QUICK_PX, STYLE_DIM, Generator, features_of, open_synthesis
from janusd_export.faces.targets import unit
from janusd_export.faces.teachers import ALL, OpenTeacher

_HIDDEN = 64
_CROP = 64
_BATCH = 4
_RATE = 3e-3
_SEED = 99


class Head(nn.Module):
    """See the module's docstring. Features come normalised; `weights` folds that in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.local = nn.Conv2d(channels, _HIDDEN, 1)
        self.whole = nn.Conv2d(channels, _HIDDEN, 1)
        self.paint = nn.Conv2d(_HIDDEN, 12, 3, padding=1, padding_mode="replicate")
        self.direct = nn.Conv2d(channels, 12, 1)
        self.colour = nn.Conv2d(channels, 3, 1)
        nn.init.zeros_(self.whole.weight)
        nn.init.zeros_(self.colour.weight)

    def forward(self, x: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Features (B, C, h, w) and their means (B, C, 1, 1) to pixels (B, 3, 2h, 2w)."""
        hidden = nn.functional.leaky_relu(self.local(x) + self.whole(mean), 0.2)
        painted = self.paint(hidden) + self.direct(x)
        return nn.functional.pixel_shuffle(painted, 2) + self.colour(mean)

    def weights(
        self, mean: NDArray[np.float32], spread: NDArray[np.float32]
    ) -> dict[str, NDArray[np.float16]]:
        """For features as the network gives them, half precision."""
        found = {}
        for name, layer in self.named_children():
            weight, bias = (value.detach().numpy() for value in (layer.weight, layer.bias))
            if name != "paint":  # all others read the features
                weight = weight / spread[None, :, None, None]
                bias = bias - (weight[:, :, 0, 0] * mean[None]).sum(axis=1)
            if name == "colour":
                weight, bias = np.repeat(weight, 4, axis=0), np.repeat(bias, 4)  # one value for 2 x 2 pixels
            found[f"{name}.weight"], found[f"{name}.bias"] = (
                weight.astype(np.float16),
                bias.astype(np.float16),
            )
        return found


def draw(wheel_dir: Path, count: int) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Features (n, 256, 128, 128) and pictures (n, 3, 256, 256), -1..1, of random people."""
    generator = Generator(wheel_dir)
    features, pictures = open_synthesis(wheel_dir, features_of), open_synthesis(wheel_dir)
    xs, ys = [], []
    for style in generator.styles(np.random.default_rng(_SEED), count):
        rows = np.broadcast_to(style, (LAYERS, STYLE_DIM)).astype(np.float32)
        xs.append(np.array(features(rows)[0][0]).astype(np.float16))
        picture = np.array(pictures(rows)[0][0]).transpose(1, 2, 0)
        small = cv2.resize(picture, (QUICK_PX, QUICK_PX), interpolation=cv2.INTER_AREA)
        ys.append(np.asarray(small).transpose(2, 0, 1).astype(np.float16))
    return np.stack(xs), np.stack(ys)


def fit(features: NDArray[np.float16], pictures: NDArray[np.float16], steps: int) -> dict[str, NDArray[Any]]:
    """The head's weights; the loss is the absolute error, at full and at half resolution."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    count, channels, side = features.shape[:3]
    means = np.stack([x.astype(np.float32).mean(axis=(1, 2)) for x in features])  # (n, C)
    squares = np.stack([np.square(x.astype(np.float32)).mean(axis=(1, 2)) for x in features]).mean(axis=0)
    mean = means.mean(axis=0)
    spread = np.sqrt(np.maximum(squares - mean**2, 1e-12)) + 1e-6
    head = Head(channels)
    optimizer = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    draws = torch.Generator().manual_seed(0)
    whole = torch.from_numpy((means - mean) / spread)[:, :, None, None]
    centre, scale = mean[:, None, None], spread[:, None, None]
    for step in range(steps):
        chosen = torch.randint(0, count, (_BATCH,), generator=draws)
        xs, ys = [], []
        for face in chosen.tolist():
            a, b = torch.randint(0, side - _CROP + 1, (2,), generator=draws).tolist()
            crop = features[face, :, a : a + _CROP, b : b + _CROP].astype(np.float32)
            xs.append((crop - centre) / scale)
            ys.append(pictures[face, :, 2 * a : 2 * (a + _CROP), 2 * b : 2 * (b + _CROP)].astype(np.float32))
        y, goal = head(torch.from_numpy(np.stack(xs)), whole[chosen]), torch.from_numpy(np.stack(ys))
        coarse = [nn.functional.avg_pool2d(t, 2) for t in (y, goal)]
        loss = (y - goal).abs().mean() + (coarse[0] - coarse[1]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return head.weights(mean, spread)


def measure(wheel_dir: Path, teachers_dir: Path, skip: int, count: int) -> None:
    """Print how like the whole network's pictures are those of a quick generator, and what they cost."""
    whole, quick = Generator(wheel_dir), Generator(wheel_dir, is_quick=True)
    find = open_detector(models.load()).detect
    spent, faces = [0.0, 0.0], []
    for style in whole.styles(np.random.default_rng(_SEED), skip + count)[skip:]:
        for place, generator in enumerate((whole, quick)):
            begun = time.process_time()
            picture = generator.draw(style)
            spent[place] += time.process_time() - begun
            small = cv2.resize(picture, (QUICK_PX, QUICK_PX), interpolation=cv2.INTER_AREA)
            face = central_face(small.astype(np.uint8, copy=False), find(small.astype(np.uint8, copy=False)))
            if face is None:
                raise SystemExit("no face in a drawn picture")
            faces.append(align(small.astype(np.uint8, copy=False), face.landmarks_px, 16))
    print(f"processor time, quick over whole: {spent[1] / spent[0]:.2f}, {count} people")
    for teacher in ALL:
        embeddings = unit(OpenTeacher(teacher, teachers_dir).embed(np.stack(faces), 16))
        same = (embeddings[0::2] * embeddings[1::2]).sum(axis=1)
        others = (embeddings[0::2] @ embeddings[0::2].T)[np.triu_indices(count, 1)]
        mean = f"{others.mean():.3f}" if len(others) else "-"
        print(f"{teacher.name}: cosine {same.mean():.3f}, at least {same.min():.3f}; two people {mean}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit the head and write it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--wheel", type=Path, required=True, help="the unpacked wheel random-face==2021.7.21.1"
    )
    parser.add_argument("--out", type=Path, help="quick_head.npz")
    parser.add_argument("--measure", type=int, metavar="N", help="compare pictures of N other people instead")
    parser.add_argument("--teachers", type=Path, help="with --measure: folder of the teachers' networks")
    parser.add_argument("--faces", type=int, default=36)
    parser.add_argument("--steps", type=int, default=1200)
    given = parser.parse_args(arguments)
    if given.measure:
        if given.teachers is None:
            parser.error("--measure needs --teachers")
        measure(given.wheel, given.teachers, given.faces, given.measure)
        return
    if given.out is None:
        parser.error("give --out or --measure")
    found = fit(*draw(given.wheel, given.faces), given.steps)
    np.savez_compressed(given.out, **found)  # type: ignore[arg-type]  # no array is called allow_pickle


if __name__ == "__main__":
    main()
