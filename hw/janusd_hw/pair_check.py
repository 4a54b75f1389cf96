"""What can be said of a pair of cameras by its frames: fresh in both, of one moment, lit by the lamp.

For `janusctl doctor` and `janusctl setup`. The frames' contents are not kept, only when they came and how
bright they were.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean, median

from janusd.core.types import Frame
from janusd.door import Finding
from janusd_hw import v4l2
from janusd_hw.clock import boottime_s
from janusd_hw.nir_lamp import NirLamp, makes_light

TOLERANCE_S = 0.04
"""A face that walks moves by some 5 cm in this time; two cameras of 25 frames a second always reach it."""
FRESH_S = 2.0
"""A camera whose last frame is older has stopped."""
_KEPT = 90
"""Frames; six seconds at fifteen a second."""
_DARK_LEVEL = 12.0
"""A mean below it: nothing lights what the infrared camera sees."""
_LOOKS_S, _SETTLES_S = 0.3, 0.15
"""For how long the lamp's light is looked at, and how long before that latchd, exposure and read-out take.
Short, since a face at the door is not seen in infrared meanwhile, and a camera soon exposes for the dark."""
_WORST_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Standing:
    """How a pair is at one moment."""

    colour_age_s: float | None
    """Since its last frame; None where none came yet."""
    infrared_age_s: float | None
    offset_s: float | None
    """By how much colour's frames come after the nearest infrared ones: the middle one of the last."""
    partnered: float
    """Part of colour's frames that had one near enough."""
    level: float | None
    """Mean of the last infrared frames, 0..255."""


