"""Finds faces with our own int8 networks: one look at the whole picture, then a closer one at each face.

All meaning of the networks' numbers stands in `janusd.core.detect`; here bytes are moved.
"""

from __future__ import annotations

from janusd.core import detect
from janusd.core.manifest import Detector, TensorSpec
from janusd.core.tensors import real, to_tensor
from janusd.core.types import Face, Image
from janusd.errors import ModelError
from janusd.ports import Network

MOST_FACES = 8
"""So many are looked at again: a wallpaper full of faces may not hang a door."""


class OwnDetector:
    """A `Detector` on two `Network`s. As safe to share between threads as they are."""

    def __init__(self, spec: Detector, network: Network, refiner: Network | None = None) -> None:
        """Run `network`, and `refiner` where the manifest describes one.

        Raises ModelError when shapes are not those `core.detect` reads, or the refiner is not given.
        """
        _, height, width, _ = _image_shape("detector", spec.input)
        self._cells = detect.grid(height, width)
        _answers("detector", spec.output, (1, len(self._cells.face_px), detect.CHANNELS))
        if (spec.refiner is None) != (refiner is None):
            raise ModelError(
                "the manifest's detector and the networks that were loaded do not belong together",
                "reinstall janusd's models",
            )
        if spec.refiner is not None:
            side = detect.REFINER_PX
            if _image_shape("refiner", spec.refiner.input) != (1, side, side, 3):
                raise ModelError(f"detector.refiner.input: must be (1, {side}, {side}, 3)", "release it anew")
            _answers("refiner", spec.refiner.output, (1, detect.REFINER_OUTPUTS))
            if not 1 <= spec.refiner.looks <= 4:
                raise ModelError(
                    f"detector.refiner.looks is {spec.refiner.looks}, and must be 1 to 4", "release it anew"
                )
        self._spec = spec
        self._network = network
        self._refiner = refiner
        self._size = (height, width)

    @property
    def network(self) -> Network:
        """What takes the first look."""
        return self._network

    @property
    def name(self) -> str:
        """Name and version: embeddings are comparable only within one detector's alignment."""
        return self._spec.identity

    def detect(self, image: Image) -> tuple[Face, ...]:
        """All faces in an RGB picture of any size, the most confident first. Raises NetworkError."""
        if min(image.shape[:2]) < 1:
            return ()
        found = self.propose(image)
        if self._refiner is None:
            return found
        seen = [again for face in found[:MOST_FACES] if (again := self._again(image, face)) is not None]
        return tuple(sorted(seen, key=lambda face: -face.score))

    def _again(self, image: Image, face: Face) -> Face | None:
        """The face as the refiner sees it; None where it sees none."""
        if self._refiner is None or self._spec.refiner is None:
            return face
        spec, again = self._spec.refiner, face
        for _ in range(spec.looks):
            try:
                crop, matrix = detect.closer(image, again.landmarks_px)
            except ValueError:  # all points in one place: no face
                return None
            answer = real(self._refiner.run(to_tensor(crop, spec.input)), spec.output)[0]
            again = detect.refined(face, answer, matrix)
            if again.score < self._spec.threshold:
                return None
        return again

    def propose(self, image: Image) -> tuple[Face, ...]:
        """What the first look gives: with a refiner, all that is worth a second one."""
        spec = self._spec
        picture, scale = detect.fit(image, *self._size)
        answers = real(self._network.run(to_tensor(picture, spec.input)), spec.output)[0]
        least = spec.threshold if self._refiner is None else spec.proposal
        return detect.faces(answers, self._cells, least, spec.overlap, scale)


def _image_shape(which: str, spec: TensorSpec) -> tuple[int, ...]:
    if len(spec.shape) != 4 or spec.shape[0] != 1 or spec.shape[3] != 3 or min(spec.shape) < 1:
        raise ModelError(f"{which}.input.shape is {spec.shape}, and must be (1, H, W, 3)", "release it anew")
    return spec.shape


def _answers(which: str, spec: TensorSpec, expected: tuple[int, ...]) -> None:
    if spec.shape != expected:
        raise ModelError(
            f"{which}.output.shape is {spec.shape}, and an input of this size needs {expected}",
            "release it anew",
        )
