"""Train one student for each objective, judge all of them on the same people, keep what came of it.

Each run is `train`'s own, in a folder of its name, so a contest that was killed goes on with the run it was
in. Judged are the averaged weights, on plain crops of the held-out people, as a run's own log judges them;
added are what a log has not: intervals from a bootstrap over people, and the equal error rate.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from janusd_export.errors import ExportError
from janusd_export.evaluation import comparison, curves
from janusd_export.evaluation.comparison import Comparison, Outcome
from janusd_export.evaluation.findings import OperatingPoint
from janusd_export.faces.cache import Faces, Split, open_faces, opinion, split_people, taught
from janusd_export.faces.mixtures import Mixtures, opinions_of_mixtures
from janusd_export.faces.targets import unit
from janusd_export.training import checkpoint as checkpoints
from janusd_export.training import runs
from janusd_export.training.augment import plain_crop
from janusd_export.training.crew import device_of, half_precision
from janusd_export.training.hints import open_hints
from janusd_export.training.recipe import Recipe
from janusd_export.training.rivals import Material, Rival, choose
from janusd_export.training.train import train

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long each objective may learn; without either, as the recipe says."""

    steps: int | None = None
    minutes: float | None = None

    def in_words(self, base: Recipe) -> str:
        """What each is given."""
        if self.steps is not None:
            return f"{self.steps:,} steps"
        minutes = self.minutes or base.schedule.minutes
        return f"{base.schedule.epochs:g} epochs" if minutes is None else f"{minutes:g} minutes"


@dataclass(frozen=True, slots=True)
class Ground:
    """What all of them share: the faces, and who is held out."""

    faces: Faces
    split: Split
    cache_dir: Path

    @property
    def faces_of(self) -> NDArray[np.intp]:
        """(people,) training faces of each labelled person."""
        person = self.faces.person[self.split.train]
        return np.unique(person[person >= 0], return_counts=True)[1]

    @property
    def person(self) -> NDArray[np.int32]:
        """(n,) of each held-out face."""
        return self.faces.person[self.split.held_out]


def compare(
    base: Recipe,
    cache_dir: Path,
    folder: Path,
    budget: Budget,
    only: Sequence[str] | None = None,
    say: Say = lambda line: None,
) -> Comparison:
    """Run or resume a contest. Raises ExportError; what is through by then stays."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise ExportError("compare starts the processes of its runs itself: run it without torchrun")
    if any(given is not None and given <= 0 for given in (budget.steps, budget.minutes)):
        raise ExportError("--steps and --minutes must be more than nothing")

    if base.faces.held_out_people < 2:
        raise ExportError("faces.held_out_people must be two or more: objectives are judged on strangers too")

    # 1. What they share, and whether each can be asked for.
    names = taught(cache_dir)
    faces = open_faces(cache_dir, base.faces.margin_px, ())
    ground = Ground(
        faces,
        split_people(faces, base.faces.held_out_people, np.random.default_rng(base.seed)),
        cache_dir,
    )
    words = budget.in_words(base)
    base = _budgeted(base, budget, len(ground.split.train))
    teachers = {name: opinion(cache_dir, name, len(faces.person)).shape[1] for name in names}
    rivals = choose(base, Material(teachers, ground.faces_of), only)
    for rival in rivals:
        _look_ahead(rival, ground)

    # 2. What was found before, if this is the same contest.
    found = _begin(base, ground, folder, words, teachers, rivals)
    comparison.write(folder, found)

    # 3. One after the other; each is kept as soon as it is judged.
    for number, rival in enumerate(rivals, 1):
        if any(outcome.name == rival.name for outcome in found.outcomes):
            say(f"[{number} of {len(rivals)}] {rival.name}: was through")
            continue
        say(f"[{number} of {len(rivals)}] {rival.name}: {rival.asks}, {words}")
        _train(rival, cache_dir, folder / rival.name)
        outcome = _judge(rival, ground, folder / rival.name)
        say(f"[{number} of {len(rivals)}] {rival.name}: {_in_short(outcome)}")
        found = msgspec.structs.replace(found, outcomes=_in_order(found, outcome))
        comparison.write(folder, found)
    return found


def _budgeted(base: Recipe, budget: Budget, train_faces: int) -> Recipe:
    """The recipe with the budget as its schedule, so that the learning rate ends with it."""
    schedule = base.schedule
    if budget.steps is not None:
        size = 1 if device_of(base, 0).type == "cuda" else schedule.processes
        an_epoch = max(1, train_faces // (schedule.batch * size))  # as `train` counts
        schedule = msgspec.structs.replace(schedule, epochs=budget.steps / an_epoch, minutes=None)
    elif budget.minutes is not None:
        often = min(schedule.validate_minutes, budget.minutes / 8)  # enough for a curve
        schedule = msgspec.structs.replace(
            schedule, epochs=None, minutes=budget.minutes, validate_minutes=often
        )
    # All begin anew, and a student that begins needs its norms.
    student = msgspec.structs.replace(base.student, normalised=True)
    return msgspec.structs.replace(base, schedule=schedule, student=student)


def _look_ahead(rival: Rival, ground: Ground) -> None:
    """What a run would miss in its first minute is said before the first run. Raises ExportError."""
    recipe, faces = rival.recipe, ground.faces
    if recipe.losses.hints:
        open_hints(ground.cache_dir, len(faces.person))
    if recipe.mixtures.count:
        mixtures = Mixtures(faces, ground.split.train, recipe.seed, recipe.faces.margin_px)
        names = recipe.target.teachers or taught(ground.cache_dir)
        opinions_of_mixtures(ground.cache_dir, mixtures, names, recipe.mixtures.count)


def _begin(
    base: Recipe,
    ground: Ground,
    folder: Path,
    budget: str,
    teachers: dict[str, int],
    rivals: Sequence[Rival],
) -> Comparison:
    """A comparison with nothing in it, or the one that is in the folder if it is of the same things."""
    person = ground.person
    each = np.unique(person, return_counts=True)[1]
    genuine = int((each * (each - 1) // 2).sum())
    settings: dict[str, Any] = {
        "recipe": msgspec.to_builtins(base),
        "cache": {"faces": len(ground.faces.person), "train": len(ground.split.train), "teachers": teachers},
    }
    fresh = Comparison(
        format=comparison.FORMAT,
        recipe=base.name,
        budget=budget,
        settings=msgspec.json.decode(msgspec.json.encode(settings)),
        train_faces=len(ground.split.train),
        held_out_faces=len(person),
        held_out_people=len(each),
        genuine=genuine,
        impostor=len(person) * (len(person) - 1) // 2 - genuine,
        wanted=[rival.name for rival in rivals],
    )
    if not (folder / comparison.FILE).exists():
        return fresh
    before = comparison.read(folder)
    if not _are_same(before.settings, fresh.settings):
        raise ExportError(
            f"{folder} holds a comparison by another recipe, budget or cache ({before.recipe}, "
            f"{before.budget}, {before.train_faces:,} faces): give another folder with --out"
        )
    done = {outcome.name for outcome in before.outcomes}
    also = [name for name in before.wanted if name in done and name not in fresh.wanted]
    return msgspec.structs.replace(fresh, wanted=[*fresh.wanted, *also], outcomes=before.outcomes)


def _are_same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two contests have the same settings; a recipe's key that came later had its default."""
    try:
        recipes = [msgspec.convert(settings["recipe"], Recipe, strict=False) for settings in (before, now)]
    except (KeyError, msgspec.ValidationError):
        return False
    return recipes[0] == recipes[1] and before.get("cache") == now["cache"]


