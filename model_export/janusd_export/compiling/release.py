"""Write a model directory: the int8 file and the manifest that describes it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from janusd import models
from janusd.bundle.format import SIGNATURE_FILE
from janusd.core.manifest import Calibration, Detector, Encoder, Manifest, Tail, TensorSpec
from janusd_export.errors import ExportError
from janusd_hw.litert import LiteRtNetwork

DETECTOR_FILE = "detector.json"
"""Of a compiled detector's folder: the manifest's `detector` entry."""
_COMPILE_IT = "run janus-export detector compile"
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
    held_out: str
    """A digest of the people whom it never learnt from: only they may calibrate it."""


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
    seen_by: models.Models,
    mirrored: bool,
    provenance: Provenance,
    calibration: Calibration = _UNMEASURED,
) -> Path:
    """Write NAME.tflite and manifest.json; scales come from the file itself. Gives the manifest's path.

    The detector is that of `seen_by`, with its networks where it has any.
    """
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
        detector=seen_by.manifest.encoder.detector,
        mirrored=mirrored,
        calibration=calibration,
        training={field: getattr(provenance, field) for field in Provenance.__dataclass_fields__},
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / file).write_bytes(model)
    found_by = seen_by.manifest.detector
    if found_by is not None:
        for name_of, raw in zip(found_by.files, (seen_by.detector, seen_by.refiner), strict=False):
            (directory / name_of).write_bytes(raw)
    return write_manifest(directory, Manifest(1, encoder, found_by))


def read_detector(folder: Path) -> tuple[Detector, dict[str, bytes]]:
    """A compiled detector, or a model folder's: the manifest's entry, its networks. Raises ExportError."""
    path = folder / DETECTOR_FILE
    if not path.exists() and (folder / "manifest.json").exists():
        brought = models.load(folder).manifest.detector
        if brought is None:
            raise ExportError(f"{folder}: its model brings no detector of its own")
        return brought, read_networks(brought, folder)
    try:
        described = msgspec.json.decode(path.read_bytes(), type=Detector)
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {_COMPILE_IT}") from error
    except msgspec.DecodeError as error:
        raise ExportError(f"{path}: {error}: {_COMPILE_IT}") from error
    return described, read_networks(described, folder)


def read_networks(described: Detector, folder: Path) -> dict[str, bytes]:
    """A compiled detector's networks, by file; digests are checked. Raises ExportError."""
    networks = {}
    for file, sha256 in described.files.items():
        try:
            networks[file] = (folder / file).read_bytes()
        except OSError as error:
            raise ExportError(f"{folder / file} cannot be read: {_COMPILE_IT}") from error
        if hashlib.sha256(networks[file]).hexdigest() != sha256:
            raise ExportError(
                f"{folder / file} is not the file that {DETECTOR_FILE} describes: {_COMPILE_IT}"
            )
    return networks


def join_detector(
    directory: Path, detector: Detector, networks: Mapping[str, bytes], version: str = ""
) -> Path:
    """Put another detector into a model folder; its calibration is void then. Gives the manifest's path.

    `version` is the model's from then on: doors refuse another model under the same number.
    What the encoder learnt with stands in `training.aligned_by` from then on.
    """
    found = models.load(directory).manifest
    if found.detector is not None:
        for old in found.detector.files:
            (directory / old).unlink(missing_ok=True)
    for name, raw in networks.items():
        (directory / name).write_bytes(raw)
    encoder = msgspec.structs.replace(
        found.encoder,
        version=version or found.encoder.version,
        calibration=_UNMEASURED,
        training={"aligned_by": found.encoder.detector, **found.encoder.training},
    )
    return write_manifest(directory, msgspec.structs.replace(found, encoder=encoder, detector=detector))


def write_manifest(directory: Path, manifest: Manifest) -> Path:
    """Write manifest.json, readable and with a stable order."""
    path = directory / "manifest.json"
    plain: Any = msgspec.to_builtins(manifest)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    beside.replace(path)
    (directory / SIGNATURE_FILE).unlink(missing_ok=True)  # it was over another manifest: sign again
    return path
