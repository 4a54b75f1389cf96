"""Draw the demo's portraits: people who do not exist, each in several views.

Three steps, none of which needs a photograph of anybody:

1. ``learn`` draws `SAMPLES` random faces, measures pose, smile and light on them, and regresses those
   measures on the style. The result, five directions in style space, lies beside this file
   (``demo_directions.npz``).
2. ``rebuild`` takes one seed a person and moves its style along those directions, layer by layer, so that
   pose and light change and identity stays. A teacher encoder checks that; a view that drifts is drawn again
   with half the step.
3. Every street view is cut out of its background (GrabCut, then a guided filter for the hair).

    python -m janusd_export.faces.demo_faces --wheel DIR --detector yunet.onnx --encoder arcface.onnx \
        --out DIR
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd_export.faces.generator import LAYERS, STYLE_DIM, Generator, Style

Picture = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""
Points = NDArray[np.float64]
"""(5, 2) pixels: eyes, nose tip, mouth corners; the image's left first."""
Floats = NDArray[np.float32]

MEASURES: Final = ("yaw", "pitch", "smile", "side_light", "brightness")
SAMPLES: Final = 166
"""Enough for a cross-validated correlation of 0.91 for yaw and 0.74 for side light; pitch reaches 0.42."""
_SEED: Final = 7000  # person n is drawn from seed 7000 + n, as sample n was
_COMPONENTS: Final = 40  # principal components of the style, 73 % of its variance; more overfit 166 samples
_RIDGE: Final = 20.0

PORTRAIT_PX: Final = 320
QUALITY: Final = 80
SAME_PERSON: Final = 0.55
"""Least cosine between a view and its person's mean, in the teacher's space."""

RESIDENTS: Final = {"ada": 46, "ben": 158, "chloe": 0}
STRANGERS: Final = (110, 31, 105, 119, 133, 90, 15, 81, 127)
"""Seeds chosen by eye among the samples: adults without artefacts, cosine below 0.19 between those."""

_TEMPLATE: Final = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)  # ArcFace's 112 x 112 template (Deng et al. 2019)


@dataclass(frozen=True, slots=True)
class Pose:
    """A view of a person, in standard deviations of each measure among the samples."""

    yaw: float = 0.0
    pitch: float = 0.0
    smile: float = 0.0
    side_light: float = 0.0
    brightness: float = 0.0


ENROL: Final = (
    Pose(),
    Pose(yaw=0.8),
    Pose(yaw=-0.8),
    Pose(pitch=0.5),
    Pose(pitch=-0.5, smile=0.3),
    Pose(smile=0.5, side_light=0.3),
)
STREET: Final = (
    Pose(yaw=0.2, smile=0.25),
    Pose(yaw=-0.4, side_light=0.5),
    Pose(yaw=0.6, pitch=0.2),
    Pose(pitch=-0.35, side_light=-0.4),
    Pose(yaw=-0.7, smile=0.2),
    Pose(yaw=0.35, side_light=-0.6),
    Pose(pitch=0.35, smile=-0.2),
    Pose(yaw=-0.25, brightness=-0.5),
    Pose(yaw=0.9, smile=0.15),
    Pose(yaw=-0.5, pitch=0.3, side_light=0.4),
)


