"""Frame in, evidence or a reason out: detect, quality, align, embed, match, in this order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from janusd.core import align, attack, embed, manifest, match, passive, quality
from janusd.core.gallery import Gallery
from janusd.core.manifest import AttackNet, Encoder
from janusd.core.quality import Floors
from janusd.core.reason import Reason
from janusd.core.tensors import real, to_tensor
from janusd.core.types import Box, Crop, Embedding, Evidence, Face, Frame, Image, Quality
from janusd.core.warp import mirrored
from janusd.ports import Detector, Network


@dataclass(frozen=True, slots=True)
class Probe:
    """What one picture shows of one person."""

    face: Face | None = None
    quality: Quality | None = None
    embedding: Embedding | None = None
    """Only of a face fit for comparison."""
    reason: Reason | None = None
    """Why there is no embedding."""
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    """Time spent in each stage, in their order."""
    genuine: float | None = None
    """How genuine the attack network takes the face for, 0..1; None without such a network."""
    nir_score: float | None = None
    """How like this face is to the one in near infrared, -1..1; None where none was found there."""
    crop: Crop | None = None
    """What the embedding was made of."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The networks of a door and the steps between them. Holds nothing about people."""

    detector: Detector
    encoder: Network
    spec: Encoder
    floors: Floors = field(default_factory=Floors)
    found_by: manifest.Detector | None = None
    """What stands behind `detector`, where the manifest describes it."""
    attack_net: tuple[Network, AttackNet] | None = None
    """The attack detection network and what its tensors mean, where the manifest has one."""
    second_face: float = 0.35
    """A second face counts when its box is at least this part of the largest one's height: whoever stands
    further back is not at the door."""

    @property
    def model_digest(self) -> bytes:
        """What this pipeline's embeddings are comparable within: see `manifest.bound_to`."""
        return manifest.bound_to(self.spec, self.found_by)

    def faces(self, image: Image) -> tuple[Face, ...]:
        """All faces in the picture, in its own pixels, the largest first."""
        found = self.detector.detect(image)
        return tuple(sorted(found, key=lambda face: -face.box_px.height))

    def embed(self, image: Image, face: Face) -> Embedding:
        """The embedding of one face, fit for comparison or not."""
        return self.encode(align.align(image, face.landmarks_px))

    def probe(self, image: Image) -> Probe:
        """Find the one face in the picture and embed it, or say why not."""
        watch = _Stopwatch()
        with watch.stage("detect"):
            faces = self.faces(image)
        if not faces:
            return Probe(reason=Reason.NO_FACE, stage_ms=watch.ms)
        face = faces[0]
        if len(faces) > 1 and faces[1].box_px.height >= self.second_face * face.box_px.height:
            return Probe(face, reason=Reason.TWO_FACES, stage_ms=watch.ms)
        context = attack.from_context(face, image)
        if context.reason is not None:
            return Probe(face, reason=context.reason, stage_ms=watch.ms)
        try:
            with watch.stage("align"):
                crop = align.align(image, face.landmarks_px)
        except ValueError:  # landmarks in one point: whatever was detected is no face to compare
            return Probe(face, reason=Reason.NO_FACE, stage_ms=watch.ms)
        with watch.stage("quality"):
            measured = quality.assess(image, face, crop, self.floors)
        if measured.reason is not None:
            return Probe(face, measured, reason=measured.reason, stage_ms=watch.ms)
        with watch.stage("embed"):
            embedding = self.encode(crop)
        return Probe(face, measured, embedding, stage_ms=watch.ms, crop=crop)

    def rehearse(self, image: Image, gallery: Gallery) -> tuple[bool, dict[str, float]]:
        """Whether there is a face in the picture, and the milliseconds of every stage all the same.

        Where there is none, or none that can be aligned, one is assumed in the middle: a network takes as
        long for a wall as for a face. Nothing of it is ever decided on.
        """
        watch = _Stopwatch()
        with watch.stage("detect"):
            faces = self.faces(image)
        face, is_found = (faces[0], True) if faces else (_in_the_middle(image), False)
        try:
            with watch.stage("align"):
                crop = align.align(image, face.landmarks_px)
        except ValueError:  # landmarks in one point
            face, is_found = _in_the_middle(image), False
            with watch.stage("align"):
                crop = align.align(image, face.landmarks_px)
        with watch.stage("quality"):
            quality.assess(image, face, crop, self.floors)
        with watch.stage("embed"):
            embedding = self.encode(crop)
        with watch.stage("match"):
            match.identify(embedding, gallery)
        if self.attack_net is not None:
            with watch.stage("passive"):
                self._genuine(image, face)
        return is_found, watch.ms

    def evidence(self, frame: Frame, gallery: Gallery) -> tuple[Evidence, Probe]:
        """What a frame says about the people of a gallery, and the probe it rests on."""
        probe = self.probe(frame.image)
        if probe.embedding is None:
            return Evidence(frame.captured_s, refused=probe.reason), probe
        watch = _Stopwatch()
        with watch.stage("match"):
            best, second = match.identify(probe.embedding, gallery)
        genuine, nir_score = None, None
        if probe.face is not None and self.attack_net is not None:
            with watch.stage("passive"):
                genuine = self._genuine(frame.image, probe.face)
        if frame.nir is not None:
            with watch.stage("nir"):
                nir_score = self._nir_score(frame.nir, probe.embedding)
        times = {**probe.stage_ms, **watch.ms}
        timed = replace(probe, stage_ms=times, genuine=genuine, nir_score=nir_score)
        return Evidence(frame.captured_s, best=best, second=second), timed

    def _genuine(self, image: Image, face: Face) -> float | None:
        if self.attack_net is None:
            return None
        network, net = self.attack_net
        tensor = to_tensor(passive.looks(image, face, net), net.input)
        return passive.from_tensor(network.run(tensor), net.output)

    def _nir_score(self, nir: Image, embedding: Embedding) -> float | None:
        """How like the one face in the other camera's picture is; None unless there is one, fit or not."""
        faces = self.faces(nir)
        if not faces:
            return None
        try:
            return match.verify(embedding, self.embed(nir, faces[0]))
        except ValueError:  # landmarks in one point
            return None

    def encode(self, crop: Crop) -> Embedding:
        """The embedding of an aligned crop."""
        return embed.of_answers(self.answers(crop), self.spec.attenuation)

    def answers(self, crop: Crop) -> list[NDArray[np.float32]]:
        """(D,) what the encoder says of each view of an aligned crop, in real numbers."""
        spec = self.spec
        views = (crop, mirrored(crop)) if spec.mirrored else (crop,)
        return [
            real(self.encoder.run(to_tensor(view, spec.input)).reshape(-1), spec.output) for view in views
        ]


def _in_the_middle(image: Image) -> Face:
    """A face a third as high as the picture, in its middle."""
    height, width = image.shape[:2]
    side = max(8.0, height / 3)
    left, top = (width - side) / 2, (height - side) / 2
    landmarks = align.TEMPLATE / np.float32(align.CROP_PX) * np.float32(side)
    moved = landmarks + np.array([left, top], np.float32)
    return Face(Box(left, top, side, side), moved.astype(np.float32), 0.0)


class _Stopwatch:
    """Times named stages with the process's monotonic clock."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._name = ""
        self._started_ns = 0

    def stage(self, name: str) -> _Stopwatch:
        self._name = name
        return self

    def __enter__(self) -> None:
        self._started_ns = time.perf_counter_ns()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ms[self._name] = (time.perf_counter_ns() - self._started_ns) / 1e6
