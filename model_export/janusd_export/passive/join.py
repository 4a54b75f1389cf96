"""Put a compiled network into a model folder, beside the encoder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from janusd.core import manifest
from janusd_export.compiling.release import write_manifest
from janusd_export.errors import ExportError
from janusd_export.passive.judge import open_judge


def join(network: Path, model: Path) -> Path:
    """Copy the file and name it in the manifest, which then needs a new signature. Raises ExportError."""
    spec = open_judge(network).spec
    path = model / "manifest.json"
    try:
        described = manifest.parse(path.read_bytes())
        before = described.attack.file if described.attack else spec.file
        (model / spec.file).write_bytes((network / spec.file).read_bytes())
    except OSError as error:
        raise ExportError(f"{error.filename}: {error.strerror}: compile the encoder first") from error
    except ValueError as error:
        raise ExportError(f"{path}: {error}") from error
    if before != spec.file:
        (model / before).unlink(missing_ok=True)
    return write_manifest(model, msgspec.structs.replace(described, attack=spec))
