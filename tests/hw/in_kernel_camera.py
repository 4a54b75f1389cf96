"""Runs as the first process of a small kernel that has vivid: the kernel's own test camera, on real V4L2.

`test_camera_kernel.py` boots it; every line it prints that begins with "JANUS " is a JSON object.
"""

from __future__ import annotations

import fcntl
import struct
import sys
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.first_process import insert, modules, run, say

QUERYCTRL, S_CTRL = 0xC0445624, 0xC008561C
NEXT_CTRL = 0x8000_0000
FRAMES = 30


def controls(device: str) -> dict[str, int]:
    """Name -> number of each of vivid's controls."""
    found, number = {}, NEXT_CTRL
    with Path(device).open("rb") as file:
        while True:
            answer = bytearray(struct.pack("I64x", number))
            try:
                fcntl.ioctl(file, QUERYCTRL, answer)
            except OSError:
                return found
            at, _, name = struct.unpack_from("II32s", answer)
            found[name.partition(b"\0")[0].decode()] = at
            number = at | NEXT_CTRL


def turn(device: str, control: int, value: int) -> None:
    with Path(device).open("rb") as file:
        fcntl.ioctl(file, S_CTRL, struct.pack("Ii", control, value))


def main() -> None:
    for module in modules():
        insert(module, "n_devs=1 node_types=0x1 num_inputs=1 input_types=0" if "vivid" in module else "")
    from janusd.errors import CameraError  # noqa: PLC0415 - after the mounts
    from janusd_hw import v4l2  # noqa: PLC0415
    from janusd_hw.camera_opencv import OpenCvCamera  # noqa: PLC0415
    from janusd_hw.camera_watch import CameraWatch  # noqa: PLC0415
    from janusd_hw.clock import boottime_s  # noqa: PLC0415

    ((device, who),) = v4l2.list_cameras().items()
    say(device=device, identity=who)
    try:
        next(OpenCvCamera(device).frames())
    except CameraError as error:
        say(played=str(error))
    try:
        next(OpenCvCamera(device, identity="another", is_insecure=True).frames())
    except CameraError as error:
        say(refused=str(error))
    known = controls(device)

    def watch() -> CameraWatch:
        return CameraWatch(
            lambda: OpenCvCamera(
                device, width=640, height=480, fps=15, pixels="yuyv", identity=who, is_insecure=True
            ),
            fps=15,
        )

    camera = watch().open()
    frames = camera.frames()
    taken = [next(frames) for _ in range(FRAMES)]
    times = [frame.captured_s for frame in taken]
    say(
        shape=taken[-1].image.shape,
        rising=all(a < b for a, b in pairwise(times)),
        fps=(len(times) - 1) / (times[-1] - times[0]),
        oldest_ms=1000 * (boottime_s() - times[-1]),
    )

    def told_after(what: str, control: str, value: int) -> None:
        start_s, passed = time.monotonic(), 0
        turn(device, known[control], value)
        try:
            for _ in frames:
                passed += 1
        except CameraError as error:
            say(what=what, after_s=time.monotonic() - start_s, passed=passed, error=str(error))

    told_after("frozen", "OSD Text Mode", 2)  # nothing in the picture moves any more
    turn(device, known["OSD Text Mode"], 0)
    frames = watch().open().frames()
    say(recovered=next(frames).image.shape)
    told_after("unplugged", "Disconnect", 1)


if __name__ == "__main__":
    run(main)
