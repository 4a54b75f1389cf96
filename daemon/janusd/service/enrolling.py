"""The door's one enrolment under way: who holds it, and where its samples come from.

Once live frames were asked for, the camera serves the enrolment, not the door; it goes back to the door when
nobody has asked for a while. Live frames are judged on the vision thread, all of them in order, so that the
face is followed without a gap; whoever asked waits for the answer to the next one.
"""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from janusd.core import guide
from janusd.core.guide import Sight
from janusd.core.reason import Reason
from janusd.core.side import Side
from janusd.core.types import Frame, Image
from janusd.door import Feedback, Scene
from janusd.enrolment import Enrolment, sight_of
from janusd.errors import EnrolmentBusy, EnrolmentRefused
from janusd.pipeline import Probe
from janusd.ports import Sign

Show = Callable[[Sign, str], None]
"""Shows a sign to whoever stands at the door."""

_BEAT_S: Final = 0.5
_BACK_TO_THE_DOOR_S: Final = 60.0
"""Without being asked for frames: somebody is looking for their glasses. Until then the door decides about
nobody, for it would charge the face that is being enrolled with failed tries."""
_ASK_AGAIN_S: Final = 5.0
"""A guided pose that nobody asked about for that long is not taken: the one who asked is gone, or waits."""
_LUMA_STRIDE: Final = 16
NO_PICTURE: Final = "The camera gives no picture."

_SIGNS: Final = {
    Side.FRONT: Sign.LOOK,
    Side.LEFT: Sign.TURN_LEFT,
    Side.RIGHT: Sign.TURN_RIGHT,
    Side.UP: Sign.CHIN_UP,
    Side.DOWN: Sign.CHIN_DOWN,
}


@dataclass(slots=True)
class _Open:
    token: str
    enrolment: Enrolment
    asked_s: float = -math.inf
    """When live frames were last asked for."""
    side: Side | None = None
    """What is asked of the face; None where any view will do."""
    look: str = ""
    wants_any: bool = False
    """Whether the next fit view is to be taken, whatever its pose."""
    answer: Feedback | None = None
    scene: Scene | None = None
    image: Image | None = None
    news: threading.Condition = field(default_factory=threading.Condition)


