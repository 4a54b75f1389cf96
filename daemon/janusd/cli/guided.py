"""Lead somebody through the sides of their face, before the door's camera.

What is shown is somebody else's business (`Stage`): a whole screen with a live picture, or a line at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from janusd.cli.remote import RemoteDoor, Shown
from janusd.core.side import Side
from janusd.errors import EnrolmentRefused

FIRST_LOOK = tuple(Side)
OTHER_LOOK = (Side.FRONT, Side.LEFT, Side.RIGHT)
"""What is asked for once more when somebody puts on their glasses, or takes them off."""
GLASSES = "with or without glasses"

GIVE_UP_S = 60.0
"""Without any sample: nobody is there, or it is too dark to go on."""
SKIP_S = 20.0
"""After this a side is left out where no key can be pressed; some necks do not turn."""


class Stage(Protocol):
    """Where an enrolment is shown."""

    @property
    def picture_size(self) -> tuple[int, int]:
        """How many pixels (columns, rows) there is room for; 0, 0 for no picture."""
        ...

    @property
    def can_ask(self) -> bool:
        """Whether somebody sits there who can press a key."""
        ...

    def show(self, shown: Shown, progress: Progress) -> None:
        """Show a frame, and how far along the enrolment is."""
        ...

    def took(self, side: str, progress: Progress) -> None:
        """Say that a sample was taken."""
        ...

    def skips(self, progress: Progress) -> bool:
        """Whether the present side is to be left out. Raises KeyboardInterrupt to stop."""
        ...

    def wants_other_look(self) -> bool:
        """Ask whether to take the person with (or without) their glasses, too; wait for the answer."""
        ...


@dataclass(slots=True)
class Progress:
    """How far along an enrolment is."""

    name: str
    sides: tuple[Side, ...] = FIRST_LOOK
    """What is asked for in the present look."""
    look: str = ""
    side: Side | None = None
    """What is asked for right now."""
    covered: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    samples: int = 0
    wanted: int = 0
    waiting_s: float = 0.0
    """For how long the present side has been asked for."""

    def label(self, side: Side) -> str:
        """The side, with the look, as the daemon counts what is covered."""
        return f"{side} {self.look}".strip()


def lead(
    door: RemoteDoor, token: str, name: str, stage: Stage, now_s: Callable[[], float] = time.monotonic
) -> Iterator[tuple[str, int, int]]:
    """Take samples until all sides are covered or left out; each as (side, samples, wanted).

    Raises EnrolmentRefused when nobody can be seen.
    """
    progress = Progress(name)
    yield from _look(door, token, progress, stage, now_s)
    if stage.can_ask and progress.samples and stage.wants_other_look():
        progress.look, progress.sides = GLASSES, OTHER_LOOK
        yield from _look(door, token, progress, stage, now_s)


def _look(
    door: RemoteDoor, token: str, progress: Progress, stage: Stage, now_s: Callable[[], float]
) -> Iterator[tuple[str, int, int]]:
    for side in progress.sides:
        progress.side, began_s = side, now_s()
        label = progress.label(side)
        while label not in progress.covered:
            shown = door.guide_enrolment(token, side.value, progress.look, stage.picture_size)
            scene = shown.scene
            progress.covered, progress.samples, progress.wanted = scene.covered, scene.samples, scene.wanted
            progress.waiting_s = now_s() - began_s
            stage.show(shown, progress)
            if scene.taken and label in scene.covered:
                stage.took(label, progress)
                yield label, scene.samples, scene.wanted
            elif stage.skips(progress):
                progress.skipped.append(label)
                break
            elif not progress.samples and progress.waiting_s > GIVE_UP_S:
                raise EnrolmentRefused(
                    f"no usable picture of {progress.name} in {GIVE_UP_S:.0f} s: {scene.hint.rstrip('.')}",
                    "see that the face is lit, near, and alone in the picture",
                )
    progress.side = None
