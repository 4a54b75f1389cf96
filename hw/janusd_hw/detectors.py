"""Opens the detector that a manifest describes."""

from __future__ import annotations

from janusd.core.manifest import Manifest
from janusd.errors import ModelError
from janusd.ports import Detector, Network
from janusd_hw.detector_litert import OwnDetector


def open_detector(described: Manifest, network: Network | None, refiner: Network | None) -> Detector:
    """The detector behind one port; `network` and `refiner` are given where the manifest describes them.

    Raises ModelError where they do not belong together, or no detector is described.
    """
    if described.detector is None:
        raise ModelError(
            f"the model of {described.encoder.name} brings no face detector",
            "install one that does: janusctl model install FILE",
        )
    if network is None:
        raise ModelError(
            "the detector that the manifest describes was not loaded", "reinstall janusd's models"
        )
    return OwnDetector(described.detector, network, refiner)


def refuse_foreign(described: Manifest, found: Detector) -> None:
    """Raise ModelError unless the encoder's thresholds were measured with this detector's points."""
    if described.encoder.detector != found.name:
        raise ModelError(
            f"{described.encoder.name} was calibrated with the points of {described.encoder.detector}, "
            f"and this door finds faces with {found.name}",
            "install a model made for it: janusctl model install FILE",
        )
