"""A real V4L2 camera, as the kernel makes it: vivid, in a kernel of its own (`support.small_kernel`).

Not proven: USB, MJPEG, a sensor's own way to fail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.small_kernel import boot, needs_kernel

_BUFFERS = ("common", "v4l2", "memops", "vmalloc", "dma-contig")
NEEDED = (*(f"videobuf2-{part}" for part in _BUFFERS), "font", "v4l2-tpg", "vivid")
"""In the order of loading."""

pytestmark = [pytest.mark.slow, needs_kernel]


@pytest.fixture(scope="module")
def said() -> list[dict[str, Any]]:
    """What the program in the kernel printed."""
    return boot(Path(__file__).with_name("in_kernel_camera.py"), NEEDED, memory_mb=384)


def one(said: list[dict[str, Any]], key: str, value: object = None) -> dict[str, Any]:
    fitting = [line for line in said if key in line and (value is None or line[key] == value)]
    assert fitting, said
    return fitting[0]


def test_it_ran_to_its_end(said: list[dict[str, Any]]) -> None:
    assert "error" not in "".join(key for line in said if "what" not in line for key in line), said
    assert one(said, "done")


def test_the_camera_says_who_it_is_and_another_is_refused(said: list[dict[str, Any]]) -> None:
    assert one(said, "identity")["identity"] == "vivid @ platform:vivid-000"
    assert "is no camera of this board" in one(said, "played")["played"]
    assert "another camera: vivid @ platform:vivid-000, not another" in one(said, "refused")["refused"]


def test_its_frames_are_whole_fresh_and_in_order(said: list[dict[str, Any]]) -> None:
    frames = one(said, "shape")
    assert (frames["shape"], frames["rising"]) == ([480, 640, 3], True)
    assert frames["oldest_ms"] < 500
    print(f"\nvivid: {frames['fps']:.1f} frames a second of 15 asked for")


@pytest.mark.parametrize("what", ["frozen", "unplugged"])
def test_it_is_told_within_two_seconds_when_it_is(said: list[dict[str, Any]], what: str) -> None:
    told = one(said, "what", what)
    print(f"\n{what}: told after {told['after_s']:.2f} s, {told['passed']} frames passed: {told['error']}")
    assert told["after_s"] < 2.0 + 1.0  # the machine may be busy
    assert told["passed"] <= 3  # those in the driver's buffers from before


def test_it_is_opened_again_after_it_was_frozen(said: list[dict[str, Any]]) -> None:
    assert one(said, "recovered")["recovered"] == [480, 640, 3]