class Teacher:
    """The detector and the encoder that measure a drawn face.

    Args:
        detector: YuNet, ONNX.
        encoder: an ArcFace network, ONNX, (1, 3, 112, 112) RGB in -1..1 to one embedding.
    """

    def __init__(self, detector: Path, encoder: Path) -> None:
        import onnxruntime  # noqa: PLC0415 - only this module's user needs it

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._detector: Any = cv2.FaceDetectorYN.create(str(detector), "", (PORTRAIT_PX, PORTRAIT_PX), 0.6)
        self._encoder = onnxruntime.InferenceSession(
            str(encoder), options, providers=["CPUExecutionProvider"]
        )

    def landmarks(self, picture: Picture) -> Points | None:
        """Give the largest face's five points, or None where there is no face."""
        self._detector.setInputSize(picture.shape[1::-1])
        faces = self._detector.detect(np.ascontiguousarray(picture[..., ::-1]))[1]
        if faces is None:
            return None
        largest = max(faces, key=lambda face: float(face[2] * face[3]))
        return np.asarray(largest[4:14], np.float64).reshape(5, 2)

    def crop(self, picture: Picture, points: Points) -> Picture:
        """Warp a face onto the encoder's template, (112, 112, 3)."""
        return np.asarray(cv2.warpAffine(picture, _similarity(points, _TEMPLATE), (112, 112)), np.uint8)

    def embed(self, crop: Picture) -> Floats:
        """Give the unit embedding of a crop."""
        tensor = ((crop.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[None]
        (name,) = (given.name for given in self._encoder.get_inputs())
        embedding = np.asarray(self._encoder.run(None, {name: tensor})[0][0], np.float32)
        return embedding / np.linalg.norm(embedding)


def measure(points: Points, crop: Picture) -> NDArray[np.float64]:
    """Give the `MEASURES` of one face, (5,), as plain ratios; only their differences matter."""
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    apart = float(np.hypot(*(right_eye - left_eye)))
    across = (right_eye - left_eye) / apart
    down = np.array([-across[1], across[0]])
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    luma = crop.astype(np.float64).mean(axis=2)
    left_cheek, right_cheek = luma[50:90, 20:50].mean(), luma[50:90, 62:92].mean()
    return np.array(
        [
            (nose - eyes) @ across / apart,
            ((nose - eyes) @ down) / ((mouth - eyes) @ down),
            (right_mouth - left_mouth) @ across / apart,
            (left_cheek - right_cheek) / luma.mean(),
            luma[30:100, 25:87].mean(),
        ]
    )


def learn(generator: Generator, teacher: Teacher) -> Floats:
    """Give one direction a measure, (5, 512): one step changes it by one deviation and the others not at all.

    The style is whitened over its leading principal components; ridge regression gives each measure's
    gradient there, and the pseudo-inverse of the gradients makes the steps independent of each other.
    """
    population = generator.styles(np.random.default_rng(5), 6000)
    mean = population.mean(axis=0)
    _, singular, axes = np.linalg.svd(population - mean, full_matrices=False)
    deviation, axes = singular[:_COMPONENTS] / np.sqrt(len(population)), axes[:_COMPONENTS]
    whitened, measured = [], []
    for number in range(SAMPLES):
        style = base_style(generator, number)
        picture = portrait(generator.draw(style))
        points = teacher.landmarks(picture)
        if points is not None:
            whitened.append((style - mean) @ axes.T / deviation)
            measured.append(measure(points, teacher.crop(picture, points)))
    z = np.array(whitened, np.float64)  # (n, components)
    y = np.array(measured)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    gradients = np.linalg.solve(z.T @ z + _RIDGE * np.eye(_COMPONENTS), z.T @ y)  # (components, 5)
    steps = np.linalg.pinv(gradients)  # (5, components)
    return np.asarray((steps * deviation) @ axes, np.float32)


def base_style(generator: Generator, number: int) -> Style:
    """Give the style (512,) of person `number`."""
    return np.asarray(generator.styles(np.random.default_rng(_SEED + number), 1)[0], np.float32)


_ROWS: Final = {
    "yaw": (0, 10),
    "pitch": (0, 10),
    "smile": (2, 10),
    "side_light": (4, 16),
    "brightness": (6, LAYERS),
}
"""Which layers each direction moves: shape is made early, light late; fewer layers keep more identity."""


def posed(style: Style, pose: Pose, directions: Floats, strength: float = 1.0) -> Style:
    """Give the style of a person in a pose, (23, 512)."""
    rows = np.tile(style, (LAYERS, 1))
    for name, direction in zip(MEASURES, directions, strict=True):
        first, last = _ROWS[name]
        rows[first:last] += np.float32(strength * getattr(pose, name)) * direction
    return rows


def portrait(picture: Picture, side_px: int = PORTRAIT_PX) -> Picture:
    """Shrink a drawn picture to a portrait."""
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)


def opacities(views: Sequence[tuple[Picture, Points]]) -> list[NDArray[np.uint8]]:
    """Cut one person out of all their pictures: (H, W) uint8 opacity each.

    GrabCut (Rother et al. 2004) on all pictures side by side, so that hair counts as hair in each of them,
    then a guided filter (He et al. 2010) that lets single hairs through.
    """
    pictures = np.hstack([picture for picture, _ in views])
    trimaps = np.hstack([_trimap(picture.shape[:2], points) for picture, points in views])
    cv2.setRNGSeed(1)
    cv2.grabCut(
        np.ascontiguousarray(pictures[..., ::-1]),
        trimaps,
        (0, 0, 0, 0),  # unused: the trimap says where to begin
        np.zeros((1, 65)),
        np.zeros((1, 65)),
        6,
        cv2.GC_INIT_WITH_MASK,
    )
    cut = []
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    for trimap, (picture, points) in zip(np.hsplit(trimaps, len(views)), views, strict=True):
        mask = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
        mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc), np.uint8)
        _, labels = cv2.connectedComponents(mask)
        x, y = points[:2].mean(axis=0).astype(int)
        mask = (labels == labels[y, x]).astype(np.uint8)
        mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, disc), np.uint8)
        mask = np.asarray(cv2.erode(mask, np.ones((2, 2), np.uint8)), np.uint8)
        guide = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32) / np.float32(255)
        soft = _guided(guide, mask.astype(np.float32), radius_px=4, smoothness=1e-3)
        cut.append(np.asarray(np.clip((soft * 1.1 - 0.05) * 255 + 0.5, 0, 255), np.uint8))
    return cut


