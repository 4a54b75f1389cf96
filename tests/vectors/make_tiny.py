"""Makes tiny-int8.tflite and tiny-float.tflite: one 3x3 convolution, ReLU6, the mean over the picture.

Not part of the test run. It needs the export tool chain (pip install janusd[export]):

    python tests/vectors/make_tiny.py
"""

from pathlib import Path

import litert_torch
import numpy as np
import torch
from ai_edge_quantizer import quantizer, recipe
from litert_torch import to_channel_last_io

HERE = Path(__file__).parent
SHAPE = (1, 8, 8, 3)


class Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.relu6(self.conv(x))  # (B, 4, 8, 8)
        return x.mean(dim=(2, 3))  # (B, 4)


def main() -> None:
    torch.manual_seed(0)
    model = to_channel_last_io(Tiny(), args=[0]).eval()
    float_file = HERE / "tiny-float.tflite"
    litert_torch.convert(model, (torch.zeros(SHAPE),)).export(str(float_file))
    rng = np.random.default_rng(0)
    quantize = quantizer.Quantizer(str(float_file), recipe.static_wi8_ai8())
    samples = [{"args_0": rng.uniform(-1, 1, SHAPE).astype(np.float32)} for _ in range(16)]
    ranges = quantize.calibrate({"serving_default": samples})
    (HERE / "tiny-int8.tflite").write_bytes(bytes(quantize.quantize(ranges).quantized_model))


if __name__ == "__main__":
    main()
