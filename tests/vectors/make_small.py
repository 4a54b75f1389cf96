"""Makes small-float.tflite and small-int8.tflite: an untrained encoder of the released kind, in small.

Not part of the test run. It needs the export tool chain (make setup-export):

    python tests/vectors/make_small.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from janusd_export.compiling import quantize
from janusd_export.training.student import Student, StudentSize, fold

HERE = Path(__file__).parent


def small_student() -> torch.nn.Module:
    """Every kind of operator the released encoder has, random weights, batch norms that have seen noise."""
    torch.manual_seed(0)
    student = Student(StudentSize(stem=8, widths=(16, 16, 32), blocks=(1, 0, 0), mix=32, embedding=16))
    for name, value in student.named_parameters():
        if name.endswith("norm.weight"):
            torch.nn.init.uniform_(value, 0.5, 1.5)
    with torch.no_grad():
        for _ in range(20):
            student(torch.randn(8, 3, 112, 112))
    return fold(student.eval())


def noise(count: int) -> np.ndarray:
    """Crops of smooth noise: (count, 112, 112, 3)."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (count, 14, 14, 3))
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2).astype(np.uint8)


def main() -> None:
    torch.set_num_threads(1)
    float_file = HERE / "small-float.tflite"
    quantize.export_float(small_student(), float_file)
    ranges = quantize.observe(float_file, noise(16))
    (HERE / "small-int8.tflite").write_bytes(quantize.quantize(float_file, ranges))


if __name__ == "__main__":
    main()
