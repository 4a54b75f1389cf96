"""Makes the film that libcamera's virtual camera shows: `film.py NAME`, of that person's pictures.

Each picture has noise of its own, and they come in any order: `camera.py` says why. libcamera keeps three
copies of all, so a film is short: after 25 seconds it begins again, and janusd calls it a loop.

"Virtual0" shows it; "Virtual1" shows colour bars. picamera2 counts cameras from the last name to the first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from camera import pictures

PICTURES = 200
FOLDER = Path("/run/rig/film")
CAMERAS = Path("/usr/share/libcamera/pipeline/virtual/virtual.yaml")
FORMATS = """\
  supported_formats:
  - { width: 640, height: 480, frame_rates: [8, 30] }
  - { width: 320, height: 240, frame_rates: [8, 30] }
"""


def main() -> None:
    rng = np.random.default_rng()
    FOLDER.mkdir(parents=True, exist_ok=True)
    street = pictures(sys.argv[1])
    for number in range(PICTURES):
        shown = street[number] if number < len(street) else street[rng.integers(len(street))]
        noisy = shown + rng.integers(-3, 4, shown.shape, np.int16)
        cv2.imwrite(str(FOLDER / f"{number}.jpg"), np.clip(noisy, 0, 255).astype(np.uint8))
    CAMERAS.parent.mkdir(parents=True, exist_ok=True)
    CAMERAS.write_text(
        f'"Virtual0":\n{FORMATS}  frames: {{ path: "{FOLDER}/" }}\n  model: "rig-film"\n'
        f'"Virtual1":\n{FORMATS}  test_pattern: "bars"\n  model: "rig-bars"\n'
    )


if __name__ == "__main__":
    main()
