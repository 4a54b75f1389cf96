"""Where a face lies in the pixels that a cache stores of it."""

from __future__ import annotations

import cv2
import numpy as np

from janusd.core.align import TEMPLATE
from janusd.core.types import Image, Points

PAD_PX = 40  # grey around a stored face, for a detector that wants to see more than the face


def stored_template(margin_px: int) -> Points:
    """Where the shards' own landmarks lie in a stored face: the crop template plus its margin."""
    return (TEMPLATE + margin_px).astype(np.float32)


def padded(face: Image) -> Image:
    """A stored face with grey around it."""
    grey = cv2.copyMakeBorder(
        face, PAD_PX, PAD_PX, PAD_PX, PAD_PX, cv2.BORDER_CONSTANT, value=(127, 127, 127)
    )
    return grey.astype(np.uint8, copy=False)
