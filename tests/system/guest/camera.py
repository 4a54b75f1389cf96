"""Shows pictures to a v4l2loopback node: `camera.py NODE`, those of the folder that /run/rig/show names.

An empty or missing name shows an empty street. Every picture gets noise of its own, as a sensor gives it: a
camera that shows the very same bytes twice is a frozen one. Once all were shown they come in any order: one
that shows the same course again is a looped one.
"""

from __future__ import annotations

import fcntl
import struct
import sys
import time
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, FPS = 640, 480, 8
VIDIOC_S_FMT, OUTPUT, YUYV = 0xC0D05605, 2, 0x56595559
SHOW = Path("/run/rig/show")


def pictures(name: str) -> list[np.ndarray]:
    folder = Path("/rig/people") / (name or "nobody")
    return [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))]


def main() -> None:
    with open(sys.argv[1], "wb", buffering=0) as node:  # noqa: PTH123 - a device
        asked = bytearray(208)
        struct.pack_into("I", asked, 0, OUTPUT)
        struct.pack_into("IIIIIII", asked, 8, WIDTH, HEIGHT, YUYV, 1, 2 * WIDTH, 2 * WIDTH * HEIGHT, 8)
        fcntl.ioctl(node, VIDIOC_S_FMT, asked)
        rng = np.random.default_rng()
        noise = rng.integers(-3, 4, (2 * HEIGHT, 2 * WIDTH, 1), np.int16)
        shown, street, number = None, [], 0
        while True:
            wanted = SHOW.read_text().strip() if SHOW.exists() else ""
            if wanted != shown:
                shown, street, number = wanted, pictures(wanted), 0
            y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
            at = number if number < len(street) else rng.integers(len(street))
            picture = street[at] + noise[y : y + HEIGHT, x : x + WIDTH]
            frame = cv2.cvtColor(np.clip(picture, 0, 255).astype(np.uint8), cv2.COLOR_BGR2YUV_YUYV)
            node.write(frame.tobytes())
            number += 1
            time.sleep(1 / FPS)


if __name__ == "__main__":
    main()
