"""Draw photographs of people who do not exist.

The network is MobileStyleGAN (Belousov 2021, arXiv:2104.04767) as OpenVINO files in the Apache-2.0 wheel
``random-face==2021.7.21.1``. The wheel is used purely as a folder of weights: its own code calls an OpenVINO
interface that no longer exists. Unpack it with ``pip install --no-deps --target DIR
random-face==2021.7.21.1`` and give DIR here. The noise inputs are baked in, so the same style always gives
the same picture.

Every layer of the synthesis network reads the style by itself (the "W+" of Abdal et al. 2019,
arXiv:1904.03189), so ``draw`` takes one style or one style a layer: early layers place the head, late layers
only colour it.

Three quarters of the work are spent on the last two octaves, which a face of 144 pixels cannot show. A quick
generator stops at the 128 x 128 features and paints 256 x 256 pixels with a small head of its own, fitted to
the whole network's pictures by `quick_head.py`.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Style = NDArray[np.float32]
"""(512,) one style for every layer, or (23, 512) one a layer, coarse to fine."""

STYLE_DIM: Final = 512
LAYERS: Final = 23
"""Layers that read the style, from 4 x 4 pixels (row 0) to 512 x 512 wavelets (row 22)."""

TRUNCATION: Final = 0.7
"""How far from the mean style a person may be: 1 is everything the network knows, oddities included."""

QUICK_HEAD: Final = Path(__file__).with_name("quick_head.npz")
QUICK_PX: Final = 256
_QUICK_FEATURES: Final = "LeakyRelu_542"
"""The last activation at 128 x 128 pixels, (1, 256, 128, 128)."""

_MEAN_DRAWS: Final = 4096  # as many latents as the network's author averages into the mean style
_MEAN_SEED: Final = 0


class Generator:
    """MobileStyleGAN on one CPU thread: about 1.3-1.9 processor-seconds a picture, a quarter of it if quick.

    Args:
        wheel_dir: the folder that holds ``random_face/data`` (or that data folder itself).
        threads: inference threads.
        is_quick: draw 256 x 256 pixels instead of 1024 x 1024.

    Raises:
        FileNotFoundError: the folder does not hold the two networks.
    """

    mean: Style
    """(512,) the mean style: the most average face the network knows."""

    def __init__(self, wheel_dir: Path, *, threads: int = 1, is_quick: bool = False) -> None:
        import openvino as ov  # noqa: PLC0415 - heavy, and only this module needs it

        core = ov.Core()
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads})
        mapping = core.read_model(_existing(_folder(wheel_dir), "MappingNetwork.xml"))
        self._mapping = core.compile_model(mapping, "CPU")
        self._synthesis = open_synthesis(wheel_dir, _quick_picture if is_quick else None, threads=threads)
        self.mean = self.styles(np.random.default_rng(_MEAN_SEED), _MEAN_DRAWS, truncation=None).mean(axis=0)

    def styles(self, rng: np.random.Generator, count: int, *, truncation: float | None = TRUNCATION) -> Style:
        """Give random styles, (count, 512), pulled towards the mean by ``truncation`` (None: not at all)."""
        latents = rng.standard_normal((count, 1, STYLE_DIM)).astype(np.float32)
        styles = np.concatenate([np.array(self._mapping(latent)[0]) for latent in latents])
        return styles if truncation is None else self.truncate(styles, truncation)

    def truncate(self, style: Style, truncation: float = TRUNCATION) -> Style:
        """Move styles (..., 512) towards the mean: ``mean + truncation * (style - mean)``."""
        return np.asarray(self.mean + np.float32(truncation) * (style - self.mean), dtype=np.float32)

    def draw(self, style: Style) -> NDArray[np.uint8]:
        """Give the picture of one style, (1024, 1024, 3) uint8 RGB, or 256 pixels wide if quick."""
        rows = np.broadcast_to(style, (LAYERS, STYLE_DIM)).astype(np.float32)
        planes = self._synthesis(rows)[0][0]  # (3, 1024, 1024), nominally -1..1
        pixels = np.clip((planes + 1.0) * 127.5 + 0.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def open_synthesis(
    wheel_dir: Path,
    cut: Callable[[Any], Any] | None = None,
    *,
    threads: int = 1,
) -> Any:  # noqa: ANN401 - openvino comes without types
    """The synthesis network, (23, 512) styles to a picture; `cut` gives another node of it to end at."""
    import openvino as ov  # noqa: PLC0415 - as above

    core = ov.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": threads})
    model = _with_one_style_a_layer(core.read_model(_existing(_folder(wheel_dir), "SynthesisNetwork.xml")))
    if cut is not None:
        model = ov.Model([cut(model).output(0)], model.get_parameters(), "synthesis-cut")
    return core.compile_model(model, "CPU")


def features_of(synthesis: Any) -> Any:  # noqa: ANN401 - openvino comes without types
    """The node of the synthesis network whose features a quick generator paints."""
    for node in synthesis.get_ops():
        if node.get_friendly_name() == _QUICK_FEATURES:
            return node
    raise ValueError(f"synthesis network: no layer {_QUICK_FEATURES}: is this another release?")


def _quick_picture(synthesis: Any) -> Any:  # noqa: ANN401 - as above
    """The picture that the head of `quick_head.py` paints, (1, 3, 256, 256)."""
    from openvino import opset10 as op  # noqa: PLC0415 - as above

    def convolved(x: Any, name: str) -> Any:  # noqa: ANN401 - as above
        weights = op.constant(head[f"{name}.weight"].astype(np.float32))  # (out, in, k, k)
        bias = op.constant(head[f"{name}.bias"].astype(np.float32)[None, :, None, None])
        return op.add(op.convolution(x, weights, [1, 1], [0, 0], [0, 0], [1, 1]), bias)

    with np.load(QUICK_HEAD) as stored:
        head = dict(stored)
    x = features_of(synthesis).output(0)  # (1, 256, 128, 128)
    mean = op.reduce_mean(x, op.constant(np.array([2, 3], np.int64)), keep_dims=True)  # (1, 256, 1, 1)
    hidden = op.prelu(op.add(convolved(x, "local"), convolved(mean, "whole")), op.constant(np.float32(0.2)))
    beside = op.constant(np.array([0, 0, 1, 1], np.int64))
    hidden = op.pad(hidden, beside, beside, "edge")
    painted = op.add(convolved(hidden, "paint"), convolved(x, "direct"))  # (1, 12, 128, 128)
    painted = op.add(painted, convolved(mean, "colour"))
    return op.depth_to_space(painted, "depth_first", 2)


def _folder(wheel_dir: Path) -> Path:
    folder = wheel_dir / "random_face" / "data"
    return folder if folder.is_dir() else wheel_dir


def _existing(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: not there; unpack the wheel random-face==2021.7.21.1 and give its folder"
        )
    return path


def _with_one_style_a_layer(model: Any) -> Any:  # noqa: ANN401 - openvino comes without types
    """Replace the (1, 512) style input by (23, 512): each layer's modulation reads its own row.

    The layers are told apart by their number in the file's names (``Gemm_11/...`` ... ``Gemm_743/...``),
    which grow with depth.
    """
    import openvino as ov  # noqa: PLC0415 - as above
    from openvino import opset10 as op  # noqa: PLC0415 - as above

    (old,) = model.get_parameters()
    rows = op.parameter([LAYERS, STYLE_DIM], ov.Type.f32, "styles")
    readers = sorted(old.output(0).get_target_inputs(), key=_depth)
    layer = 0
    for reader in readers:
        row = op.gather(rows, op.constant(np.array([layer], np.int64)), op.constant(np.int64(0)))  # (1, 512)
        reader.replace_source_output(row.output(0))
        if reader.get_node().get_type_name() == "MatMul":
            layer += 1
    if layer != LAYERS:
        raise ValueError(
            f"synthesis network: expected {LAYERS} style layers, found {layer}: is this another release?"
        )
    return ov.Model(model.get_results(), [rows], "synthesis-one-style-a-layer")


def _depth(reader: Any) -> tuple[bool, int]:  # noqa: ANN401 - as above
    """Order an input of the network by depth; the one that only asks for the style's shape comes first."""
    node = reader.get_node()
    number = re.search(r"\d+", node.get_friendly_name())
    return node.get_type_name() == "MatMul", int(number.group()) if number else 0
