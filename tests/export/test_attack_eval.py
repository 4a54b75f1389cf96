"""janus-export attack-eval: simulated species are labelled, clips are played at the real policy."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.pipeline import Pipeline
from janusd_export.attacks import answers, heads
from janusd_export.errors import ExportError
from janusd_export.evaluation import attack_eval
from janusd_export.main import main
from janusd_export.verbs.attack_eval import _entry, _lines
from janusd_hw.fakes import SPEC, PaintedDetector, PaintedEncoder, paint


def quiet(part: str, done: int, total: int) -> None:
    """No bars."""


def painted() -> Pipeline:
    return Pipeline(PaintedDetector(), PaintedEncoder(), SPEC)


def write(folder: Path, pictures: list[np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"{number:03d}.png"), picture[..., ::-1])


def test_no_clip_of_a_still_picture_is_called_live_and_a_looped_one_opens_nothing(tmp_path: Path) -> None:
    write(tmp_path / "looped" / "one", [paint("a")] * 15)
    write(tmp_path / "photograph" / "one", [paint("a", seed=n) for n in range(15)])
    looped, photograph = attack_eval.clips(tmp_path, painted(), None, quiet)
    assert looped.passed == {"live": 0, "opens passive": 0, "opens live": 0}
    assert looped.reasons == {"frozen": 1}
    assert photograph.passed == {"live": 0, "opens passive": 1, "opens live": 0}


def test_genuine_clips_count_as_refusals(tmp_path: Path) -> None:
    write(tmp_path / "genuine" / "one", [paint("a", seed=n) for n in range(15)])
    (row,) = attack_eval.clips(tmp_path, painted(), None, quiet)
    assert (row.rate_name, row.errors("opens live"), row.errors("opens passive")) == ("BPCER", 1, 0)


def test_what_cannot_be_played_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is no folder"):
        list(attack_eval.clips(tmp_path / "none", painted(), None, quiet))
    (tmp_path / "print").mkdir()
    with pytest.raises(ExportError, match="holds no clip"):
        list(attack_eval.clips(tmp_path, painted(), None, quiet))
    (tmp_path / "print" / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(ExportError, match="clip"):
        list(attack_eval.clips(tmp_path, painted(), None, quiet))


def test_a_file_that_is_no_clip_is_named_and_costs_the_others_nothing(tmp_path: Path) -> None:
    write(tmp_path / "print" / "one", [paint("a", seed=n) for n in range(12)])
    write(tmp_path / "print" / "wall", [np.full((240, 320, 3), 90, np.uint8)] * 3)
    (tmp_path / "print" / "notes.mp4").write_bytes(b"no video")
    (row,) = attack_eval.clips(tmp_path, painted(), None, quiet)
    assert row.trials == 2
    assert [(one.clip, one.faces, one.frames) for one in row.clips] == [("one", 12, 12), ("wall", 0, 3)]
    assert row.clips[0].passed == ("opens passive",)
    assert "notes.mp4" in row.unplayed[0]
    lines = _lines(row, "recorded")
    assert any("print/wall: refused; a face in 0 of 3 frames; said: no_face" in line for line in lines)
    assert any("not counted" in line for line in lines)


CODED = [
    ("mp4", "mp4v"), ("mov", "MJPG"), ("m4v", "mp4v"), ("avi", "MJPG"), ("avi", "XVID"), ("avi", "FFV1"),
    ("mkv", "VP90"), ("mkv", "FFV1"), ("webm", "VP80"), ("mpg", "mpg2"), ("ts", "mpg2"), ("wmv", "WMV2"),
    ("flv", "FLV1"), ("3gp", "mp4v"), ("y4m", "I420"),
]  # fmt: skip
"""Containers and codecs that OpenCV's own FFmpeg writes; H.264, which it only reads, is not among them."""


