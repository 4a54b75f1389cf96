"""From a measured model folder to what is released: a signature in the folder, and one bundle of it all.

What a door needs goes in always, every network that the manifest names; a report, the layers' errors and the
float network where they are there. The same files and key give the same bytes. Nothing is signed that a door
would refuse, and no network that does not run: each is loaded and fed once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from janusd import models
from janusd.bundle import check
from janusd.bundle import format as layout
from janusd.bundle.keys import TrustedKey
from janusd.core import manifest
from janusd.core.manifest import AttackNet, Detector, Encoder, Refiner
from janusd.errors import JanusError
from janusd_export.compiling.signing import load_key, public_bytes
from janusd_export.errors import ExportError
from janusd_export.faces.device import open_detector
from janusd_hw.litert import LiteRtNetwork

CARD = "MODEL_CARD.md"
DETECTOR_CARD = "DETECTOR_CARD.md"
"""Of the networks that find faces, where the manifest names them."""
ATTACK_CARD = "ATTACK_CARD.md"
"""Of the network that tells attacks, where the manifest names one."""
OPTIONAL = ("layers.json", "report.html", "model.onnx")


@dataclass(frozen=True, slots=True)
class Release:
    """What `janus-export release` prints."""

    title: str
    key: str
    signed: Path
    """The signature in the model folder."""
    bundle: Path | None
    bundle_bytes: int
    files: dict[str, int]
    """Size of each file."""


def release(folder: Path, key_file: Path, out: Path | None = None) -> Release:
    """Sign a model folder and, where `out` is given, write it as one bundle. Raises ExportError."""
    key = load_key(key_file)
    try:
        found = models.load(folder)
    except JanusError as error:
        raise ExportError(f"{error.what}: compile it first: janus-export compile") from error
    _refuse_unfit(folder, found)
    wanted = [layout.MANIFEST_FILE, *found.manifest.files, CARD]
    wanted += [DETECTOR_CARD] if found.manifest.detector else []
    wanted += [ATTACK_CARD] if found.manifest.attack else []
    wanted += [name for name in OPTIONAL if (folder / name).exists()]
    wanted += sorted(path.name for path in folder.glob("*_edgetpu.tflite"))
    files = {name: _read(folder / name) for name in wanted}
    public = public_bytes(key)
    try:
        head = layout.make_head(files, public, key.sign)
        bundle = layout.make_bundle(files, public, key.sign) if out else b""
    except ValueError as error:
        raise ExportError(f"{folder}: {error}") from error
    signer = TrustedKey(str(key_file), public)
    if out:
        check.verify_bytes(bundle, [signer], str(out))  # as a door will, before anybody else does
        _write(out, bundle)
    signed = folder / layout.SIGNATURE_FILE
    _write(signed, head)
    check.verify(folder, [signer])
    encoder = found.manifest.encoder
    return Release(
        f"{encoder.name} version {encoder.version}",
        signer.id.hex(),
        signed,
        out,
        len(bundle),
        {name: len(content) for name, content in sorted(files.items())},
    )


def _refuse_unfit(folder: Path, found: models.Models) -> None:
    flaw = manifest.flaw(found.manifest)
    if flaw:
        remedy = "janus-export calibrate" if "calibration" in flaw else "correct the recipe and compile again"
        raise ExportError(f"{folder / layout.MANIFEST_FILE}: {flaw}: {remedy}")
    described = found.manifest
    _refuse_network(folder, "encoder", described.encoder, found.encoder)
    if described.attack:
        _refuse_network(folder, "attack", described.attack, found.attack)
    if described.detector:
        _refuse_network(folder, "detector", described.detector, found.detector)
        if described.detector.refiner:
            _refuse_network(folder, "detector.refiner", described.detector.refiner, found.refiner)
        try:
            open_detector(found)
        except JanusError as error:
            raise ExportError(f"{folder / layout.MANIFEST_FILE}: {error}") from error


def _refuse_network(
    folder: Path, name: str, net: Encoder | AttackNet | Detector | Refiner, content: bytes
) -> None:
    try:
        network = LiteRtNetwork(content)
        raw = network.run(np.zeros(network.input_shape, np.int8))
    except JanusError as error:
        raise ExportError(f"{folder / net.file}: {error}") from error
    for which, spec, shape, quantization in (
        ("input", net.input, network.input_shape, network.input_quantization),
        ("output", net.output, tuple(raw.shape), network.output_quantization),
    ):
        if spec.shape != shape or (spec.scale, spec.zero_point) != quantization:
            raise ExportError(
                f"{folder / layout.MANIFEST_FILE}: {name}.{which} is not what {net.file} has "
                f"({shape}, scale and zero point {quantization}): write it with janus-export compile"
            )


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        hint = (
            "write what it is, what it was trained on and how well it does"
            if path.name.endswith("_CARD.md")
            else ""
        )
        raise ExportError(f"cannot read {path} ({error.strerror}){': ' if hint else ''}{hint}") from error
    if not content:
        raise ExportError(f"{path} is empty: a release must say what it is")
    return content


def _write(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
