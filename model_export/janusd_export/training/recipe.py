"""A training run as one TOML file: parsed strictly, so that a misspelt number is refused and not ignored."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from janusd_export.errors import ExportError
from janusd_export.training.augment import AugmentRecipe


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of the recipe's tables: every key is known and read."""


class Faces(_Table, frozen=True):
    """[faces]: what is learnt from."""

    margin_px: int = 16
    held_out_people: int = 600
    """Labelled people set aside for validation and calibration, with all their pictures."""


class Mixtures(_Table, frozen=True):
    """[mixtures]: faces mixed of two training faces, whose targets `janus-export mix` asks for."""

    count: int = 0
    """How many different ones; 0 is none."""
    share: float = 0.5
    """Share of the batches that are of mixtures. They have no person, and no hints."""


class Target(_Table, frozen=True):
    """[target]: how the teachers' embeddings become one target."""

    embedding: int = 256
    teachers: tuple[str, ...] | None = None
    """Which of the cache's teachers count; left out, all that it has."""
    person_weight: float = 0.0
    """How much of the person's mean target is mixed into each labelled face's own."""


class Student(_Table, frozen=True):
    """[student]: the architecture; see `student.StudentSize`."""

    family: Literal["residual", "mobile"] = "residual"
    factor: float = 1.0
    stem: int = 16
    widths: tuple[int, int, int] = (64, 128, 256)
    blocks: tuple[int, int, int] = (1, 2, 0)
    narrow: tuple[int, int, int] = (0, 0, 0)
    mix: int = 512
    normalised: bool = True
    """Whether batch norm stands behind each convolution: false only for a run that starts from another's
    checkpoint, whose norms then go into the weights."""


class Schedule(_Table, frozen=True):
    """[schedule]: how long and how fast."""

    batch: int = 64
    pieces: int = 1
    """Parts in which a batch is computed, gradients summed: activations that stay in a processor's own cache
    made a face a quarter cheaper."""
    epochs: float | None = None
    minutes: float | None = None
    """Instead of epochs: the learning rate follows the clock, for a machine shared with others."""
    warmup: float = 0.03
    """Share of the run over which the learning rate rises."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    optimizer: Literal["adamw", "muon"] = "adamw"
    average: float = 0.998
    """Decay of the running average of the weights, which is what is validated and released."""
    validate_minutes: float = 5.0
    faces_a_person: int = 0
    """Draw so many faces of each of batch / faces_a_person people; 0 draws faces without looking who they
    show. Contrastive and triplet terms need at least two."""
    batches_before: int = 0
    """Batches that the runs it goes on from drew with this seed, or more: a batch depends on the seed and its
    number alone, and would be the same again."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    processes: int = 2
    """Training processes with one thread each; `batch` is for each of them."""
    loaders: int = 1
    """Further processes that prepare faces, for each training process."""
    bfloat16: bool = True
    compiled: bool = False
    """Let torch.compile fuse the comparison with the hints, six passes over memory in one (needs a C++
    compiler). A step took nine tenths of the time on a CPU. The student itself is not compiled: it came out
    slower as often as faster."""


class Losses(_Table, frozen=True):
    """[losses]: weights of the terms."""

    embedding: float = 1.0
    prefix: float = 0.0
    """Weight of the embedding loss once more, on the first `prefix_dimensions` principal axes only."""
    prefix_dimensions: int = 128
    relational: float = 0.0
    temperature: float = 0.1
    bank: int = 4096
    hints: float = 0.0
    """Weight of the teacher's feature maps; needs `janus-export hints`."""
    contrastive: float = 0.0
    contrastive_margin: float = 1.2
    """Two strangers further apart than this cost nothing; 1.2 is a cosine of 0.28."""
    triplet: float = 0.0
    triplet_margin: float = 0.3
    arcface: float = 0.0
    arcface_margin_deg: float = 28.6
    arcface_scale: float = 64.0
    softmax: float = 0.0


class Late(_Table, frozen=True):
    """[[late]]: what changes when the learning rate has mostly fallen."""

    since: float
    """Share of the run from which on these numbers replace the recipe's."""
    augment: dict[str, float] = {}
    losses: dict[str, float] = {}
    """Other weights of terms that the recipe asks for: a term cannot begin late."""


class Recipe(_Table, frozen=True):
    """A whole run."""

    name: str
    seed: int
    version: str
    faces: Faces
    target: Target
    student: Student
    schedule: Schedule
    losses: Losses
    augment: dict[str, float] = {}
    mixtures: Mixtures = Mixtures()
    mirrored: bool = True
    """Whether a door embeds each crop and its mirror image, as the teachers did."""
    late: tuple[Late, ...] = ()
    """Earliest first; only the last one that has begun counts."""

    @property
    def wanted_teachers(self) -> tuple[str, ...] | None:
        """What `cache.open_faces` is asked for: none where no term listens to teachers."""
        losses = self.losses
        return self.target.teachers if losses.embedding or losses.prefix or losses.relational else ()

    @property
    def augment_recipe(self) -> AugmentRecipe:
        """The augmentation the run starts with."""
        return AugmentRecipe(**self.augment)

    @property
    def augment_recipes(self) -> tuple[AugmentRecipe, ...]:
        """The augmentation of each part of the run: the first, then each late one."""
        late = (AugmentRecipe(**(self.augment | part.augment)) for part in self.late)
        return (self.augment_recipe, *late)

    @property
    def loss_recipes(self) -> tuple[Losses, ...]:
        """What the run asks at its start, then in each late part."""
        kept = msgspec.to_builtins(self.losses)
        return (self.losses, *(msgspec.convert(kept | part.losses, Losses) for part in self.late))

    def part(self, progress: float) -> int:
        """Which part of the run this is: 0, then 1 for the first late one."""
        return sum(progress >= part.since for part in self.late)


def load(path: Path) -> Recipe:
    """Read a recipe. Raises ExportError that names the file and the wrong key."""
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        recipe = msgspec.convert(table, Recipe, strict=False)
        _ = recipe.augment_recipes
        begun = [name for part in recipe.late for name in part.losses if not getattr(recipe.losses, name, 1)]
        _ = recipe.loss_recipes
    except OSError as error:
        raise ExportError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, TypeError) as error:
        raise ExportError(f"{path}: {error}") from error
    if begun:
        raise ExportError(
            f"{path}: late.losses.{begun[0]} begins late: give [losses] {begun[0]} a weight too"
        )
    if (recipe.schedule.epochs is None) == (recipe.schedule.minutes is None):
        raise ExportError(f"{path}: give either schedule.epochs or schedule.minutes")
    return recipe
