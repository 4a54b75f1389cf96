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
    GUARDED = "guarded"
    NOT_NOW = "not_now"
    NOT_VALID = "not_valid"
    SUSPENDED = "suspended"
    CLOCK_UNTRUSTED = "clock_untrusted"
    SECOND_FACTOR = "second_factor"
    WRONG_FACTOR = "wrong_factor"
    SECOND_PERSON = "second_person"
    PAUSED = "paused"
    STEP_AWAY = "step_away"
    LOCKED_OUT = "locked_out"
    FACE_OFF = "face_off"
    FACE_ON = "face_on"
    NOBODY_ENROLLED = "nobody_enrolled"
    NO_NEWS = "no_news"
    FROZEN = "frozen"
    LOOPED = "looped"
    STALE = "stale"
    NO_CONTEXT = "no_context"
    FLAT = "flat"
    NOT_GENUINE = "not_genuine"
    NOT_IN_NIR = "not_in_nir"
    SHOW_LIFE = "show_life"
    CHALLENGE = "challenge"
    CHALLENGE_FAILED = "challenge_failed"

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
    Reason.GUARDED: "This door does not open for this face: use your key, and tell the owner.",
    Reason.NOT_NOW: "You are not expected at this hour.",
    Reason.NOT_VALID: "You are not expected on this day.",
    Reason.SUSPENDED: "You are not expected here for now: ask the owner.",
    Reason.CLOCK_UNTRUSTED: "This door does not know what time it is: use your key, and tell the owner.",
    Reason.SECOND_FACTOR: "Now your code, or your token.",
    Reason.WRONG_FACTOR: "That was not right: step away for a moment, then look again.",
    Reason.SECOND_PERSON: "Now the second person, please.",
    Reason.PAUSED: "Hold still for a moment.",
    Reason.STEP_AWAY: "Step away for a moment, then look again.",
    Reason.LOCKED_OUT: "Too many failed tries: please wait.",
    Reason.FACE_OFF: "This door opens by key only for now: tell the owner.",
    Reason.FACE_ON: "Now look at the camera.",
    Reason.NOBODY_ENROLLED: "Nobody is enrolled at this door yet.",
    Reason.NO_NEWS: "Hold still for a moment.",
    Reason.FROZEN: "The camera stands still: use your key, and tell the owner.",
    Reason.LOOPED: "The camera shows the same again and again: use your key, and tell the owner.",
    Reason.STALE: "The camera is late: use your key, and tell the owner.",
    Reason.NO_CONTEXT: "Stand in the middle, one step back.",
    Reason.FLAT: "Show your face itself, and turn your head a little.",
    Reason.NOT_GENUINE: "Show your face itself, with nothing held before it.",
    Reason.NOT_IN_NIR: "Come closer, and show your face itself.",
    Reason.SHOW_LIFE: "Turn your head slowly to one side and back.",
    Reason.CHALLENGE: "Turn your head as you are shown.",
    Reason.CHALLENGE_FAILED: "That was not what was asked: wait a moment, then try again.",
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
    Reason.GUARDED: "the face is as near to a try that was disputed as to this person",
    Reason.NOT_NOW: "this person's schedule does not allow this hour",
    Reason.NOT_VALID: "this person is welcome on other days only",
    Reason.SUSPENDED: "this person is suspended",
    Reason.CLOCK_UNTRUSTED: "this person has hours, and the door's clock is not to be trusted",
    Reason.SECOND_FACTOR: "this person was recognised; their second factor is awaited",
    Reason.WRONG_FACTOR: "the code was wrong; the try has failed",
    Reason.SECOND_PERSON: "this person was recognised; a second person is awaited",
    Reason.PAUSED: "this try has had its frames; the next begins in a moment",
    Reason.STEP_AWAY: "this face has had its tries and must leave the view first",
    Reason.LOCKED_OUT: "too many failed tries; the door waits",
    Reason.FACE_OFF: "far too many failed tries; faces open nothing until janusctl unlock-face",
    Reason.FACE_ON: "a resident's second factor forgave failed tries and switched face unlock on again",
    Reason.NOBODY_ENROLLED: "the gallery is empty",
    Reason.NO_NEWS: "the frame is the same as the one before",
    Reason.FROZEN: "the camera's picture stands still, as a photograph played as a film does",
    Reason.LOOPED: "the camera's picture repeats what it showed before",
    Reason.STALE: "the frame is out of order, or older than it may be",
    Reason.NO_CONTEXT: "the face is cut off by the picture's border, or too little is seen around it",
    Reason.FLAT: "the face turned and its nose did not stand out, as in a picture",
    Reason.NOT_GENUINE: "the attack detection network takes the face for a print, screen or mask",
    Reason.NOT_IN_NIR: "the face is not there in near infrared, or is another's",
    Reason.SHOW_LIFE: "the face did not yet show what no still picture can",
    Reason.CHALLENGE: "turns of the head are asked for",
    Reason.CHALLENGE_FAILED: "the turns asked for were not shown in time, or not by a head that stands out",
}