@pytest.mark.parametrize(("ending", "codec"), CODED, ids=["-".join(one) for one in CODED])
def test_a_clip_of_any_format_is_played_whole(tmp_path: Path, ending: str, codec: str) -> None:
    (tmp_path / "print").mkdir()
    path = str(tmp_path / "print" / f"clip.{ending}")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*codec), 10.0, (320, 240))
    if not writer.isOpened():
        pytest.skip(f"OpenCV here writes no {ending} coded as {codec}")
    for number in range(12):
        writer.write(paint("a", seed=number)[..., ::-1])
    writer.release()
    (row,) = attack_eval.clips(tmp_path, painted(), None, quiet)
    assert (row.trials, row.faceless, row.unplayed) == (1, 0, [])
    assert (row.clips[0].frames, row.clips[0].faces) == (12, 12)
    assert "live" not in row.clips[0].passed


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "ppm"])
def test_a_clip_may_be_a_folder_of_pictures_or_one_picture(tmp_path: Path, ending: str) -> None:
    (tmp_path / "print" / "clip").mkdir(parents=True)
    for number in range(12):
        path = tmp_path / "print" / "clip" / f"{number:02d}.{ending}"
        cv2.imwrite(str(path), paint("a", seed=number)[..., ::-1])
    cv2.imwrite(str(tmp_path / "print" / f"photograph.{ending}"), paint("a")[..., ::-1])
    (row,) = attack_eval.clips(tmp_path, painted(), None, quiet)
    assert [(one.clip, one.frames, one.faces) for one in row.clips] == [
        ("clip", 12, 12), (f"photograph.{ending}", 1, 1),
    ]  # fmt: skip
    assert row.passed["live"] == 0


def test_a_clip_without_a_face_is_refused_and_named(tmp_path: Path) -> None:
    write(tmp_path / "print" / "wall", [np.full((240, 320, 3), 90, np.uint8)] * 3)
    write(tmp_path / "genuine" / "wall", [np.full((240, 320, 3), 90, np.uint8)] * 3)
    genuine, print_ = attack_eval.clips(tmp_path, painted(), None, quiet)
    assert (print_.faceless, print_.trials, print_.errors("opens passive")) == (1, 1, 0)
    assert (genuine.faceless, genuine.trials, genuine.errors("opens passive")) == (1, 1, 1)
    assert any("no face in 1 of 1, which count as refused" in line for line in _lines(print_, "recorded"))
    assert _entry(print_, "recorded")["faceless"] == 1


def test_every_line_of_a_simulation_says_so() -> None:
    row = attack_eval.Row("landmarks", "flat print", True, True, 40, {"live": 1}, {"flat": 3})
    lines = _lines(row, "SIMULATED")
    assert len(lines) == 2
    assert all(line.startswith("SIMULATED") for line in lines)
    assert "APCER   2.5% [0.1%, 13.2%]  1 of 40" in lines[0]


def test_a_line_says_whether_bounds_were_chosen_on_it() -> None:
    one = attack_eval.Row("films", "one still, looped", True, trials=2, passed={"live": 0})
    assert "looped, development" in _lines(one, "SIMULATED")[0]
    one.is_held_out = True
    assert "looped, held out" in _lines(one, "SIMULATED")[0]


@pytest.mark.parametrize("name", ["flat print, waved", "still in a film"])
def test_flat_things_are_not_called_live(name: str) -> None:
    rng, setting = np.random.default_rng(3), heads.Setting()
    assert not any(
        attack_eval._is_called_live(heads.DEVELOPMENT[name](rng, setting), setting) for _ in range(8)
    )


def test_somebody_who_turns_is_called_live_and_answers_a_challenge() -> None:
    rng, setting = np.random.default_rng(3), heads.Setting()
    assert all(attack_eval._is_called_live(heads.genuine(rng, setting), setting) for _ in range(4))
    quick = heads.Setting(fps=15.0)
    assert all(answers.answered(answers.resident, rng, quick) for _ in range(4))
    assert not any(answers.answered(answers.followed_print, rng, quick) for _ in range(4))


def test_clips_or_a_simulation_and_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attack-eval"]) == 1
    said = "give a folder of clips, or --simulated: see janus-export attack-eval --help"
    assert capsys.readouterr().err == f"janus-export: {said}\n"
    assert main(["attack-eval", "/nowhere"]) == 1
    assert "janus-export: /nowhere is no folder: name one" in capsys.readouterr().err
