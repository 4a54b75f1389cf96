"""One model, two runtimes: what ai-edge-litert and the older tflite-runtime make of the same face.

Runs where both are installed: `make test-tflite-runtime`.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from janusd import models, sdk
from janusd.core import align, embed
from janusd.core.reason import Reason
from janusd.core.tensors import real, to_tensor
from janusd.demo.album import album
from janusd_hw.litert import LiteRtNetwork

pytest.importorskip("tflite_runtime", reason="tflite-runtime is not installed: make test-tflite-runtime")

RESIDENTS = [person for person in album().values() if person.is_resident]


def test_both_runtimes_say_nearly_the_same_of_every_enrolment_portrait() -> None:
    released = models.load()
    new, old = (
        LiteRtNetwork(released.encoder, runtime=name) for name in ("ai-edge-litert", "tflite-runtime")
    )  # type: ignore[arg-type]
    recognizer = sdk.load_models()
    spent_s = {new.accelerator: 0.0, old.accelerator: 0.0}
    for person in RESIDENTS:
        for view in person.enrol:
            image = sdk.read_image(view.path)
            crop = align.align(image, recognizer.faces(image)[0].landmarks_px)
            tensor = to_tensor(crop, released.manifest.encoder.input)
            outputs = []
            for network in (new, old):
                started_s = time.perf_counter()
                outputs.append(network.run(tensor).astype(np.int16))
                spent_s[network.accelerator] += time.perf_counter() - started_s
            assert np.abs(outputs[0] - outputs[1]).max() <= 6  # steps of int8
            spec = released.manifest.encoder.output
            new_one, old_one = (
                embed.of_answers([real(output.reshape(-1).astype(np.int8), spec)]) for output in outputs
            )
            assert float(new_one @ old_one) > 0.99
    fast, slow = spent_s.values()
    print(f"\nseconds for the same portraits: {spent_s}, ratio {slow / fast:.1f}")


def test_residents_are_recognised_under_tflite_runtime() -> None:
    recognizer = sdk.load_models(runtime="tflite-runtime")
    gallery = sdk.Gallery.of_embeddings(
        {p.name: [recognizer.embed(sdk.read_image(v.path)) for v in p.enrol[:2]] for p in RESIDENTS}
    )
    for person in RESIDENTS:
        found = recognizer.identify(sdk.read_image(person.enrol[-1].path), gallery)
        assert (found.person, found.reason) == (person.name, Reason.MATCHED)
