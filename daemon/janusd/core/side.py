"""The sides of a face that an enrolment asks for."""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Which side of a face a sample shows, as the person would say it."""

    FRONT = "front"
    LEFT = "left"
    RIGHT = "right"
    UP = "up"
    DOWN = "down"
