"""Batches of augmented faces, drawn by number: batch k depends on nothing but the seed and k.

So a run that was killed sees the same faces when it goes on, and every process of many draws its own
without a word to the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from janusd_export.errors import ExportError
from janusd_export.faces.cache import Faces
from janusd_export.faces.mixtures import Mixtures
from janusd_export.training.augment import Augment
from janusd_export.training.hints import Hints
from janusd_export.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Batch:
    """B faces as the student sees them."""

    crops: Tensor
    """(B, 112, 112, 3) uint8."""
    rows: Tensor
    """(B,) rows of the cache, or of the mixtures behind it."""
    hints: tuple[Tensor, ...]
    """(B, S, S, C) int8 each, of the same view: mirrored where the crop is. None of mixtures."""


class Batches(torch.utils.data.Dataset[Batch]):
    """Batch number k."""

    def __init__(
        self,
        faces: Faces,
        rows: NDArray[np.intp],
        recipe: Recipe,
        *,
        total: int | None,
        part: Tensor,
        hints: Hints | None = None,
        mixtures: Mixtures | None = None,
    ) -> None:
        self._faces, self._rows, self._recipe, self._hints = faces, rows, recipe, hints
        self._mixtures = mixtures
        self._total = total
        """Batches of the whole run, where that is known."""
        self._part = part
        """Of the run; used where the clock decides when it ends."""
        each = recipe.schedule.faces_a_person
        self._by_person = _group(faces.person, rows, each) if each else []
        if each and len(self._by_person) < recipe.schedule.batch // each:
            raise ExportError(
                f"schedule.batch = {recipe.schedule.batch} asks for {recipe.schedule.batch // each} people "
                f"with {each} faces or more, and there are {len(self._by_person)}: lower schedule.batch"
            )

    def __getitem__(self, number: int) -> Batch:
        """Draw, cut out and augment."""
        recipe = self._recipe
        part = int(self._part) if self._total is None else recipe.part(number / self._total)
        number += recipe.schedule.batches_before
        augment = Augment(recipe.augment_recipes[part], recipe.seed * 1_000_003 + number)
        if self._mixtures is not None:
            rng = np.random.default_rng((recipe.seed, number, 2))
            if rng.random() < recipe.mixtures.share:
                return self._mixed(self._mixtures, rng, augment)
        rows = self._draw(number)
        pixels, points = self._faces.pixels, self._faces.landmarks_px
        views = [augment.view(pixels[r], points[r]) for r in rows]
        maps = self._hints.maps if self._hints else ()
        hints = tuple(
            torch.from_numpy(
                np.stack([kept[r, int(mirrored)] for r, (_, mirrored) in zip(rows, views, strict=True)])
            )
            for kept in maps
        )
        return Batch(torch.from_numpy(np.stack([crop for crop, _ in views])), torch.from_numpy(rows), hints)

    def _mixed(self, mixtures: Mixtures, rng: np.random.Generator, augment: Augment) -> Batch:
        chosen = rng.integers(0, self._recipe.mixtures.count, self._recipe.schedule.batch)
        crops = np.stack([augment(*mixtures[k]) for k in chosen])
        return Batch(torch.from_numpy(crops), torch.from_numpy(len(self._faces.person) + chosen), ())

    def _draw(self, number: int) -> NDArray[np.intp]:
        """Rows of batch `number`: every face once an epoch, or people and then their faces."""
        schedule, seed = self._recipe.schedule, self._recipe.seed
        if not schedule.faces_a_person:
            epoch, place = divmod(number, len(self._rows) // schedule.batch)
            order = np.random.default_rng((seed, epoch)).permutation(self._rows)
            return order[place * schedule.batch : (place + 1) * schedule.batch]
        rng = np.random.default_rng((seed, number, 1))
        each = schedule.faces_a_person
        people = rng.choice(len(self._by_person), schedule.batch // each, replace=False)
        return np.concatenate([rng.choice(self._by_person[p], each, replace=False) for p in people])


def _group(person: NDArray[np.int32], rows: NDArray[np.intp], least: int) -> list[NDArray[np.intp]]:
    """The rows of each person who has so many or more."""
    known = rows[person[rows] >= 0]
    known = known[np.argsort(person[known], kind="stable")]
    groups = np.split(known, np.flatnonzero(np.diff(person[known])) + 1)
    return [group for group in groups if len(group) >= least]


def stream(batches: Batches, numbers: Iterator[int], loaders: int) -> Iterator[Batch]:
    """The batches of these numbers, prepared by so many processes of their own (0: in this one)."""
    loader: Any = torch.utils.data.DataLoader(
        batches,
        batch_size=None,
        sampler=numbers,
        num_workers=loaders,
        prefetch_factor=8 if loaders else None,
        worker_init_fn=_calm,
        # Forked, so that the loader shares the mapped faces; a spawned one is sent a copy of all of them.
        multiprocessing_context="fork" if loaders else None,
    )
    return iter(loader)


def _calm(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
