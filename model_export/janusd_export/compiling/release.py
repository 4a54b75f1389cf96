"""Write a model directory: the int8 file and the manifest that describes it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from janusd.bundle.format import SIGNATURE_FILE
from janusd.core.manifest import Calibration, Encoder, Manifest, Tail, TensorSpec
from janusd_hw.litert import LiteRtNetwork

_UNMEASURED = Calibration("not calibrated yet", 0, 0, (), Tail(0.0, 1.0, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model came from; goes into the manifest as it is."""

    recipe: str
    recipe_sha256: str
    seed: int
    commit: str
    steps: int
    faces_seen: int
    data: tuple[str, ...]
    teachers: tuple[str, ...]
    licence: str


def commit_of(folder: Path) -> str:
    """The commit that is checked out there, with + where files differ from it; empty outside a repository."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],  # noqa: S607  # whichever git is installed
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def write_model(
    directory: Path,
    name: str,
    version: str,
    model: bytes,
    detector: str,
    mirrored: bool,
    provenance: Provenance,
    calibration: Calibration = _UNMEASURED,
) -> Path:
    """Write NAME.tflite and manifest.json; scales come from the file itself. Gives the manifest's path."""
    network = LiteRtNetwork(model)
    file = f"{name}.tflite"
    encoder = Encoder(
        name=name,
        file=file,
        sha256=hashlib.sha256(model).hexdigest(),
        version=version,
        input=TensorSpec(network.input_shape, *network.input_quantization),
        output=TensorSpec(network.output_shape, *network.output_quantization),
        template="arcface-112",
        detector=detector,
        mirrored=mirrored,
        calibration=calibration,
        training={field: getattr(provenance, field) for field in Provenance.__dataclass_fields__},
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / file).write_bytes(model)
    return write_manifest(directory, Manifest(1, encoder))


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write manifest.json, readable and with a stable order."""
    path = directory / "manifest.json"
    plain: Any = msgspec.to_builtins(manifest)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)
    (directory / SIGNATURE_FILE).unlink(missing_ok=True)  # it was over another manifest: sign again
    return path
