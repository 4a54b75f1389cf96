"""Why a decision fell as it did, in words for a machine, a resident and an owner."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The one reason of a decision. The value is stable: logs, sockets and tests rely on it."""

    MATCHED = "matched"
    GATHERING = "gathering"
    ALREADY_OPEN = "already_open"
    NO_FACE = "no_face"
    TWO_FACES = "two_faces"
    TOO_SMALL = "too_small"
    TOO_NEAR = "too_near"
    TOO_FAR_TURNED = "too_far_turned"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    BLURRED = "blurred"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    NOT_NOW = "not_now"
    CLOCK_UNTRUSTED = "clock_untrusted"
    PAUSED = "paused"
    STEP_AWAY = "step_away"
    LOCKED_OUT = "locked_out"
    FACE_OFF = "face_off"
    NOBODY_ENROLLED = "nobody_enrolled"

    @property
    def hint(self) -> str:
        """What the person before the door can do, in plain words; empty when there is nothing to do."""
        return _HINTS[self]

    @property
    def explanation(self) -> str:
        """What happened, for the owner who reads the log."""
        return _EXPLANATIONS[self]


_HINTS: dict[Reason, str] = {
    Reason.MATCHED: "Welcome.",
    Reason.GATHERING: "Hold still for a moment.",
    Reason.ALREADY_OPEN: "The door is open.",
    Reason.NO_FACE: "Look at the camera.",
    Reason.TWO_FACES: "One person at a time, please.",
    Reason.TOO_SMALL: "Come a little closer.",
    Reason.TOO_NEAR: "Step back a little.",
    Reason.TOO_FAR_TURNED: "Face the camera.",
    Reason.TOO_DARK: "Too dark: switch on the light or step into it.",
    Reason.TOO_BRIGHT: "Too bright: shade your face or turn away from the light.",
    Reason.BLURRED: "Hold still.",
    Reason.UNKNOWN: "This face is not enrolled here.",
    Reason.AMBIGUOUS: "Look straight at the camera.",
    Reason.NOT_NOW: "You are not expected at this hour.",
    Reason.CLOCK_UNTRUSTED: "This door does not know what time it is: use your key, and tell the owner.",
    Reason.PAUSED: "Hold still for a moment.",
    Reason.STEP_AWAY: "Step away for a moment, then look again.",
    Reason.LOCKED_OUT: "Too many failed tries: please wait.",
    Reason.FACE_OFF: "This door opens by key only for now: tell the owner.",
    Reason.NOBODY_ENROLLED: "Nobody is enrolled at this door yet.",
}

_EXPLANATIONS: dict[Reason, str] = {
    Reason.MATCHED: "enough agreeing frames matched this person",
    Reason.GATHERING: "more agreeing frames are needed",
    Reason.ALREADY_OPEN: "the latch is already released for this person",
    Reason.NO_FACE: "no face was found in the frame",
    Reason.TWO_FACES: "more than one face was in view, and a door never picks one",
    Reason.TOO_SMALL: "the face was too small to compare",
    Reason.TOO_NEAR: "the face was too near to be seen whole",
    Reason.TOO_FAR_TURNED: "the head was turned too far to compare",
    Reason.TOO_DARK: "the face was too dark to compare",
    Reason.TOO_BRIGHT: "the face was overexposed",
    Reason.BLURRED: "the face was blurred",
    Reason.UNKNOWN: "nobody enrolled is similar enough",
    Reason.AMBIGUOUS: "two enrolled people are too similar to this face",
    Reason.NOT_NOW: "this person's schedule does not allow this hour",
    Reason.CLOCK_UNTRUSTED: "this person has hours, and the door's clock is not to be trusted",
    Reason.PAUSED: "this try has had its frames; the next begins in a moment",
    Reason.STEP_AWAY: "this face has had its tries and must leave the view first",
    Reason.LOCKED_OUT: "too many failed tries; the door waits",
    Reason.FACE_OFF: "far too many failed tries; faces open nothing until janusctl unlock-face",
    Reason.NOBODY_ENROLLED: "the gallery is empty",
}
