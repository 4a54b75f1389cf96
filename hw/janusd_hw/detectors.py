"""Opens the detector that a manifest speaks of: our own networks or, where it describes none, MTCNN."""

from __future__ import annotations

from janusd.core.manifest import Manifest
from janusd.errors import ModelError
from janusd.ports import Detector, Network
from janusd_hw.detector_litert import OwnDetector
from janusd_hw.mtcnn import MtcnnDetector

_WIDEST_PX = 480
"""MTCNN's time grows with the picture; our own detector reduces it by itself."""


def open_detector(
    described: Manifest, network: Network | None, refiner: Network | None, *, min_face_px: float = 48.0
) -> Detector:
    """The detector behind one port; `network` and `refiner` are given where the manifest describes them.

    `min_face_px` is for MTCNN, whose time depends on it. Raises ModelError where they do not belong together.
    """
    if described.detector is None:
        return MtcnnDetector(min_face_px, widest_px=_WIDEST_PX)
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