def _train(rival: Rival, cache_dir: Path, run_dir: Path) -> None:
    """Run or resume it to its end. Raises ExportError where it was stopped before."""
    before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
    try:
        if _progress(run_dir) < 1.0:
            train(rival.recipe, cache_dir, run_dir)
    except ExportError as error:
        raise ExportError(f"{rival.name}: {error}") from error
    finally:
        signal.signal(signal.SIGTERM, before)  # a run in this process answers it with a checkpoint
    if _progress(run_dir) < 1.0:
        raise ExportError(f"{rival.name} was stopped: run the same command again, it goes on from there")


def _progress(run_dir: Path) -> float:
    """How much of its schedule a run has behind it."""
    path = run_dir / "checkpoint.pt"
    return float(checkpoints.load(path, torch.device("cpu"))["progress"]) if path.exists() else 0.0


def _judge(rival: Rival, ground: Ground, run_dir: Path) -> Outcome:
    """What a finished run came to."""
    recipe, log = rival.recipe, runs.read(run_dir)
    state = checkpoints.load(run_dir / "checkpoint.pt", torch.device("cpu"))
    pairs = curves.all_pairs(_embed(recipe, run_dir, ground), ground.person)
    ranked = curves.Ranked.of(pairs.genuine, pairs.impostor)
    last = log.validations[-1]
    return Outcome(
        name=rival.name,
        asks=rival.asks,
        knows_people=rival.knows_people,
        learnt_from=_learnt_from(recipe, ground),
        steps=int(state["step"]),
        faces_seen=int(state["step"]) * recipe.schedule.batch * int(log.start["processes"]),
        seconds=float(state["seconds"]),
        points=_points(pairs, ranked),
        equal_error_rate=curves.equal_error_rate(ranked),
        cosine=last.get("cosine"),
    )


def _points(pairs: curves.AllPairs, ranked: curves.Ranked) -> list[OperatingPoint]:
    found = curves.operating_points(ranked, comparison.RATES)
    shown = [point.fmr for point in found if point.matched is not None]
    ends = dict(zip(shown, curves.bootstrap_matched(pairs, shown), strict=True)) if shown else {}
    return [msgspec.structs.replace(point, by_people=ends.get(point.fmr)) for point in found]


def _learnt_from(recipe: Recipe, ground: Ground) -> int:
    """Different photographs that batches could draw."""
    each = recipe.schedule.faces_a_person
    if not each:
        return len(ground.split.train)
    return int(ground.faces_of[ground.faces_of >= each].sum())


def _embed(recipe: Recipe, run_dir: Path, ground: Ground) -> NDArray[np.float32]:
    """(n, D) unit embeddings of the held-out faces, as a run's log judges them."""
    device, faces, rows = device_of(recipe, 0), ground.faces, ground.split.held_out
    student = checkpoints.load_average(recipe, run_dir / "checkpoint.pt")
    student = student.to(device, memory_format=torch.channels_last)
    parts = []
    with torch.no_grad(), half_precision(device, wanted=recipe.schedule.bfloat16):
        for start in range(0, len(rows), 128):
            crops = [plain_crop(faces.pixels[r], faces.landmarks_px[r]) for r in rows[start : start + 128]]
            x = torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2).float()
            parts.append(student(x.sub_(127.5).div_(127.5)).float().cpu().numpy())
    return unit(np.concatenate(parts))


def _in_short(outcome: Outcome) -> str:
    shares = ", ".join(f"TAR at FAR {p.fmr:g}: {p.matched}" for p in outcome.points if p.matched)
    return f"{shares or 'too few strangers for a TAR'}; EER {100 * outcome.equal_error_rate:.2f} %"


def _in_order(found: Comparison, outcome: Outcome) -> list[Outcome]:
    every = [*found.outcomes, outcome]
    order = {name: place for place, name in enumerate(found.wanted)}
    return sorted(every, key=lambda one: order[one.name])