class PairSeen:
    """What both cameras' frames were like. Written by the threads that take them, read by any."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        """Guards all below."""
        self._colour_s: float | None = None
        self._levels: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        """When an infrared frame was taken, and its mean."""
        self._offsets_s: deque[float] = deque(maxlen=_KEPT)
        self._partnered: deque[bool] = deque(maxlen=_KEPT)

    def infrared(self, frame: Frame) -> None:
        """Take in a frame of the second camera."""
        level = float(frame.image[::8, ::8, 1].mean()) if frame.image.ndim == 3 and frame.image.size else 0.0
        with self._guard:
            self._levels.append((frame.captured_s, level))

    def colour(self, frame: Frame, *, is_partnered: bool) -> None:
        """Take in a frame of the first camera, once it is known whether it has a partner."""
        with self._guard:
            self._colour_s = frame.captured_s
            self._partnered.append(is_partnered)
            if self._levels:
                apart = (frame.captured_s - at_s for at_s, _ in self._levels)
                self._offsets_s.append(min(apart, key=abs))

    def standing(self, now_s: float) -> Standing:
        """How it is now. `now_s` is on the clock of the frames."""
        with self._guard:
            recent = [level for at_s, level in self._levels if now_s - at_s <= FRESH_S]
            return Standing(
                None if self._colour_s is None else now_s - self._colour_s,
                now_s - self._levels[-1][0] if self._levels else None,
                median(self._offsets_s) if self._offsets_s else None,
                fmean(self._partnered) if self._partnered else 0.0,
                fmean(recent) if recent else None,
            )

    def level_between(self, from_s: float, to_s: float) -> float | None:
        """The mean of the infrared frames taken in that time; None where fewer than two were."""
        with self._guard:
            levels = [level for at_s, level in self._levels if from_s <= at_s <= to_s]
        return fmean(levels) if len(levels) > 1 else None


def light_of(seen: PairSeen, lamp: NirLamp, now_s: Callable[[], float]) -> tuple[float, float] | None:
    """The infrared picture's mean level with the lamp and without; None where too few frames came to say.

    Takes about a second, and the lamp is dark for half of it. Two who ask at once are answered in turn.
    """

    def level() -> float | None:
        from_s = now_s() + _SETTLES_S
        time.sleep(_SETTLES_S + _LOOKS_S)
        return seen.level_between(from_s, now_s())

    with lamp.alone:
        lit = level()
        with lamp.darkened():
            dark = level()
    return None if lit is None or dark is None else (lit, dark)


def findings(
    seen: PairSeen,
    *,
    identity: tuple[str, str] | None,
    is_asked: bool,
    lamp: NirLamp | None,
    now_s: Callable[[], float] = boottime_s,
) -> list[Finding]:
    """What is well and what is not, in the order a person would look.

    `identity` is which second camera is there and which must be; None for a recording, which has no socket.
    `is_asked` says whether attack.nir refuses by it; `lamp` is None where it burns by itself.
    """
    standing = seen.standing(now_s())
    return [
        *([] if identity is None else [_bound(*identity)]),
        _fresh(standing),
        _of_one_moment(standing),
        _lit(seen, standing, lamp, now_s),
        _finding(
            "nir use",
            is_asked,
            "a face must be found and match there" if is_asked else "the pair is there, and refuses nobody",
            "attack.nir = true, or without the second camera: remove camera.nir_device",
            "warn",
        ),
    ]  # fmt: skip


def _bound(found: str, wanted: str) -> Finding:
    if not found:
        return Finding("nir camera", "fail", "the second camera is not there",
                       "check its cable, and camera.nir_device: `janusd --discover` lists all")  # fmt: skip
    if not wanted:
        return Finding("nir camera", "warn", f"{found}; any other is accepted too",
                       f'bind it: camera.nir_identity = "{found}"')  # fmt: skip
    return _finding(
        "nir camera", v4l2.is_that(found, wanted), f"{found}; set up for {wanted}", "see camera.nir_identity"
    )


def _fresh(standing: Standing) -> Finding:
    ages = {"colour": standing.colour_age_s, "infrared": standing.infrared_age_s}
    never = [name for name, age_s in ages.items() if age_s is None]
    old = [
        f"{name} {age_s:.1f} s ago" for name, age_s in ages.items() if age_s is not None and age_s > FRESH_S
    ]
    said = "both cameras' last frames are fresh"
    if never:
        said = f"no frame of the {' nor of the '.join(never)} camera yet"
    elif old:
        said = f"the last frame is old: {', '.join(old)}"
    return _finding(
        "nir frames", not never and not old, said,
        "check that camera's cable and supply, and `dmesg`; two on USB may need two buses, or a smaller size",
    )  # fmt: skip


def _of_one_moment(standing: Standing) -> Finding:
    if standing.offset_s is None:
        return Finding("nir skew", "warn", "not known before both cameras gave frames", "see nir frames")
    ms, share = 1000 * standing.offset_s, standing.partnered
    if abs(standing.offset_s) > TOLERANCE_S:
        return _finding(
            "nir skew", False,
            f"the cameras' frames are {abs(ms):.0f} ms apart, {1000 * TOLERANCE_S:.0f} are allowed",
            "give both the same driver, and camera.fps = 25 or more; two USB cameras may need two buses",
        )  # fmt: skip
    return _finding(
        "nir skew", share >= _WORST_SHARE,
        f"{100 * share:.0f} % of the frames have a partner, {abs(ms):.0f} ms apart in the middle",
        "set camera.fps = 25 or more, which both cameras must reach: give them light",
        "warn",
    )  # fmt: skip


def _lit(seen: PairSeen, standing: Standing, lamp: NirLamp | None, now_s: Callable[[], float]) -> Finding:
    if lamp is None:
        if standing.level is None:
            return Finding("nir lamp", "warn", "not known without infrared frames", "see nir frames")
        return _finding(
            "nir lamp", standing.level >= _DARK_LEVEL,
            f"burns by itself; mean of the infrared picture {standing.level:.0f} of 255",
            "it is dark there: check the lamp's supply, and that it points where faces are", "warn",
        )  # fmt: skip
    light = light_of(seen, lamp, now_s)
    if light is None:
        return Finding("nir lamp", "warn", "too few infrared frames to say what it does", "see nir frames")
    lit, dark = light
    return _finding(
        "nir lamp", makes_light(lit, dark),
        f"mean of the infrared picture {lit:.0f} with it, {dark:.0f} without",
        "it lights nothing: check led_nir in latch.toml, its transistor and its supply (hw/WIRING.md). By day"
        " the sun may outshine it: ask again at dusk, with somebody before the door",
    )  # fmt: skip


def _finding(check: str, is_good: bool, detail: str, remedy: str, otherwise: str = "fail") -> Finding:
    return Finding(check, "ok" if is_good else otherwise, detail, "" if is_good else remedy)
