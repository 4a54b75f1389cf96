"""Model folders with the detector of tests/vectors/eye.json, which sees one face, in the middle."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from janusd import models
from janusd.core.manifest import Detector, Manifest
from janusd_export.compiling.release import write_manifest

VECTORS = Path(__file__).parents[1] / "vectors"
EYE = msgspec.json.decode((VECTORS / "eye.json").read_bytes(), type=Detector)
NETWORKS = {file: (VECTORS / file).read_bytes() for file in EYE.files}


def write_models(folder: Path, found_by: Detector = EYE, *, calibrated_with: str = "") -> Path:
    """The released encoder with this detector; not signed."""
    folder.mkdir()
    released = models.load().manifest
    for file in (released.encoder.file, "MODEL_CARD.md"):
        shutil.copy(models.RELEASED / file, folder / file)
    for file, raw in NETWORKS.items():
        (folder / file).write_bytes(raw)
    (folder / "DETECTOR_CARD.md").write_text("# eye: sees what it is told\n")
    encoder = msgspec.structs.replace(released.encoder, detector=calibrated_with or found_by.identity)
    write_manifest(folder, Manifest(1, encoder, found_by))
    return folder
