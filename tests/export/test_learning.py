# ruff: noqa: PLC0415  # torch and friends load only where they are installed
"""Needs torch; without it these are skipped. Training itself is proven by running a recipe, not here."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from janusd_export.losses import embedding_loss, relational_loss, similarity_loss  # noqa: E402
from janusd_export.student import Student, StudentSize, count_macs, fold  # noqa: E402

SMALL = StudentSize(stem=4, widths=(8, 8, 8), blocks=(1, 1, 0), mix=16, embedding=12)


def test_the_embedding_loss_is_half_the_squared_distance_of_unit_vectors():
    torch.manual_seed(0)
    a, b = torch.randn(5, 7), torch.randn(5, 7)
    unit_a, unit_b = a / a.norm(dim=1, keepdim=True), b / b.norm(dim=1, keepdim=True)
    expected = 0.5 * (unit_a - unit_b).square().sum(dim=1).mean()
    assert float(embedding_loss(a, b)) == pytest.approx(float(expected), abs=1e-6)


def test_a_student_that_agrees_with_its_teachers_loses_nothing_however_long_its_vectors():
    torch.manual_seed(0)
    target, bank = torch.randn(6, 8), torch.randn(20, 8)
    assert float(embedding_loss(3 * target, target)) == pytest.approx(0, abs=1e-6)
    assert float(relational_loss(3 * target, target, bank, 0.1)) == pytest.approx(0, abs=1e-5)
    assert float(similarity_loss(3 * target, target)) == pytest.approx(0, abs=1e-6)


def test_the_relational_loss_is_the_divergence_of_two_softmaxes():
    student, target = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    bank = torch.eye(2)
    mine = math.exp(1) / (math.exp(1) + 1)  # softmax of cosines (1, 0) at temperature 1
    expected = (1 - mine) * math.log((1 - mine) / mine) + mine * math.log(mine / (1 - mine))
    assert float(relational_loss(student, target, bank, 1.0)) == pytest.approx(expected, abs=1e-6)


def test_the_similarity_loss_looks_at_each_pair_and_not_at_the_axes():
    turned = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert float(similarity_loss(turned, torch.eye(2))) == pytest.approx(0, abs=1e-7)
    alike = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert float(similarity_loss(alike, torch.eye(2))) == pytest.approx(1.0)


@pytest.mark.parametrize("loss", [embedding_loss, similarity_loss])
def test_gradients_are_those_of_finite_differences(loss):
    torch.manual_seed(1)
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), student)


def settled_student():
    torch.manual_seed(0)
    student = Student(SMALL)
    with torch.no_grad():
        for _ in range(3):  # give batch norms a history, and residual branches a voice
            student.train()(torch.rand(8, 3, 112, 112) * 2 - 1)
        for name, value in student.named_parameters():
            if "norm.weight" in name:
                value.uniform_(0.5, 1.5)
    return student.eval()


def test_folding_batch_norm_changes_nothing():
    student = settled_student()
    x = torch.rand(2, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        np.testing.assert_allclose(fold(student)(x).numpy(), student(x).numpy(), atol=1e-4)


def test_multiply_accumulates_are_counted_as_by_hand():
    counts = dict(count_macs(Student(SMALL)))
    assert counts["body.0.conv"] == 56 * 56 * 9 * 3 * 4
    assert counts["gather"] == 49 * 16
    assert counts["embed"] == 16 * 12
    assert len(counts) == 1 + 3 + 2 * 2 + 1 + 2


@pytest.mark.slow
def test_the_compiled_file_is_int8_throughout_and_agrees_with_float(tmp_path):
    pytest.importorskip("litert_torch")
    pytest.importorskip("ai_edge_quantizer")
    import warnings

    from janusd_export import quantize
    from janusd_hw.litert import LiteRtNetwork

    folded = fold(settled_student())
    crops = np.random.default_rng(0).integers(0, 256, (24, 112, 112, 3), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the converter's libraries; nothing of ours
        model = quantize.compile_student(folded, crops)
    assert set(quantize.operators(model)) == {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "PAD", "RESHAPE"}
    network = LiteRtNetwork(model)
    assert network.input_quantization == (pytest.approx(1 / 127.5, rel=1e-3), -1)
    ours = quantize.run_int8(network, crops)
    with torch.no_grad():
        real = folded(torch.from_numpy(quantize.to_real(crops)).permute(0, 3, 1, 2)).numpy()
    cosine = (ours * real).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(real, axis=1)
    assert cosine.min() > 0.98
