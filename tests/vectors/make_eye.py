"""Makes eye-int8.tflite, eye-refiner-int8.tflite and eye.json: a detector that sees one face, in the middle.

It has learnt nothing: the mean of the picture, times next to nothing, plus the answer. Not part of the test
run. It needs the export tool chain (make setup-export):

    python tests/vectors/make_eye.py
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import litert_torch
import msgspec
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe

from janusd.core import detect
from janusd.core.manifest import Detector, Refiner, TensorSpec
from janusd_hw.litert import LiteRtNetwork

HERE = Path(__file__).parent
SIDE = 16
"""Of what it sees: a 4:3 picture fills three quarters of it."""


class Says(torch.nn.Module):
    def __init__(self, answer: np.ndarray) -> None:
        super().__init__()
        self.shape = answer.shape
        self.line = torch.nn.Linear(3, answer.size)
        torch.nn.init.uniform_(self.line.weight, -1e-3, 1e-3)
        self.line.bias = torch.nn.Parameter(torch.from_numpy(answer.astype(np.float32).ravel()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(x.mean(dim=(2, 3))).reshape(1, *self.shape)


def first_answer() -> np.ndarray:
    """One face about (8, 6), as high as half the picture."""
    cells = detect.grid(SIDE, SIDE)
    answers = np.full((len(cells.face_px), detect.CHANNELS), -1.0, np.float32)
    answers[:, 1:] = 0.0
    unit = detect.LENGTH_UNIT * float(cells.face_px[0, 0])
    middle = np.array([8.0, 6.0]) - cells.centre_px[0]
    answers[0, 0] = 1.0
    answers[0, 1:3] = middle / unit
    answers[0, 3:5] = 2.0 * np.log(6.0 / float(cells.face_px[0, 0]))
    inside = (detect.REFINER_TEMPLATE - (detect.REFINER_PX - 1) / 2) / detect.REFINER_PX * 6.0
    answers[0, 5:] = ((inside + middle) / unit).ravel()
    return answers


def compiled(network: torch.nn.Module, pictures: np.ndarray) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        float_file = Path(folder) / "float.tflite"
        model = litert_torch.to_channel_last_io(network, args=[0]).eval()
        litert_torch.convert(model, (torch.zeros(pictures.shape[1:]),)).export(str(float_file))
        quantize = quantizer.Quantizer(str(float_file), recipe.static_wi8_ai8())
        ranges = quantize.calibrate({"serving_default": [{"args_0": picture} for picture in pictures]})
        return bytes(quantize.quantize(ranges).quantized_model)


def main() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    specs = {}
    for name, side, answer in (
        ("eye", SIDE, first_answer()),
        ("eye-refiner", detect.REFINER_PX, np.array([1.0, *[0.0] * 10])),
    ):
        raw = compiled(Says(answer), rng.uniform(-1, 1, (8, 1, side, side, 3)).astype(np.float32))
        (HERE / f"{name}-int8.tflite").write_bytes(raw)
        network = LiteRtNetwork(raw)
        specs[name] = {
            "file": f"{name}-int8.tflite",
            "sha256": hashlib.sha256(raw).hexdigest(),
            "input": TensorSpec(network.input_shape, *network.input_quantization),
            "output": TensorSpec(network.output_shape, *network.output_quantization),
        }
    described = Detector(
        name="eye", version="1", proposal=0.25, threshold=0.5, refiner=Refiner(**specs["eye-refiner"]),
        **specs["eye"],
    )  # fmt: skip
    (HERE / "eye.json").write_text(json.dumps(msgspec.to_builtins(described), indent=1) + "\n")


if __name__ == "__main__":
    main()
