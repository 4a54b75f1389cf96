"""Teaching on from a released int8 file: weights read back from it, its axes turned onto a run's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from janusd_export.compiling import quantize  # noqa: E402
from janusd_export.compiling.recover import recover, student_of  # noqa: E402
from janusd_export.errors import ExportError  # noqa: E402
from janusd_export.training import checkpoint as checkpoints  # noqa: E402
from janusd_export.training import recipe as recipes  # noqa: E402
from janusd_export.training.student import Student, StudentSize, absorb_norms, turn_onto  # noqa: E402
from janusd_hw.litert import LiteRtNetwork  # noqa: E402

VECTORS = Path(__file__).parents[1] / "vectors"
SMALL = VECTORS / "small-int8.tflite"

RECIPE = """
name = "small"
version = "0"
seed = 7
[faces]
[target]
embedding = 16
[student]
stem = 8
widths = [16, 16, 32]
blocks = [1, 0, 0]
mix = 32
normalised = false
[schedule]
epochs = 1
[losses]
"""


@pytest.fixture
def small(tmp_path: Path) -> recipes.Recipe:
    path = tmp_path / "small.toml"
    path.write_text(RECIPE)
    return recipes.load(path)


def crops(count: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3))
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2).astype(np.uint8)


def test_the_weights_of_a_released_file_embed_as_it_does(small, tmp_path):
    checkpoint = recover(small, SMALL, tmp_path / "released.pt")
    student, seen = checkpoints.load_average(small, checkpoint), crops(8)
    with torch.no_grad():
        said = student(torch.from_numpy(quantize.to_real(seen)).permute(0, 3, 1, 2)).numpy()
    by_file = quantize.run_int8(LiteRtNetwork(SMALL.read_bytes()), seen)
    alike = (
        np.einsum("nd,nd->n", said, by_file) / np.linalg.norm(said, axis=1) / np.linalg.norm(by_file, axis=1)
    )
    assert alike.min() > 0.995
    assert checkpoints.is_released(checkpoint)


def test_nobody_knows_who_taught_it_so_everybody_counts(small, tmp_path):
    checkpoint = recover(small, SMALL, tmp_path / "released.pt")
    assert checkpoints.taught_by(small, [], checkpoint) == sorted(
        one.name for one in checkpoints.teachers.ALL
    )


def test_another_architecture_is_refused(small):
    other = msgspec.structs.replace(small, student=msgspec.structs.replace(small.student, mix=64))
    with pytest.raises(ExportError, match="another architecture"):
        student_of(other, SMALL.read_bytes(), "small-int8.tflite")


def test_a_recipe_with_batch_norm_is_told_that_the_file_has_none(small):
    other = msgspec.structs.replace(small, student=msgspec.structs.replace(small.student, normalised=True))
    with pytest.raises(ExportError, match=r"student\.normalised = false"):
        student_of(other, SMALL.read_bytes(), "small-int8.tflite")


def test_a_deeper_student_begins_as_the_released_one(small, tmp_path):
    checkpoint = recover(small, SMALL, tmp_path / "released.pt")
    wanted = msgspec.structs.replace(small.student, narrow=(2, 1, 0))
    deeper = msgspec.structs.replace(small, student=wanted)
    again = recover(deeper, SMALL, tmp_path / "again.pt")
    students = [checkpoints.load_average(r, f) for r, f in ((small, checkpoint), (deeper, again))]
    seen = torch.rand(2, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        old, new = (student(seen) for student in students)
    assert torch.equal(old, new)
    counts = [sum(1 for _ in student.parameters()) for student in students]
    assert counts[1] == counts[0] + 3 * 6


@pytest.mark.parametrize("content", [None, b"", b"TFL3 it is not"])
def test_what_is_no_such_file_is_named(small, tmp_path, content):
    path = tmp_path / "broken.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ExportError, match=r"broken\.tflite"):
        recover(small, path, tmp_path / "released.pt")
    assert not (tmp_path / "released.pt").exists()


def test_turned_onto_other_axes_it_says_the_same_of_two_faces():
    torch.manual_seed(0)
    student = Student(StudentSize(stem=4, widths=(8, 8, 8), blocks=(1, 0, 0), mix=16, embedding=8)).eval()
    absorb_norms(student)
    seen = torch.rand(64, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        before = torch.nn.functional.normalize(student(seen))
        turn, _ = torch.linalg.qr(torch.randn(8, 8))
        targets = before @ turn
        turn_onto(student, seen, targets)
        after = torch.nn.functional.normalize(student(seen))
    assert torch.allclose(after @ after.T, before @ before.T, atol=1e-4)
    assert float((after * targets).sum(dim=1).min()) > 0.999
