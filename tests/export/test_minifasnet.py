"""MiniFASNet as a peer: every weight is used, what is wrong is named, the crop is the published one.

Weights are random and few. Not tested here: that the published files tell attacks; `passive evaluate`
measures that.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from janusd.core.types import Box, Face  # noqa: E402
from janusd_export.errors import ExportError  # noqa: E402
from janusd_export.passive import evaluate  # noqa: E402
from janusd_export.passive.minifasnet import SIDE_PX, build, crop, open_published  # noqa: E402

WIDTHS = {"conv_23": (4, 9, 6), "conv_34": (6, 11, 8), "conv_45": (8, 12, 8)}
STAGES = {"conv_3": [(6, 3), (6, 5)], "conv_4": [(8, 4), (8, 7), (8, 2)], "conv_5": [(8, 5)]}
WEIGHED = "conv_4.model.2"


def shapes() -> dict[str, tuple[int, ...]]:
    """A network of uneven widths, one block of it weighed."""
    made: dict[str, tuple[int, ...]] = {}

    def unit(name: str, out: int, into: int, side: int, *, bends: bool = True) -> None:
        made[f"{name}.conv.weight"] = (out, into, side, side)
        norm(f"{name}.bn", out)
        if bends:
            made[f"{name}.prelu.weight"] = (out,)

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            made[f"{name}.{part}"] = (channels,)
        made[f"{name}.num_batches_tracked"] = ()

    def block(name: str, into: int, wide: int, out: int) -> None:
        unit(f"{name}.conv", wide, into, 1)
        unit(f"{name}.conv_dw", wide, 1, 3)
        unit(f"{name}.project", out, wide, 1, bends=False)

    unit("conv1", 4, 3, 3)
    unit("conv2_dw", 4, 1, 3)
    for name, widths in WIDTHS.items():
        block(name, *widths)
    for stage, blocks in STAGES.items():
        for number, (through, wide) in enumerate(blocks):
            block(f"{stage}.model.{number}", through, wide, through)
    made[f"{WEIGHED}.se_module.fc1.weight"] = (2, 8, 1, 1)
    norm(f"{WEIGHED}.se_module.bn1", 2)
    made[f"{WEIGHED}.se_module.fc2.weight"] = (8, 2, 1, 1)
    norm(f"{WEIGHED}.se_module.bn2", 8)
    unit("conv_6_sep", 16, 8, 1)
    unit("conv_6_dw", 16, 1, 5, bends=False)
    made["linear.weight"] = (10, 16)
    norm("bn", 10)
    made["prob.weight"] = (3, 10)
    return made


def weights(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random ones of both signs, scaled so that no layer drowns the others."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        if not shape:
            return torch.tensor(0)
        if len(shape) > 1:
            return torch.randn(shape, generator=generator) / max(1, np.prod(shape[1:])) ** 0.5
        uneven = torch.rand(shape, generator=generator)
        return 0.5 + uneven if "bias" not in name and "mean" not in name else uneven - 0.5

    return {f"module.{name}": drawn(name, shape) for name, shape in shapes().items()}


def saved(folder: Path, tensors: object, name: str = "2.7_80x80_Tiny.pth") -> Path:
    torch.save(tensors, folder / name)
    return folder / name


def test_every_weight_of_a_file_is_used_and_has_a_say_in_the_answer() -> None:
    given = weights()
    network = build(given, Path("a.pth"))
    taken = network.state_dict()
    assert {f"module.{name}" for name in taken} == given.keys()
    assert all(torch.equal(one, given[f"module.{name}"]) for name, one in taken.items())
    answer = network(torch.randn(2, 3, SIDE_PX, SIDE_PX))
    assert answer.shape == (2, 3)
    answer.square().sum().backward()
    silent = [name for name, one in network.named_parameters() if one.grad is None or not one.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", ["module.conv_3.model.1.project.bn.bias", "module.conv_6_dw.conv.weight"])
def test_a_weight_that_is_missing_is_named(name: str) -> None:
    given = weights()
    del given[name]
    with pytest.raises(ExportError, match=r"a\.pth is not a MiniFASNet.*" + name.removeprefix("module.")):
        build(given, Path("a.pth"))


def test_a_weight_too_many_is_named() -> None:
    with pytest.raises(ExportError, match=r"a\.pth is not a MiniFASNet.*conv_7"):
        build(weights() | {"module.conv_7.weight": torch.zeros(3)}, Path("a.pth"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("2.7_none.pth", None, "is not there: the peer's files are 2.7_80x80_MiniFASNetV2.pth"),
        ("MiniFASNet.pth", {}, "does not begin with how many face boxes"),
        ("2.7_bytes.pth", b"not a file of torch", "holds no tensors that can be read"),
        ("2.7_list.pth", [1, 2], "is no list of tensors by name"),
        ("2.7_other.pth", {"weight": torch.zeros(3)}, "is not a MiniFASNet"),
        ("2.7_model.tflite", b"", "is neither .onnx nor .pth"),
    ],
)
def test_what_is_no_peer_is_said_with_what_would_be(
    tmp_path: Path, name: str, content: object, said: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        saved(tmp_path, content, name)
    with pytest.raises(ExportError) as refused:
        evaluate.peers_of([tmp_path / name])
    assert said in str(refused.value)
    assert name in str(refused.value)


def test_a_file_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("it ran",)

    with pytest.raises(ExportError, match="holds no tensors that can be read"):
        open_published(saved(tmp_path, {"weight": Runs()}))


def test_two_files_are_also_asked_together(tmp_path: Path) -> None:
    paths = []
    for seed, context in ((0, "2.7"), (1, "4")):
        given = weights(seed)
        given["module.prob.weight"] *= 1e-3  # no answer is certain
        paths.append(saved(tmp_path, given, f"{context}_80x80_Tiny.pth"))
    peers = evaluate.peers_of(paths)
    assert [(peer.name, peer.threshold) for peer in peers] == [
        ("2.7_80x80_Tiny", None), ("4_80x80_Tiny", None),
        ("MiniFASNet, mean", None), ("MiniFASNet, mean at 0.5", 0.5),
    ]  # fmt: skip
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    presented = [(image, Face(Box(60, 40, 30, 40), np.zeros((5, 2), np.float32), 1.0))] * 2
    wide, close, both, again = (peer.genuine(presented) for peer in peers)
    assert again == both
    assert 0 < both < 1
    assert both == pytest.approx((wide + close) / 2)
    assert wide != close


def face(x: float, y: float, width: float, height: float) -> Face:
    return Face(Box(x, y, width, height), np.zeros((5, 2), np.float32), 1.0)


def test_the_crop_is_so_many_boxes_around_the_face_blue_first() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    image[..., 0] = 200  # red
    image[150:251, 150:251, 2] = 100  # blue, where the crop of 2.5 boxes ends
    seen = crop(image, face(180, 180, 40, 40), 2.5)
    assert seen.shape == (3, SIDE_PX, SIDE_PX)
    assert seen[0].min() >= 90
    assert (seen[2] == 200).all()
    assert crop(image, face(180, 180, 40, 40), 4.0)[0].min() == 0


@pytest.mark.parametrize("box", [(0, 0, 40, 50), (160, 70, 40, 50), (-10, -10, 40, 50), (0, 0, 200, 120)])
def test_a_crop_that_would_leave_the_picture_is_moved_or_made_smaller(box: tuple[float, ...]) -> None:
    image = np.full((120, 200, 3), 77, np.uint8)
    assert (crop(image, face(*box), 4.0) == 77).all()