def _trimap(shape: tuple[int, ...], points: Points) -> NDArray[np.uint8]:
    """Give where GrabCut begins: certainly a face, perhaps hair and shoulders, certainly background."""
    left_eye, right_eye, nose = points[:3]
    middle, apart = (left_eye + right_eye) / 2, np.hypot(*(right_eye - left_eye))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    x, y = (columns - middle[0]) / apart, (rows - middle[1]) / apart  # in eye distances from between the eyes
    # The skull's middle lies opposite to where the nose points.
    head_x = x + 0.55 * (nose - middle)[0] / apart
    trimap = np.full(shape[:2], cv2.GC_PR_BGD, np.uint8)
    trimap[(head_x / 1.6) ** 2 + ((y - 0.35) / 2.1) ** 2 < 1] = cv2.GC_PR_FGD
    trimap[(y > 1.45) & (np.abs(head_x) < 0.9 + 1.1 * np.clip((y - 1.45) / 0.7, 0, 1))] = cv2.GC_PR_FGD
    head = (head_x / 0.84) ** 2 + ((y - 0.08) / 1.5) ** 2 < 1
    trimap[head | ((np.abs(x) < 0.45) & (y > 0.5))] = cv2.GC_FGD
    corner = (np.abs(head_x) > 1.6 - 0.35 * np.clip(-0.6 - y, 0, 1)) & (y < -0.6)
    trimap[(y < -2.0) | corner | ((np.abs(head_x) > 2.1) & (y < 1.2))] = cv2.GC_BGD
    return trimap


def rebuild(generator: Generator, teacher: Teacher, directions: Floats, out: Path) -> None:
    """Write every person's pictures, `index.json`, and print how alike they are."""
    cast: list[tuple[str, int, bool, tuple[Pose, ...]]] = [
        (name, number, True, (*ENROL, *STREET)) for name, number in RESIDENTS.items()
    ]
    cast += [
        (f"stranger-{place:02d}", number, False, STREET[:4])
        for place, number in enumerate(STRANGERS, start=1)
    ]
    listed, means = [], []
    for name, number, is_resident, poses in cast:
        drawn = [_draw(generator, teacher, directions, number, pose) for pose in poses]
        mean = _unit(np.mean([view[2] for view in drawn], axis=0))
        for place, pose in enumerate(poses):
            for strength in (0.5, 0.25):
                if float(drawn[place][2] @ mean) < SAME_PERSON + 0.02:
                    drawn[place] = _draw(generator, teacher, directions, number, pose, strength)
        mean = _unit(np.mean([view[2] for view in drawn], axis=0))
        cosines = [float(view[2] @ mean) for view in drawn]
        print(
            f"{name}: seed {_SEED + number}, cosine to mean {min(cosines):.2f}..{max(cosines):.2f}",
            flush=True,
        )
        enrols = len(poses) - len(STREET) if is_resident else 0
        folder = out / name
        views = [_save(folder / f"enrol-{place:02d}.webp", view) for place, view in enumerate(drawn[:enrols])]
        street = drawn[enrols:]
        cut = opacities([(picture, points) for picture, points, _ in street])
        views += [
            _save(folder / f"street-{place:02d}.webp", view, opacity)
            for place, (view, opacity) in enumerate(zip(street, cut, strict=True))
        ]
        listed.append({"name": name, "resident": is_resident, "views": views})
        means.append(mean)
    between = (np.array(means) @ np.array(means).T)[np.triu_indices(len(means), 1)]
    print(f"between people: {between.max():.2f} at most, {between.mean():.2f} on average")
    index = json.dumps({"people": listed}, indent=1) + "\n"
    (out / "index.json").write_text(index, encoding="utf-8")


