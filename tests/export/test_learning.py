# ruff: noqa: PLC0415  # torch and friends load only where they are installed
"""Losses, gradients and networks against closed forms. Needs torch; without it these are skipped."""

import math
import shutil
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from janusd_export.training.hints import HintScales  # noqa: E402
from janusd_export.training.losses import embedding_loss, relational_loss, similarity_loss  # noqa: E402
from janusd_export.training.objectives import Asked, Objective  # noqa: E402
from janusd_export.training.optimizer import orthogonal  # noqa: E402
from janusd_export.training.recipe import Losses  # noqa: E402
from janusd_export.training.student import Student, StudentSize, count_macs, fold  # noqa: E402

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

    from janusd_export.compiling import quantize
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


def loss_of(y, person, **weights):
    """The weighted loss of (B, D) embeddings of these people."""
    weights = {"embedding": 0.0} | weights
    objective = Objective(Losses(**weights), embedding=y.shape[1], people=int(person.max()) + 1)
    total, _ = objective(y, [], Asked(y, person, y))
    return float(total.detach()), objective


def hints_of(side, channels, rng):
    return torch.from_numpy(rng.integers(-9, 9, (2, side, side, channels), dtype=np.int8))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*not a leaf:UserWarning")  # torch's own
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_comparison_with_hints_is_the_plain_one():
    rng, found = np.random.default_rng(0), []
    hints = tuple(hints_of(side, channels, rng) for side, channels in ((8, 4), (4, 6)))
    scales = HintScales((4, 6), (np.full(4, 0.2, np.float32), np.full(6, 0.1, np.float32)))
    for compiled in (False, True):
        torch.manual_seed(0)
        features = [torch.randn(2, 5, 8, 8, requires_grad=True), torch.randn(2, 7, 4, 4, requires_grad=True)]
        objective = Objective(
            Losses(embedding=0.0, hints=1.0),
            embedding=3,
            people=1,
            feature_channels=(5, 7),
            hint_scales=scales,
            compiled=compiled,
        )
        y = torch.randn(2, 3)
        total, _ = objective(y, features, Asked(y, torch.tensor([-1, -1]), y, hints))
        total.backward()
        found.append([total.detach(), *(feature.grad for feature in features)])
    for plain, compiled in zip(*found, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-4, atol=1e-6)
    by_hand = []  # what each layer reads less the hint in its units
    for reader, feature, hint, scale in zip(objective.readers, features, hints, scales.scales, strict=True):
        read = reader(feature).permute(0, 2, 3, 1).detach().numpy()
        by_hand.append(np.square(read - hint.numpy() * scale).mean())
    assert float(found[0][0]) == pytest.approx(np.mean(by_hand), rel=1e-4)


def test_fitted_readers_tell_what_the_features_hold_of_the_hints():
    rng = np.random.default_rng(1)
    feature = rng.normal(size=(8, 5, 6, 6)).astype(np.float32)
    mixed = np.einsum("cf,bfyx->byxc", rng.normal(size=(4, 5)), feature) * 8 + 3
    hint = torch.from_numpy(np.clip(np.rint(mixed), -127, 127).astype(np.int8))
    scales = HintScales((4,), (np.array([0.2, 0.1, 0.3, 0.05], np.float32),))
    objective = Objective(
        Losses(embedding=0.0, hints=1.0), embedding=3, people=1, feature_channels=(5,), hint_scales=scales
    )
    y = torch.randn(8, 3)
    asked = Asked(y, torch.full((8,), -1), y, (hint,))
    cost = partial(objective, y, [torch.from_numpy(feature)], asked)
    drawn = cost()[0].item()
    objective.fit_readers([torch.from_numpy(feature)], [hint])
    rounding = float(np.mean((scales.scales[0] / 12**0.5) ** 2))  # all that is left
    assert cost()[0].item() == pytest.approx(rounding, rel=0.25)
    assert drawn > 50 * rounding


def test_contrastive_is_the_distance_within_people_and_the_missing_margin_between_them():
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])  # one person twice, 90 degrees apart; a stranger
    person = torch.tensor([0, 0, 1])
    within, near, far = 2**0.5, 2**0.5, 2.0  # Euclidean distances on the circle
    margin = 1.8
    expected = within + (margin - near)  # the mean over pairs that cost anything; the far stranger is free
    assert far > margin
    assert loss_of(y, person, contrastive=1.0, contrastive_margin=margin)[0] == pytest.approx(
        expected, abs=1e-5
    )


def test_triplet_asks_that_a_stranger_be_further_than_oneself_by_the_margin():
    y = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]])
    person = torch.tensor([0, 0, 1])
    distance = lambda a, b: float((y[a] - y[b]).norm())  # noqa: E731
    margin = 0.5
    # Anchor 0: the stranger is further than oneself, but not by the margin: semi-hard. Anchor 1: oneself and
    # the stranger are as far, or nearer: hard, left out by the miner.
    expected = distance(0, 1) - distance(0, 2) + margin
    assert distance(1, 2) < distance(1, 0)
    assert loss_of(y, person, triplet=1.0, triplet_margin=margin)[0] == pytest.approx(expected, abs=1e-4)


def test_arcface_adds_its_margin_to_the_angle_of_ones_own_class():
    y = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    person = torch.tensor([0, 1])
    scale, margin_deg = 8.0, 20.0
    found, objective = loss_of(y, person, arcface=1.0, arcface_scale=scale, arcface_margin_deg=margin_deg)
    classes = torch.nn.functional.normalize(objective.pairs["arcface"].W.detach(), dim=0)  # (D, people)
    angles = torch.acos((torch.nn.functional.normalize(y, dim=1) @ classes).clamp(-1, 1))
    expected = 0.0
    for row, own in enumerate(person.tolist()):
        own_logit = scale * math.cos(float(angles[row, own]) + math.radians(margin_deg))
        other = scale * math.cos(float(angles[row, 1 - own]))
        expected += math.log1p(math.exp(other - own_logit)) / 2
    assert found == pytest.approx(expected, rel=1e-3)


def test_faces_of_nobody_known_cost_the_person_terms_nothing():
    y = torch.randn(4, 6)
    known = torch.tensor([0, 0, 1, 1])
    alone, _ = loss_of(y, known, contrastive=1.0)
    mixed, _ = loss_of(
        torch.cat([y, torch.randn(3, 6)]), torch.cat([known, torch.tensor([-1, -1, -1])]), contrastive=1.0
    )
    assert mixed == pytest.approx(alone, abs=1e-6)


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_muon_moves_by_a_nearly_orthogonal_matrix(shape):
    torch.manual_seed(2)
    singular = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
    assert float(singular.min()) > 0.4
    assert float(singular.max()) < 1.3


def test_mobile_facenet_costs_what_its_authors_say():
    size = StudentSize(family="mobile", embedding=128)
    assert sum(macs for _, macs in count_macs(Student(size))) == pytest.approx(221e6, rel=0.01)


@pytest.mark.parametrize("family", ["residual", "mobile"])
def test_features_come_from_where_the_resolutions_end(family):
    student = Student(StudentSize(family=family, widths=(8, 16, 24), factor=0.25, mix=32)).eval()
    y, features = student.with_features(torch.zeros(1, 3, 112, 112))
    assert [f.shape[2] for f in features] == [28, 14, 7]
    assert tuple(f.shape[1] for f in features) == student.feature_channels
    assert torch.equal(y, student(torch.zeros(1, 3, 112, 112)))
