"""From a run's checkpoint to a model directory, refused where int8 costs too much."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch

from janusd_export import quantize, release
from janusd_export.augment import Augment, plain_crop
from janusd_export.cache import Faces, open_faces, split_people
from janusd_export.errors import ExportError
from janusd_export.metrics import same_and_different, true_match_rate
from janusd_export.recipe import Recipe
from janusd_export.student import fold
from janusd_export.targets import unit
from janusd_export.train import load_average
from janusd_hw.litert import LiteRtNetwork
from janusd_hw.mtcnn import MtcnnDetector

CALIBRATION_CROPS = 600  # half of them augmented, so that odd light does not leave the ranges
LARGEST_LOSS = 0.01  # of TAR at FAR 1e-3 on held-out people, float to int8
GATE_FMR = 1e-3


def compile_run(recipe: Recipe, recipe_path: Path, cache_dir: Path, run_dir: Path, directory: Path) -> Path:
    """Write DIRECTORY/NAME.tflite and an uncalibrated manifest. Raises ExportError at the gate."""
    torch.set_num_threads(1)
    checkpoint = run_dir / "checkpoint.pt"
    if not checkpoint.exists():
        raise ExportError(f"{checkpoint} is not there: run janus-export train first")
    faces = open_faces(cache_dir, recipe.faces.margin_px)
    rng = np.random.default_rng(recipe.seed)
    split = split_people(faces, recipe.faces.held_out_people, rng)
    student = load_average(recipe, checkpoint)
    folded = fold(student)

    chosen = rng.choice(split.train, CALIBRATION_CROPS, replace=False)
    augment = Augment(recipe.augment_recipe, recipe.seed)
    views = [augment if number % 2 else plain_crop for number in range(CALIBRATION_CROPS)]
    crops = np.stack(
        [view(faces.pixels[r], faces.landmarks_px[r]) for view, r in zip(views, chosen, strict=True)]
    )
    model = quantize.compile_student(folded, crops)

    tested = _crops(faces, split.held_out)
    with torch.no_grad():
        real = torch.from_numpy(quantize.to_real(tested)).permute(0, 3, 1, 2)
        in_float = unit(np.concatenate([folded(x).numpy() for x in real.split(64)]))
    in_int8 = unit(quantize.run_int8(LiteRtNetwork(model), tested))
    person = faces.person[split.held_out]
    before, after = (
        true_match_rate(*same_and_different(e, person), GATE_FMR)[0].value for e in (in_float, in_int8)
    )
    cosine = float(np.einsum("nd,nd->n", in_float, in_int8).mean())
    print(
        f"{len(model):,} bytes, {len(quantize.operators(model))} operators; "
        f"held-out people, {len(tested):,} faces: "
        f"TAR at FAR {GATE_FMR:g} float {100 * before:.2f} %, int8 {100 * after:.2f} %; "
        f"mean cosine float to int8 {cosine:.4f}"
    )
    if before - after > LARGEST_LOSS:
        raise ExportError(f"int8 loses {100 * (before - after):.2f} points of TAR: the model is not written")

    state = torch.load(checkpoint, weights_only=True)
    with (run_dir / "log.jsonl").open(encoding="utf-8") as log:
        processes = recipe.schedule.processes
        start = json.loads(log.readline())
    steps = int(state["step"])
    provenance = release.Provenance(
        recipe=recipe_path.name,
        recipe_sha256=hashlib.sha256(recipe_path.read_bytes()).hexdigest(),
        seed=recipe.seed,
        commit=release.commit_of(Path(__file__).parent),
        steps=steps,
        faces_seen=steps * recipe.schedule.batch * processes,
        data=(f"{start['train_faces']:,} faces", *release.DATA),
        teachers=release.TEACHERS,
        licence=release.LICENCE,
    )
    return release.write_model(
        directory, recipe.name, recipe.version, model, MtcnnDetector().name, recipe.mirrored, provenance
    )


def _crops(faces: Faces, rows: np.ndarray) -> np.ndarray:
    return np.stack([plain_crop(faces.pixels[r], faces.landmarks_px[r]) for r in rows])