class EnrolmentDesk:
    """Serves one enrolment at a time, whoever asks first."""

    def __init__(
        self,
        probe: Callable[[Image], Probe],
        look: Callable[[Frame], Probe] | None = None,
        show: Show | None = None,
    ) -> None:
        """`probe` looks at a picture, `look` at a frame of the camera; both from any thread."""
        self._probe = probe
        self._look = look or (lambda frame: probe(frame.image))
        self._show = show or (lambda _sign, _words: None)
        self._entering = threading.Lock()
        self._open: _Open | None = None

    @property
    def takes_frames(self) -> bool:
        """Whether camera frames go to an enrolment."""
        opened = self._open
        return opened is not None and time.monotonic() - opened.asked_s < _BACK_TO_THE_DOOR_S

    def begin(self, make: Callable[[], Enrolment]) -> str:
        """Open the enrolment that `make` gives, and give its token. Raises EnrolmentBusy."""
        with self._entering:
            if self._open is not None:
                raise EnrolmentBusy(f"{self._open.enrolment.name} is being enrolled", "try again when done")
            self._open = _Open(secrets.token_urlsafe(16), make())
            return self._open.token

    def add_image(self, token: str, image: Image) -> Feedback:
        """Offer a picture as a sample."""
        opened = self._opened(token)
        return opened.enrolment.offer(self._probe(image))

    def add_live(self, token: str, timeout_s: float) -> Feedback:
        """Offer camera frames until one is taken or the time is up; the last feedback says why."""
        opened = self._opened(token)
        end_s = time.monotonic() + timeout_s
        feedback = opened.enrolment.offer(Probe(reason=Reason.NO_FACE))
        with opened.news:
            opened.side, opened.wants_any, opened.answer = None, True, None
            while not feedback.accepted and (remaining_s := end_s - time.monotonic()) > 0:
                opened.asked_s = time.monotonic()
                opened.news.wait(min(remaining_s, _BEAT_S))
                feedback, opened.answer = opened.answer or feedback, None
                self._opened(token)  # raises when it was abandoned meanwhile
            opened.wants_any = False
        return feedback

    def guide(self, token: str, side: str, look: str, timeout_s: float) -> tuple[Scene, Image | None]:
        """Ask for a side of the face, and show the next frame; see `Door`."""
        opened = self._opened(token)
        try:
            wanted = Side(side)
        except ValueError as e:
            sides = ", ".join(Side)
            raise EnrolmentRefused(f"a face has no side {side[:20]!r}", f"ask for one of {sides}") from e
        end_s = time.monotonic() + timeout_s
        with opened.news:
            opened.asked_s = time.monotonic()
            if opened.scene is None or not opened.scene.taken:  # what was taken is told before more is asked
                if (opened.side, opened.look) != (wanted, look):
                    opened.side, opened.look, opened.scene = wanted, look, None
                while opened.scene is None and (remaining_s := end_s - time.monotonic()) > 0:
                    opened.news.wait(min(remaining_s, _BEAT_S))
                    self._opened(token)
            scene, opened.scene = opened.scene, None
            image, opened.image = opened.image, None
            if scene is None:
                scene = _scene(opened.enrolment, 0, [], "no_frame", NO_PICTURE)
        return scene, image

    def see(self, frame: Frame) -> bool:
        """Take a camera frame for the enrolment; False where none asks for frames."""
        opened = self._open
        if opened is None or not self.takes_frames:
            return False
        probe = self._look(frame)
        if probe.reason is Reason.NO_NEWS:
            return True  # the camera gave a picture twice: a pose that is being held is not let go for that
        height, width = frame.image.shape[:2]
        luma = float(frame.image[::_LUMA_STRIDE, ::_LUMA_STRIDE].mean())
        sight = sight_of(probe, frame.captured_s, (width, height), luma)
        with opened.news:
            opened.enrolment.follow(probe, sight)
            if opened.wants_any:
                opened.answer = opened.enrolment.offer_live(probe, sight)
                opened.wants_any = not opened.answer.accepted
            elif opened.side is not None and time.monotonic() - opened.asked_s < _ASK_AGAIN_S:
                self._lead(opened, opened.side, frame, probe, sight)
            opened.news.notify_all()
        return True

    def stands_out(self) -> None:
        """The face in the frame that is being looked at has shown depth."""
        if self._open is not None:
            self._open.enrolment.stands_out()

    def enrolment(self, token: str) -> Enrolment:
        """What this token opened. Raises EnrolmentRefused once it is closed."""
        return self._opened(token).enrolment

    def abandon(self, token: str) -> None:
        """Drop the samples. Does nothing for a token that is no longer open."""
        with self._entering:
            opened = self._open
            if opened is None or not secrets.compare_digest(opened.token, token):
                return
            self._open = None
        if opened.asked_s > -math.inf:
            self._show(Sign.IDLE, "")
        with opened.news:
            opened.news.notify_all()

    def _lead(self, opened: _Open, side: Side, frame: Frame, probe: Probe, sight: Sight) -> None:
        enrolment = opened.enrolment
        step = enrolment.lead(probe, sight, side, opened.look)
        if opened.scene is not None and opened.scene.taken:
            return  # not told yet
        opened.scene = _scene(
            enrolment, frame.sequence, box_of(sight), step.reason, step.hint, step.steady, taken=step.takes
        )
        opened.image = frame.image
        if step.takes:
            opened.side = None  # until something else is asked for
            self._show(Sign.TAKEN, step.hint)
        elif step.hint == guide.HOLD_STILL:
            self._show(Sign.HOLD, step.hint)
        elif step.reason == guide.WAIT:
            self._show(Sign.LOOK if step.hint == guide.ask(Side.FRONT) else _SIGNS[side], step.hint)
        else:
            self._show(Sign.PROBLEM, step.hint)

    def _opened(self, token: str) -> _Open:
        opened = self._open
        if opened is None or not secrets.compare_digest(opened.token, token):
            raise EnrolmentRefused("this enrolment is no longer open", "begin again")
        return opened


def box_of(sight: Sight) -> list[float]:
    """A face's box as a `Scene` has it."""
    box = sight.box
    return [] if box is None else [round(side, 4) for side in (box.x, box.y, box.width, box.height)]


def scene_of(frame: Frame, probe: Probe | None) -> Scene:
    """What a frame shows, for somebody who only looks on."""
    if probe is None:
        return Scene(frame.sequence, [], "", "", 0.0, False, [], 0, 0)
    height, width = frame.image.shape[:2]
    sight = sight_of(probe, frame.captured_s, (width, height), 0.0)
    reason = probe.reason.value if probe.reason else guide.GOOD
    hint = probe.reason.hint if probe.reason else ""
    return Scene(frame.sequence, box_of(sight), reason, hint, 0.0, False, [], 0, 0)


def _scene(
    enrolment: Enrolment,
    sequence: int,
    face: list[float],
    reason: str,
    hint: str,
    steady: float = 0.0,
    *,
    taken: bool = False,
) -> Scene:
    steady, e = round(steady, 2), enrolment
    return Scene(sequence, face, reason, hint, steady, taken, e.covered, e.samples, e.wanted)
