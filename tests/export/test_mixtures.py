"""Faces mixed of two, and what teachers say of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from janusd_export.errors import ExportError
from janusd_export.faces import mixtures as mixing
from janusd_export.faces.cache import Faces
from janusd_export.faces.layout import stored_template
from janusd_export.faces.mixtures import BLOCK, Mixtures, ask_about_mixtures, opinions_of_mixtures
from janusd_export.faces.teachers import ARCFACE, RETAIL

MARGIN = 16
SIDE = 144
TEMPLATE = stored_template(MARGIN)


def faces(*pictures: NDArray[np.uint8]) -> Faces:
    count = len(pictures)
    return Faces(
        pixels=np.stack(pictures),
        landmarks_px=np.stack([TEMPLATE] * count),
        is_found=np.ones(count, np.bool_),
        person=np.full(count, -1, np.int32),
        teachers=[],
        teacher_names=(),
        is_dropped=np.zeros(count, np.bool_),
    )


def plain(red: int, green: int, blue: int) -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), (red, green, blue), np.uint8)


def patterned(seed: int) -> NDArray[np.uint8]:
    few = np.random.default_rng(seed).uniform(0, 255, (9, 9, 3)).astype(np.uint8)
    return cv2.resize(few, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def mixtures(count: int = 4, rows: list[int] | None = None, seed: int = 1) -> Mixtures:
    chosen = np.array(range(count) if rows is None else rows, np.intp)
    return Mixtures(faces(*(patterned(k) for k in range(count))), chosen, seed, MARGIN)


def test_a_mixture_is_the_same_each_time_and_unlike_the_next() -> None:
    one, again = mixtures()[7], mixtures()[7]
    assert np.array_equal(one[0], again[0])
    assert np.array_equal(one[1], again[1])
    assert not np.array_equal(one[0], mixtures()[8][0])
    assert not np.array_equal(one[0], mixtures(seed=2)[7][0])


def test_only_the_given_rows_are_mixed() -> None:
    """A face that may not be learnt from is in no mixture: here it is the only red one."""
    pictures = faces(plain(0, 90, 90), plain(0, 200, 40), plain(255, 0, 0))
    mixed = Mixtures(pictures, np.array([0, 1], np.intp), 3, MARGIN)
    assert all(mixed[k][0][..., 0].max() == 0 for k in range(40))
    everybody = Mixtures(pictures, np.array([0, 1, 2], np.intp), 3, MARGIN)
    assert any(everybody[k][0][..., 0].max() > 100 for k in range(40))


def test_a_face_mixed_with_itself_is_itself_but_for_the_bend() -> None:
    alone = mixtures(1)
    gaps = [float(np.abs(alone[k][0].astype(int) - alone.faces.pixels[0]).mean()) for k in range(40)]
    assert sum(gap < 1.0 for gap in gaps) > 5
    assert sum(gap > 2.0 for gap in gaps) > 5


def test_a_bent_face_keeps_its_points_where_it_says() -> None:
    """Five dots at the landmarks are found at the landmarks that come back, and those near the template."""
    dotted = np.zeros((SIDE, SIDE, 3), np.uint8)
    for x, y in TEMPLATE:
        cv2.circle(dotted, (round(float(x)), round(float(y))), 3, (255, 255, 255), -1)
    for seed in range(20):
        bent, points = mixing._bend(np.random.default_rng(seed), dotted, TEMPLATE, TEMPLATE)
        assert np.abs(points - TEMPLATE).max() < 8.0
        for x, y in points:
            near = bent[round(float(y)) - 2 : round(float(y)) + 3, round(float(x)) - 2 : round(float(x)) + 3]
            assert near.mean() > 120.0


class FakeTeacher:
    """Has the mean of each row of pixels for an opinion; counts how many faces it was shown."""

    shown = 0

    def __init__(self, teacher: object, folder: Path) -> None:
        self._dimensions = getattr(teacher, "dimensions")  # noqa: B009  # any teacher

    def embed(self, block: NDArray[np.uint8], margin_px: int, *, both_views: bool) -> NDArray[np.float32]:
        assert margin_px == MARGIN
        assert not both_views
        FakeTeacher.shown += len(block)
        rows = block.reshape(len(block), -1)[:, : self._dimensions]
        return rows.astype(np.float32)


def test_what_was_asked_is_kept_and_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixing, "OpenTeacher", FakeTeacher)
    monkeypatch.setattr(FakeTeacher, "shown", 0)
    mixed, both = mixtures(), (ARCFACE, RETAIL)
    ask_about_mixtures(tmp_path, tmp_path, mixed, both, 5)
    ask_about_mixtures(tmp_path, tmp_path, mixed, both, 9)
    assert FakeTeacher.shown == 18
    told = opinions_of_mixtures(tmp_path, mixed, [t.name for t in both], 9)
    assert [t.shape for t in told] == [(9, 512), (9, 256)]
    assert np.array_equal(told[0][8], mixed[8][0].reshape(-1)[:512].astype(np.float32))


class Inline:
    """A process pool in this process."""

    def __init__(self, jobs: int, start: Callable[..., object], *given: object) -> None:
        assert jobs == 3
        start(*given)
        self.map = map

    def __enter__(self) -> Inline:
        return self

    def __exit__(self, *error: object) -> None:
        pass


def test_several_who_ask_are_told_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed, count = mixtures(), BLOCK + 3
    monkeypatch.setattr(mixing, "OpenTeacher", FakeTeacher)
    monkeypatch.setattr(mixing.workers, "pool", Inline)
    monkeypatch.setattr(mixing, "open_faces", lambda folder, margin_px, teachers: mixed.faces)
    told = []
    for jobs in (1, 3):
        folder = tmp_path / str(jobs)
        folder.mkdir()
        ask_about_mixtures(folder, tmp_path, mixed, [RETAIL], count, jobs=jobs)
        told += opinions_of_mixtures(folder, mixed, [RETAIL.name], count)
    assert np.array_equal(*told)


def test_mixtures_that_are_missing_too_few_or_of_other_faces_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixing, "OpenTeacher", FakeTeacher)
    mixed, names = mixtures(), [ARCFACE.name]
    with pytest.raises(ExportError, match=r"holds no mixtures.*janus-export mix"):
        opinions_of_mixtures(tmp_path, mixed, names, 3)
    ask_about_mixtures(tmp_path, tmp_path, mixed, [ARCFACE], 3)
    with pytest.raises(ExportError, match="has 3 of 4 mixtures"):
        opinions_of_mixtures(tmp_path, mixed, names, 4)
    with pytest.raises(ExportError, match="other faces"):
        opinions_of_mixtures(tmp_path, mixtures(rows=[0, 1]), names, 3)
    with pytest.raises(ExportError, match=r"delete .*mixtures"):
        ask_about_mixtures(tmp_path, tmp_path, mixtures(seed=2), [ARCFACE], 3)
