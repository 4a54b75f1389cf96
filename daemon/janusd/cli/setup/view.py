"""What the camera sees, in the terminal: a still or moving picture, or words where there can be none."""

from __future__ import annotations

import binascii
import os
import select
import sys
import time
from collections.abc import Callable

from janusd.cli.setup.person import Person
from janusd.cli.setup.scout import Lamp, Pair, Picture, Scout
from janusd.cli.terminal.ability import can_draw, has_true_colour
from janusd.cli.terminal.bitmap import Bitmap
from janusd.cli.terminal.blocks import Blocks
from janusd.cli.terminal.pace import Pace
from janusd.cli.terminal.screen import Keys, Screen

_WIDTH, _HEIGHT = 64, 36
"""Of the picture that is only spoken of."""
_MOST_COLUMNS = 120
_BYTES_A_SECOND = 100_000
_LOOK_S = 0.12
_FRAME = (80, 220, 120)
_FLOOR, _CEILING = 45, 210
"""Mean luma of the whole picture beyond which a face is hardly well lit."""
_LARGE_PX = 80
"""A face so wide is near enough with some to spare."""
_DARK = 12
"""Mean luma of the infrared picture below which nothing lights it."""
_LATEST_MS = 40.0
"""Frames of both cameras further apart are not paired."""


def look_through(person: Person, scout: Scout, camera: dict[str, object]) -> None:
    """Show what the camera sees until Enter; words alone where there is no terminal. Raises JanusError."""
    try:
        first = scout.picture(camera, _WIDTH, _HEIGHT)
        if not (person.console.is_terminal and person.is_asked):
            for kind, words in verdict(first):
                person.mark(kind, words)
            return
        _live(person, scout, camera, first)
    finally:
        scout.let_go()


def look_through_pair(
    person: Person, scout: Scout, camera: dict[str, object], latch: str, door: str
) -> list[tuple[str, str]]:
    """Show what both cameras of a pair see until Enter, then try its lamp; what is to be said of all that.

    `latch` is the latch.toml that names the lamp, "" for one that burns by itself. Raises JanusError.
    """

    def look(width: int, height: int) -> Pair:
        return scout.pair(camera, latch, door, width, height)

    try:
        last = look(_WIDTH, _HEIGHT)
        if person.console.is_terminal and person.is_asked:
            drawn = can_draw(sys.stdout, os.environ)
            last = _drawn_pair(look, last) if drawn else _told_pair(person, look, last)
        lamp = scout.lamp() if latch and not last.lamp_trouble else None
    finally:
        scout.let_go()
    return pair_verdict(last, lamp)


def pair_verdict(pair: Pair, lamp: Lamp | None = None) -> list[tuple[str, str]]:
    """What is to be said of both pictures, and of the lamp where it was tried."""
    colour, infrared = pair.colour, pair.infrared
    said = [(kind, f"Colour: {words}") for kind, words in verdict(colour) if kind != "ok"]
    if infrared.brightness < _DARK:
        said.append(("warn", "Infrared: it is dark. The lamp is off, or does not reach what is there."))
    if infrared.faces:
        said.append(("ok", f"Infrared: a face, {infrared.faces[0].width_px} pixels wide."))
    elif colour.faces:
        said.append(("fail", "Infrared: no face is found there, and one in colour. Point both the same way."))
    else:
        said.append(("warn", "Infrared: no face is in it."))
    if pair.skew_ms <= _LATEST_MS:
        said.append(("ok", f"Both see the same moment, within {pair.skew_ms:.0f} ms."))
    else:
        said.append(("fail", f"Their frames are {pair.skew_ms:.0f} ms apart: set camera.fps = 25 or more."))
    if pair.lamp_trouble or (lamp is not None and lamp.trouble):
        said.append(("fail", f"The lamp: {pair.lamp_trouble or (lamp.trouble if lamp else '')}"))
    elif lamp is not None and lamp.shines:
        said.append(("ok", f"The lamp lights: {lamp.lit:.0f} of 255 with it, {lamp.dark:.0f} without."))
    elif lamp is not None:
        said.append(
            ("fail", f"The lamp lights nothing: {lamp.lit:.0f} of 255 with it, {lamp.dark:.0f} without.")
        )
    return said


def verdict(picture: Picture) -> list[tuple[str, str]]:
    """What is to be said of a picture, each well (`ok`) or worth a look (`warn`)."""
    said = [("ok", f"A picture of {picture.width_px} x {picture.height_px} pixels.")]
    if picture.brightness < _FLOOR:
        said.append(("warn", "It is dark. Faces need light from the front: a lamp above the camera."))
    elif picture.brightness > _CEILING:
        said.append(("warn", "It is very bright. Turn the camera away from the light, or shade it."))
    if not picture.faces:
        said.append(("warn", "No face is in it. Stand where visitors will stand."))
    elif len(picture.faces) > 1:
        said.append(("warn", f"{len(picture.faces)} faces are in it; the door opens for one at a time."))
    elif picture.faces[0].width_px < _LARGE_PX:
        said.append(
            (
                "warn",
                f"A face, {picture.faces[0].width_px} pixels wide: rather far away, or the camera is wide.",
            )
        )
    else:
        said.append(("ok", f"A face, {picture.faces[0].width_px} pixels wide: good."))
    return said


