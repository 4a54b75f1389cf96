"""A face of nobody, drawn with ellipses: enough of one for MTCNN to find, and its landmarks are known."""

from __future__ import annotations

import cv2
import numpy as np

from janusd.core.types import Image, Points

GREY = 150
_LANDMARKS = np.array([[-22, -12], [22, -12], [0, 12], [-17, 36], [17, 36]], np.float32)


def street(height: int = 480, width: int = 640) -> Image:
    """Nobody there."""
    return np.full((height, width, 3), GREY, np.uint8)


def draw_face(image: Image, x: float, y: float, width: float) -> Points:
    """Draw a face `width` pixels wide about (x, y), in place; where its landmarks are."""
    unit = width / 100

    def ellipse(dx: float, dy: float, a: float, b: float, rgb: tuple[int, int, int]) -> None:
        centre = round((x + dx * unit) * 16), round((y + dy * unit) * 16)  # 4 bits after the point
        cv2.ellipse(
            image, centre, (round(a * unit * 16), round(b * unit * 16)), 0, 0, 360, rgb, -1, cv2.LINE_AA, 4
        )

    ellipse(0, -12, 56, 72, (60, 40, 30))  # hair
    ellipse(0, 60, 24, 40, (190, 140, 115))  # neck
    ellipse(0, 0, 50, 66, (222, 172, 145))  # skin
    for side in (-1, 1):
        ellipse(side * 22, -14, 13, 8, (190, 140, 118))  # socket
        ellipse(side * 22, -24, 14, 3, (70, 45, 35))  # brow
        ellipse(side * 22, -12, 10, 5, (240, 235, 230))  # eyeball
        ellipse(side * 22, -12, 5, 5, (50, 30, 20))  # iris
        ellipse(side * 7, 17, 4, 2.5, (150, 95, 80))  # nostril
    ellipse(0, 4, 5, 16, (235, 190, 165))  # bridge of the nose
    ellipse(0, 14, 9, 6, (232, 180, 155))  # its tip
    ellipse(0, 36, 18, 6, (180, 85, 85))  # lips
    ellipse(0, 35, 17, 1, (110, 50, 50))  # between them
    return _LANDMARKS * unit + np.array([x, y], np.float32)
