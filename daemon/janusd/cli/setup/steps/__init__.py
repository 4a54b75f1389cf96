"""The steps of the setup, in the order in which they are asked; one module each."""

from __future__ import annotations

from janusd.cli.setup.step import Step
from janusd.cli.setup.steps.accelerator import AcceleratorStep
from janusd.cli.setup.steps.board import BoardStep
from janusd.cli.setup.steps.camera import CameraStep
from janusd.cli.setup.steps.enrol import EnrolStep
from janusd.cli.setup.steps.keys import KeysStep
from janusd.cli.setup.steps.lines import LinesStep
from janusd.cli.setup.steps.nir import NirStep
from janusd.cli.setup.steps.promise import PromiseStep
from janusd.cli.setup.steps.pulse import PulseStep
from janusd.cli.setup.steps.units import UnitsStep

STEPS: tuple[Step, ...] = (
    BoardStep(),
    CameraStep(),
    AcceleratorStep(),
    LinesStep(),
    PulseStep(),
    NirStep(),
    PromiseStep(),
    KeysStep(),
    UnitsStep(),
    EnrolStep(),
)
"""Asked in this order. The files are written once all of them are answered; what `apply` does comes after."""