_View = tuple[Picture, Points, Floats]


def _draw(
    generator: Generator, teacher: Teacher, directions: Floats, number: int, pose: Pose, strength: float = 1.0
) -> _View:
    picture = portrait(generator.draw(posed(base_style(generator, number), pose, directions, strength)))
    points = teacher.landmarks(picture)
    if points is None:
        raise ValueError(f"person {number}: no face in {pose}; choose another seed")
    return picture, points, teacher.embed(teacher.crop(picture, points))


def _save(path: Path, view: _View, opacity: NDArray[np.uint8] | None = None) -> dict[str, object]:
    """Write one picture; give its entry in the index."""
    picture, points, _ = view
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    if opacity is not None:
        pixels = np.dstack([pixels, opacity])
    if not cv2.imwrite(str(path), pixels, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]):
        raise OSError(f"{path}: cannot be written")
    return {"file": path.name, "eyes_px": [[round(float(v), 1) for v in eye] for eye in points[:2]]}


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def _similarity(source: Points, target: Points) -> NDArray[np.float64]:
    """Give the least-squares similarity transform (2, 3) from one set of points to another (Umeyama 1991)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    s, t = source - source_mean, target - target_mean
    cosine, sine = (s * t).sum(), (s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()
    turn = np.array([[cosine, -sine], [sine, cosine]]) / (s**2).sum()
    return np.column_stack([turn, target_mean - turn @ source_mean])


def _guided(guide: Floats, mask: Floats, *, radius_px: int, smoothness: float) -> Floats:
    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, (2 * radius_px + 1, 2 * radius_px + 1)), np.float32)

    guide_mean, mask_mean = mean(guide), mean(mask)
    slope = (mean(guide * mask) - guide_mean * mask_mean) / (mean(guide * guide) - guide_mean**2 + smoothness)
    return mean(slope) * guide + mean(mask_mean - slope * guide_mean)


def main(arguments: Sequence[str] | None = None) -> None:
    """Rebuild the demo's portraits."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--wheel", type=Path, required=True, help="the unpacked wheel random-face==2021.7.21.1"
    )
    parser.add_argument("--detector", type=Path, required=True, help="YuNet, ONNX")
    parser.add_argument("--encoder", type=Path, required=True, help="ArcFace network, ONNX, 112 x 112")
    parser.add_argument("--out", type=Path, required=True, help="folder of the portraits")
    parser.add_argument("--directions", type=Path, default=Path(__file__).with_name("demo_directions.npz"))
    parser.add_argument(
        "--learn", action="store_true", help="learn the directions again first (several minutes)"
    )
    given = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    generator, teacher = Generator(given.wheel), Teacher(given.detector, given.encoder)
    if given.learn:
        np.savez_compressed(given.directions, directions=learn(generator, teacher))
    directions = np.asarray(np.load(given.directions)["directions"], np.float32)
    if directions.shape != (len(MEASURES), STYLE_DIM):
        raise ValueError(
            f"{given.directions}: expected {(len(MEASURES), STYLE_DIM)}, found {directions.shape}"
        )
    rebuild(generator, teacher, directions, given.out)


if __name__ == "__main__":
    main()