def _live(person: Person, scout: Scout, camera: dict[str, object], first: Picture) -> None:
    """Follow the camera until Enter, then leave the last verdict in the conversation."""
    last = (
        _drawn(scout, camera, first)
        if can_draw(sys.stdout, os.environ)
        else _told(person, scout, camera, first)
    )
    for kind, words in verdict(last):
        person.mark(kind, words)


def _told(person: Person, scout: Scout, camera: dict[str, object], picture: Picture) -> Picture:
    """In words: a line whenever there is something else to say."""
    person.say("Stand where visitors will stand. Enter goes on.", "dim")
    told = ""
    while True:
        kind, words = _summary(picture)
        if words != told:
            person.mark(kind, words)
            told = words
        if select.select([sys.stdin], [], [], _LOOK_S)[0]:
            sys.stdin.readline()
            return picture
        picture = scout.picture(camera, _WIDTH, _HEIGHT)


def _drawn(scout: Scout, camera: dict[str, object], picture: Picture) -> Picture:
    """In colours, as in a mirror, with a frame round each face."""
    with Keys(sys.stdin.fileno()) as keys, Screen(sys.stdout) as screen:
        blocks, pace = (
            Blocks(true_colour=has_true_colour(os.environ)),
            Pace(_BYTES_A_SECOND, time.monotonic()),
        )
        while True:
            if screen.take_resize():
                blocks.forget()
            height = max(4, 2 * (screen.rows - 4))
            width = min(screen.columns - 2, height * picture.width_px // picture.height_px, _MOST_COLUMNS)
            picture = scout.picture(camera, width, width * picture.height_px // picture.width_px)
            bitmap = Bitmap(picture.width, picture.height, binascii.a2b_base64(picture.rgb))
            for face in picture.faces:
                bitmap.box(face.x, face.y, face.width, face.height, _FRAME)
            drawn = blocks.update(bitmap.mirrored(), 2, 2, pace.allows(time.monotonic()))
            pace.spend(len(drawn.encode()))
            screen.write(drawn)
            kind, words = _summary(picture)
            screen.line(screen.rows - 1, f" {words}", "1;32" if kind == "ok" else "1;33")
            screen.line(screen.rows, " Stand where visitors will stand. Enter goes on.")
            if keys.pressed(_LOOK_S).strip(" ") in ("\n", "\r"):
                return picture


def _told_pair(person: Person, look: Callable[[int, int], Pair], pair: Pair) -> Pair:
    """In words: a line whenever there is something else to say of the two pictures."""
    person.say("Stand where visitors will stand. Enter goes on.", "dim")
    told = ""
    while True:
        kind, words = _pair_summary(pair)
        if words != told:
            person.mark(kind, words)
            told = words
        if select.select([sys.stdin], [], [], _LOOK_S)[0]:
            sys.stdin.readline()
            return pair
        pair = look(_WIDTH, _HEIGHT)


def _drawn_pair(look: Callable[[int, int], Pair], pair: Pair) -> Pair:
    """In colours, as in a mirror: colour on the left, infrared on the right."""
    with Keys(sys.stdin.fileno()) as keys, Screen(sys.stdout) as screen:
        blocks, pace = (
            Blocks(true_colour=has_true_colour(os.environ)),
            Pace(_BYTES_A_SECOND, time.monotonic()),
        )
        while True:
            if screen.take_resize():
                blocks.forget()
            shape = pair.colour
            height = max(4, 2 * (screen.rows - 4))
            most = min(screen.columns - 2, _MOST_COLUMNS) // 2
            width = max(2, min(most, height * shape.width_px // shape.height_px))
            pair = look(width, max(2, width * shape.height_px // shape.width_px))
            drawn = blocks.update(side_by_side(pair), 2, 2, pace.allows(time.monotonic()))
            pace.spend(len(drawn.encode()))
            screen.write(drawn)
            kind, words = _pair_summary(pair)
            screen.line(screen.rows - 1, f" {words}", "1;32" if kind == "ok" else "1;33")
            screen.line(screen.rows, " Colour, and infrared. Stand where visitors will stand. Enter goes on.")
            if keys.pressed(_LOOK_S).strip(" ") in ("\n", "\r"):
                return pair


def side_by_side(pair: Pair) -> Bitmap:
    """Both pictures mirrored, colour left, with a frame round each face."""
    halves = []
    for picture in (pair.colour, pair.infrared):
        half = Bitmap(picture.width, picture.height, binascii.a2b_base64(picture.rgb))
        for face in picture.faces:
            half.box(face.x, face.y, face.width, face.height, _FRAME)
        halves.append(half.mirrored())
    row = 3 * halves[0].width
    rows = [
        half.pixels[y * row : (y + 1) * row] for y in range(halves[0].height) for half in halves
    ]  # one of each, from the top
    return Bitmap(2 * halves[0].width, halves[0].height, b"".join(rows))


def _pair_summary(pair: Pair) -> tuple[str, str]:
    """The most important thing to be said of both."""
    said = pair_verdict(pair)
    worst = [one for mark in ("fail", "warn") for one in said if one[0] == mark]
    return worst[0] if worst else said[0]


def _summary(picture: Picture) -> tuple[str, str]:
    """The most important thing to be said of a picture."""
    said = verdict(picture)
    return next((one for one in said if one[0] == "warn"), said[-1])
