"""From a run's checkpoint to a model directory, refused where int8 costs too much."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from janusd import models
from janusd_export.compiling import aware, layers, onnx_file, quantize, release
from janusd_export.compiling.dead import cut_dead
from janusd_export.compiling.layers import Layer
from janusd_export.errors import ExportError
from janusd_export.faces import teachers
from janusd_export.faces.cache import Faces, Split, check_held_out, open_faces, split_people, who_is_held_out
from janusd_export.faces.targets import unit
from janusd_export.metrics import Rate, same_and_different, true_match_rate
from janusd_export.training.augment import Augment, plain_crop
from janusd_export.training.checkpoint import load_average
from janusd_export.training.recipe import Recipe
from janusd_export.training.student import fold
from janusd_hw.litert import LiteRtNetwork

CALIBRATION_CROPS = 600  # half of them augmented, so that odd light does not leave the ranges
LAYER_CROPS = 64  # the layers' errors settle to 0.1 dB long before; the watched interpreter is slow
ONNX_CROPS = 8
DEAD_CROPS = 256
LARGEST_LOSS = 0.01
"""Of TAR on held-out people, float to int8, at each of the gate's rates."""
GATE_FMRS = (1e-3, 1e-4)

Say = Callable[[str, int, int], None]
"""Called with (part, done, all)."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What int8 costs at one rate."""

    fmr: float
    in_float: Rate
    in_int8: Rate
    most: float = LARGEST_LOSS
    """That int8 may cost."""

    @property
    def loss(self) -> float:
        """TAR lost; negative where int8 is better."""
        return self.in_float.value - self.in_int8.value

    @property
    def is_passed(self) -> bool:
        """Whether int8 costs no more than it may."""
        return self.loss <= self.most

    def __str__(self) -> str:
        return (
            f"TAR at FAR {self.fmr:<6g} float {self.in_float}; int8 {self.in_int8}; "
            f"drop {100 * self.loss:.2f} points, {'passed' if self.is_passed else 'TOO MUCH'}"
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """What `janus-export compile` prints."""

    manifest: Path
    model_bytes: int
    operators: int
    held_out_faces: int
    gates: tuple[Gate, ...]
    cosine: float
    """Mean, float to int8, over the held-out faces."""
    layers: list[Layer]
    onnx_bytes: int
    onnx_cosine: float
    """The lowest, torch to onnxruntime; 1 where no ONNX file was asked for."""
    left_out: tuple[str, ...] = ()
    """Blocks of the student that add the same to every face."""


def compile_run(
    recipe: Recipe,
    recipe_path: Path,
    cache_dir: Path,
    run_dir: Path,
    directory: Path,
    *,
    aware_steps: int = 0,
    most_lost: float = LARGEST_LOSS,
    with_onnx: bool = True,
    licence: str = "",
    say: Say = lambda part, done, total: None,
) -> Compiled:
    """Write DIRECTORY/NAME.tflite, an uncalibrated manifest, layers.json and model.onnx.

    Raises ExportError at the gate; nothing is written then.
    """
    torch.set_num_threads(1)
    checkpoint = run_dir / "checkpoint.pt"
    if not checkpoint.exists():
        raise ExportError(f"{checkpoint} is not there: run janus-export train first")
    faces = open_faces(cache_dir, recipe.faces.margin_px, recipe.wanted_teachers)
    rng = np.random.default_rng(recipe.seed)
    split = split_people(faces, recipe.faces.held_out_people, rng)
    then = torch.load(checkpoint, weights_only=True, map_location="cpu").get("held_out")
    check_held_out(who_is_held_out(faces, split), then)
    student = load_average(recipe, checkpoint)
    unaware, cut = fold(student), fold(student)

    count = min(CALIBRATION_CROPS, len(split.train))
    chosen = rng.choice(split.train, count, replace=False)
    augment = Augment(recipe.augment_recipe, recipe.seed)
    views = [augment if number % 2 else plain_crop for number in range(count)]
    crops = np.stack(
        [view(faces.pixels[r], faces.landmarks_px[r]) for view, r in zip(views, chosen, strict=True)]
    )
    left_out = cut_dead(cut, crops[:DEAD_CROPS])
    folded: torch.nn.Module = cut
    if aware_steps:
        folded = aware.finetune(
            folded,
            _batches(faces, split, recipe),
            aware_steps,
            say=lambda done, total, _: say("int8-aware steps", done, total),
        )
    say("compile", 0, 3)
    pair = quantize.compile_pair(folded, crops)
    say("compile", 1, 3)
    rows = layers.measure(pair.in_float, pair.in_int8, crops[:LAYER_CROPS])
    say("compile", 2, 3)

    # The gate compares with the float network that was trained, not with one that was tuned for int8.
    tested, person = _crops(faces, split.held_out), faces.person[split.held_out]
    in_float = _embed(tested, lambda views: _run_float(unaware, views), mirrored=recipe.mirrored)
    network = LiteRtNetwork(pair.in_int8)
    in_int8 = _embed(tested, lambda views: quantize.run_int8(network, views), mirrored=recipe.mirrored)
    gates = tuple(replace(gate, most=most_lost) for gate in judge(in_float, in_int8, person))
    say("compile", 3, 3)
    failed = [str(gate) for gate in gates if not gate.is_passed]
    if failed:
        raise ExportError(
            f"int8 costs too much, and the model is not written: {'; '.join(failed)}: "
            "try --aware-steps 300, or look at the layers with the lowest SQNR: "
            + ", ".join(f"{row.layer} {row.sqnr_db} dB" for row in _worst(rows))
        )
    manifest = release.write_model(
        directory,
        recipe.name,
        recipe.version,
        pair.in_int8,
        models.load(),  # whose detector saw the faces when they were imported
        recipe.mirrored,
        _provenance(recipe, recipe_path, cache_dir, run_dir, faces, split, licence),
    )
    layers.write(directory, rows)
    onnx_bytes, onnx_cosine = 0, 1.0
    (directory / onnx_file.FILE).unlink(missing_ok=True)  # of another run
    if with_onnx:
        path, onnx_cosine = onnx_file.write_onnx(folded, directory, crops[:ONNX_CROPS])
        onnx_bytes = path.stat().st_size
    return Compiled(
        manifest,
        len(pair.in_int8),
        len(rows),
        len(tested),
        gates,
        float(np.einsum("nd,nd->n", in_float, in_int8).mean()),
        rows,
        onnx_bytes,
        onnx_cosine,
        tuple(left_out),
    )


def judge(
    in_float: NDArray[np.float32], in_int8: NDArray[np.float32], person: NDArray[np.int32]
) -> tuple[Gate, ...]:
    """What int8 costs on these people, at each rate that their impostor pairs can show.

    Raises ExportError when they are too few for even the most frequent one.
    """
    before, after = (same_and_different(e, person) for e in (in_float, in_int8))
    gates = []
    for fmr in GATE_FMRS:
        if fmr * len(before[1]) < 1.0:
            break
        gates.append(Gate(fmr, true_match_rate(*before, fmr)[0], true_match_rate(*after, fmr)[0]))
    if not gates:
        raise ExportError(
            f"{len(person)} held-out faces make {len(before[1]):,} impostor pairs, too few to see an FMR of "
            f"{GATE_FMRS[0]:g}: raise faces.held_out_people"
        )
    return tuple(gates)


def _worst(rows: list[Layer]) -> list[Layer]:
    return sorted((row for row in rows if row.sqnr_db is not None), key=lambda row: row.sqnr_db or 0.0)[:3]


def _run_float(network: torch.nn.Module, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    parts = []
    with torch.no_grad():
        for start in range(0, len(crops), 64):
            real = torch.from_numpy(quantize.to_real(crops[start : start + 64])).permute(0, 3, 1, 2)
            parts.append(network(real).numpy())
    return np.concatenate(parts)


def _embed(
    crops: NDArray[np.uint8], run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], *, mirrored: bool
) -> NDArray[np.float32]:
    """(n, D) unit embeddings as a door makes them: of each crop and, if asked, its mirror image."""
    embeddings = unit(run(crops))
    return unit(embeddings + unit(run(crops[:, :, ::-1]))) if mirrored else embeddings


def _batches(faces: Faces, split: Split, recipe: Recipe) -> aware.Batches:
    """Augmented crops of people to learn from, by step."""

    def batch(step: int) -> torch.Tensor:
        rng = np.random.default_rng((recipe.seed, 7, step))
        rows = rng.choice(split.train, min(recipe.schedule.batch, len(split.train)), replace=False)
        augment = Augment(recipe.augment_recipe, recipe.seed + step)
        crops = np.stack([augment(faces.pixels[r], faces.landmarks_px[r]) for r in rows])
        return torch.from_numpy(quantize.to_real(crops)).permute(0, 3, 1, 2)

    return batch


def _provenance(
    recipe: Recipe,
    recipe_path: Path,
    cache_dir: Path,
    run_dir: Path,
    faces: Faces,
    split: Split,
    licence: str,
) -> release.Provenance:
    state = torch.load(run_dir / "checkpoint.pt", weights_only=True, map_location="cpu")
    with (run_dir / "log.jsonl").open(encoding="utf-8") as log:
        start = json.loads(log.readline())
    steps = int(state["step"])
    processes = int(start.get("processes", recipe.schedule.processes))
    with (cache_dir / "faces.csv").open(newline="", encoding="utf-8") as file:
        sources = [row["source"] for row in csv.DictReader(file)]
    learnt = Counter(sources[row] for row in split.train)
    taught_by = state.get("taught_by", faces.teacher_names)
    asked = [teacher for teacher in teachers.ALL if teacher.name in taught_by]
    bound = [teacher.name for teacher in asked if not teacher.is_permissive]
    return release.Provenance(
        recipe=recipe_path.name,
        recipe_sha256=hashlib.sha256(recipe_path.read_bytes()).hexdigest(),
        seed=recipe.seed,
        commit=release.commit_of(Path(__file__).parent),
        steps=steps,
        faces_seen=steps * recipe.schedule.batch * processes,
        data=tuple(f"{number:,} faces of {source}" for source, number in learnt.most_common()),
        teachers=tuple(f"{teacher.name} ({teacher.licence})" for teacher in asked),
        licence=licence
        or (
            f"not for commercial use: {', '.join(bound)} taught it"
            if bound
            else "as its data: see the model card"
        ),
        held_out=who_is_held_out(faces, split),
    )


def _crops(faces: Faces, rows: NDArray[np.intp]) -> NDArray[np.uint8]:
    return np.stack([plain_crop(faces.pixels[r], faces.landmarks_px[r]) for r in rows])
