"""A device in a folder: a Raspberry Pi by its firmware's words, a chip and a camera that are folders."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

from janusd.cli.setup import verb
from janusd.core.types import Face, Image
from janusd.main import open_camera
from janusd.survey import Surveyor, _reply

HERE = Path(__file__).parent
FACES = HERE.parents[1] / "daemon/janusd/demo/faces"
PI_5 = "Raspberry Pi 5 Model B Rev 1.0"


def device(root: Path, *, model: str = PI_5, chip: str = "pinctrl-rp1", camera: bool = True) -> Path:
    """Make one; nothing is set up yet."""
    for folder in ("proc/device-tree", "etc", "run/janus", "dev"):
        (root / folder).mkdir(parents=True)
    (root / "proc/device-tree/model").write_text(f"{model}\0")
    (root / "etc/machine-id").write_text(f"{1:032x}\n")
    if chip:
        (root / "dev/gpiochip0").mkdir()
        (root / "dev/gpiochip0/label").write_text(chip)
    if camera:
        (root / "dev/video0").mkdir()
    return root


def show(root: Path, person: str, picture: str, number: int = 0) -> None:
    """Put a picture before the device's camera."""
    (root / "dev/video0" / "next").write_bytes((FACES / person / f"{picture}.webp").read_bytes())
    (root / "dev/video0" / "next").replace(root / "dev/video0" / f"{number:04}.webp")


def fake_systemctl(folder: Path, root: Path) -> Path:
    """A systemctl that keeps units in a folder, and starts what is real: see systemctl.py."""
    program = folder / "systemctl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{HERE}/systemctl.py" "{root}" "$@"\n')
    program.chmod(0o755)
    (root / "units").mkdir(exist_ok=True)
    for unit in ("janusd.service", "janus-latchd.service", "janus-latchd.socket"):
        (root / "units" / unit).write_text("disabled inactive")
    return program


class Nobody:
    """A detector that finds no face: what is looked for here is not faces."""

    name = "nobody"

    def detect(self, image: Image) -> tuple[Face, ...]:
        del image
        return ()


class HereAndNow:
    """What `janusd --discover serve` answers, in this process."""

    known: ClassVar[dict[str, dict[str, Any]] | None] = None
    """Where a test sets it: what was answered before is answered again. Looking takes longer than all
    else."""

    def __init__(self) -> None:
        self._surveyor = Surveyor(open_camera, Nobody)

    def ask(self, request: dict[str, object]) -> dict[str, Any]:
        asked = json.dumps(request)
        if self.known is not None and asked in self.known:
            return self.known[asked]
        reply: dict[str, Any] = json.loads(json.dumps(_reply(self._surveyor, asked)))
        if self.known is not None and request["ask"] in ("look", "check", "picture"):
            self.known[asked] = reply
        return reply

    def close(self) -> None:
        self._surveyor.close()


def setup(root: Path, *words: str, answers: str | None = None) -> int:
    """`janusctl setup --root ROOT WORDS`, with those answers; its exit code, or the error it raises."""
    if answers is not None:
        file = root.parent / "answers.toml"
        file.write_text(answers)
        words = (*words, "--answers", str(file))
    parser = argparse.ArgumentParser()
    parser.set_defaults(json=False)
    verb.arguments(parser)  # janusctl's whole command line takes longer to make than a setup takes
    return verb.run(parser.parse_args(["--root", str(root), *words]), HereAndNow())


def files(root: Path) -> dict[str, str]:
    """What stands in the device's configuration."""
    folder = root / "etc/janus"
    return {path.name: path.read_text() for path in folder.iterdir()} if folder.is_dir() else {}


def copy(root: Path, to: Path) -> Path:
    """Another device that is just so."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(root, to)
    return to
