"""The verbs of the control socket, typed; each hands over to `door.Door`.

`org.janusd.Door.varlink` beside this file is what asyncvarlink renders from the class below; a test keeps
both equal. Annotations are read when the class is made, so this module does not postpone them (PEP 563).
"""
# ruff: noqa: N802  # Varlink methods begin with a capital letter

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypedDict

from asyncvarlink import TypedVarlinkErrorReply, VarlinkInterface, varlinkmethod
from asyncvarlink.serviceinterface import InvalidParameter

from janusd.control import discreet
from janusd.control.desk import Desk
from janusd.control.picture import MAX_SHOWN_PIXELS, UnreadablePicture, decode_picture, encode_picture
from janusd.door import (
    Dispute,
    Entry,
    Event,
    Explanation,
    Exported,
    Feedback,
    Finding,
    Measurement,
    Person,
    Review,
    Scene,
    Sight,
    Status,
    TermsChange,
    Told,
    VaultStatus,
)

NAME = "org.janusd.Door"

MAX_TEXT_CHARS = 1024
"""Longer than any name, schedule, token or time; the door itself is stricter."""

MAX_LIVE_TIMEOUT_S = 60.0
MAX_SHOWN_FPS = 10.0
MAX_MEASURED_S = 20.0
MAX_LABEL_CHARS = 24
_LOOK_S = 1.0
"""How often an observer's door is looked at: its sensors tell nobody when they change."""
_SIGN_OF_LIFE_S = 20.0
MAX_ENTRIES = 10_000
"""Log lines in one reply: about 2 MB."""
MAX_PART_CHARS = 8192
MAX_PARCEL_CHARS = 11 * 1024 * 1024
"""8 MiB of people, in base64."""


class NotAllowed(TypedVarlinkErrorReply, interface=NAME):
    """This user, or this connection, may not ask that verb."""

    class Parameters:
        """What travels."""

        verb: str
        uid: int
        why: str


class Failed(TypedVarlinkErrorReply, interface=NAME):
    """The door refused or failed. kind is a class of janusd.errors, for example EnrolmentBusy."""

    class Parameters:
        """What travels."""

        kind: str
        what: str
        remedy: str


class InvalidImage(TypedVarlinkErrorReply, interface=NAME):
    """The picture cannot be taken: not a JPEG, PNG or WebP file, damaged, or too large."""

    class Parameters:
        """What travels."""

        what: str
        remedy: str


class Decision(TypedDict):
    """One reply of Watch."""

    event: Event
    missed: int


class Observation(TypedDict):
    """One reply of Observe."""

    sight: Sight
    told: list[Told]
    hears: list[str]
    missed: int


class View(TypedDict):
    """One reply of GuideEnrolment or Preview: a scene and its picture, empty where there is none."""

    scene: Scene
    width: int
    height: int
    picture: str


class DoorInterface(VarlinkInterface, name=NAME):
    """Look after a door: who is enrolled, who came, and whether it is well.

    An enrolment belongs to the connection that began it. Its token is worth nothing on another
    connection, and when the connection ends without CommitEnrolment, nothing is stored.
    """

    errors = (NotAllowed, Failed, InvalidImage)

    def __init__(self, desk: Desk, uid: int) -> None:
        self._desk = desk
        self._uid = uid

    @varlinkmethod(return_parameter="status")
    async def GetStatus(self) -> Status:
        """How the door is right now."""
        return await self._desk.ask(self._desk.door.status)

    @varlinkmethod(return_parameter="people")
    async def ListPeople(self) -> list[Person]:
        """Who is enrolled, by name."""
        people = await self._desk.ask(self._desk.door.people)
        return people if self._desk.shows_duress() else [discreet.person(one) for one in people]

    @varlinkmethod(return_parameter="token")
    async def BeginEnrolment(self, *, name: str, hours: str = "") -> str:
        """Open the door's one enrolment.

        hours is a schedule such as 'mon-fri 08:00-18:00, sat 09:00-13:00'; empty means always.
        """
        return await self._desk.begin(_text("name", name), _text("hours", hours))

    @varlinkmethod(return_parameter="feedback")
    async def AddImage(self, *, token: str, image: str) -> Feedback:
        """Offer a picture as a sample: the base64 text of one JPEG, PNG or WebP file."""
        self._own("AddImage", token)
        try:
            picture = await self._desk.ask(decode_picture, image)
        except UnreadablePicture as e:
            raise InvalidImage(what=e.what, remedy=e.remedy) from e
        return await self._desk.ask(self._desk.door.add_image, token, picture)

    @varlinkmethod(return_parameter="feedback")
    async def AddLive(self, *, token: str, timeout_s: float) -> Feedback:
        """Offer the next usable camera frame as a sample; waits for one up to timeout_s, at most 60."""
        self._own("AddLive", token)
        if not 0 <= timeout_s <= MAX_LIVE_TIMEOUT_S:
            raise InvalidParameter(parameter="timeout_s")
        return await self._desk.ask(self._desk.door.add_live, token, timeout_s)

    @varlinkmethod(return_parameter="token")
    async def ReinforcePerson(self, *, name: str) -> str:
        """Open the door's one enrolment to add samples to somebody enrolled. Goes on like any other."""
        return await self._desk.reinforce(_text("name", name))

    @varlinkmethod
    async def SetEnrolmentTerms(
        self,
        *,
        token: str,
        hours: str | None = None,
        role: str | None = None,
        valid_from: str | None = None,
        valid_until: str | None = None,
        second: str | None = None,
        code: str | None = None,
        needs_two: bool | None = None,
        duress: str | None = None,
        duress_code: str | None = None,
    ) -> None:
        """On what terms whoever is being enrolled may come in, once stored; as for SetTerms."""
        self._own("SetEnrolmentTerms", token)
        texts = (hours, role, valid_from, valid_until, second, code, duress, duress_code)
        change = _terms(texts, needs_two)
        await self._desk.ask(self._desk.door.set_enrolment_terms, token, change)

    @varlinkmethod(return_parameter="view")
    async def GuideEnrolment(
        self,
        *,
        token: str,
        side: str,
        look: str = "",
        timeout_s: float = 1.0,
        columns: int = 0,
        rows: int = 0,
        encoding: str = "rgb",
    ) -> View:
        """Ask for a side of the face (front, left, right, up, down), and show the next camera frame.

        A sample is taken by itself once the pose was held for half a second; scene.taken says so, once.
        look tells looks of one person apart, for example 'with glasses'. The picture is base64 of a JPEG or
        of bare RGB pixels, within columns by rows (at most 19,200 pixels; 0 for none).
        """
        self._own("GuideEnrolment", token)
        _check_shown(columns, rows, encoding)
        if not 0 <= timeout_s <= MAX_LIVE_TIMEOUT_S:
            raise InvalidParameter(parameter="timeout_s")
        scene, image = await self._desk.ask(
            self._desk.door.guide_enrolment, token, _text("side", side), _label("look", look), timeout_s
        )
        if image is None or not columns or not rows:
            return {"scene": scene, "width": 0, "height": 0, "picture": ""}
        width, height, picture = encode_picture(image, columns, rows, encoding)
        return {"scene": scene, "width": width, "height": height, "picture": picture}

    @varlinkmethod(return_parameter="review")
    async def ReviewEnrolment(self, *, token: str) -> Review:
        """What is to be said of the samples before they are stored. Scores are null unless root asks."""
        self._own("ReviewEnrolment", token)
        review = await self._desk.ask(self._desk.door.review_enrolment, token)
        return review if self._desk.shows_scores else replace(review, threshold=None, nearest_score=None)

    @varlinkmethod(return_parameter="person")
    async def CommitEnrolment(self, *, token: str) -> Person:
        """Store the samples as one person, durably. On Failed the enrolment stays open for more samples."""
        self._own("CommitEnrolment", token)
        person = await self._desk.ask(self._desk.door.commit_enrolment, token)
        self._desk.token = None
        return person

    @varlinkmethod
    async def AbandonEnrolment(self, *, token: str) -> None:
        """Drop the samples."""
        self._own("AbandonEnrolment", token)
        await self._desk.abandon()

    @varlinkmethod
    async def Forget(self, *, name: str) -> None:
        """Remove a person from memory and disk; done when the reply comes."""
        await self._desk.ask(self._desk.door.forget, _text("name", name))

    @varlinkmethod(return_parameter="person")
    async def SetTerms(
        self,
        *,
        name: str,
        hours: str | None = None,
        role: str | None = None,
        valid_from: str | None = None,
        valid_until: str | None = None,
        second: str | None = None,
        code: str | None = None,
        needs_two: bool | None = None,
        duress: str | None = None,
        duress_code: str | None = None,
        clears_guards: bool = False,
    ) -> Person:
        """Change on what terms somebody may come in; what is null stays as it is.

        role is owner, resident or guest; second is none, code or confirm; code, such as '3-1-4-2', is the
        presses on the button at the door. Times are ISO 8601 with a zone, empty for none. duress is none,
        code or always; duress_code, entered as code is, lets them in too, and is a silent call for help.
        """
        texts = (hours, role, valid_from, valid_until, second, code, duress, duress_code)
        change = _terms(texts, needs_two, clears_guards)
        return await self._desk.ask(self._desk.door.steward.set_terms, _text("name", name), change)

    @varlinkmethod(return_parameter="person")
    async def Rename(self, *, name: str, to: str) -> Person:
        """Call somebody by another name."""
        steward = self._desk.door.steward
        return await self._desk.ask(steward.rename, _text("name", name), _text("to", to))

    @varlinkmethod(return_parameter="person")
    async def Suspend(self, *, name: str) -> Person:
        """Let somebody in no more, until Resume."""
        person = await self._desk.ask(self._desk.door.steward.suspend, _text("name", name), True)
        return person if self._desk.shows_duress() else discreet.person(person)

    @varlinkmethod(return_parameter="person")
    async def Resume(self, *, name: str) -> Person:
        """Let somebody in again who was suspended."""
        return await self._desk.ask(self._desk.door.steward.suspend, _text("name", name), False)

    @varlinkmethod(return_parameter="explanation")
    async def Explain(self, *, name: str, at: str = "") -> Explanation:
        """What spoke for and against somebody at a time (ISO 8601 with a zone; empty for now)."""
        told = await self._desk.ask(self._desk.door.steward.explain, _text("name", name), _text("at", at))
        return told if self._desk.shows_duress() else discreet.explanation(told)

    @varlinkmethod(return_parameter="dispute")
    async def DisputeUnlock(self, *, number: int) -> Dispute:
        """Say that an unlock, by its number in the door log, was not of whom it names."""
        if not 0 < number < 2**63:
            raise InvalidParameter(parameter="number")
        return await self._desk.ask(self._desk.door.steward.dispute, number)

    @varlinkmethod
    async def ConfirmSecondFactor(self, *, name: str) -> None:
        """Give the word for somebody whose second factor that is; it counts for half a minute, unless set."""
        await self._desk.ask(self._desk.door.steward.confirm, _text("name", name))

    @varlinkmethod
    async def UnlockFace(self) -> None:
        """Forgive all failed tries: face unlock is on again, and no wait is left."""
        await self._desk.ask(self._desk.door.unlock_face)

    @varlinkmethod(return_parameter="entries")
    async def GetLog(self, *, since: str = "", limit: int = 100) -> list[Entry]:
        """The newest entries of the door log at or after since (ISO 8601; empty for all), oldest first."""
        if not 0 <= limit <= MAX_ENTRIES:
            raise InvalidParameter(parameter="limit")
        entries = await self._desk.ask(self._desk.door.log, _text("since", since), limit)
        return entries if self._desk.shows_duress() else discreet.entries(entries)

    @varlinkmethod(return_parameter="lines")
    async def ExportLog(self, *, after: int = 0, limit: int = 1000) -> list[Exported]:
        """Entries after that number with all that their tags cover, oldest first."""
        if after < 0:
            raise InvalidParameter(parameter="after")
        if not 0 <= limit <= MAX_ENTRIES:
            raise InvalidParameter(parameter="limit")
        return await self._desk.ask(self._desk.door.export_log, after, limit)

    @varlinkmethod(return_parameter="last")
    async def VerifyLog(self) -> int:
        """Check every kept entry of the door log; the last one's number."""
        return await self._desk.ask(self._desk.door.verify_log)

    @varlinkmethod(return_parameter="jpeg")
    async def GetSnapshot(self, *, number: int) -> str:
        """The picture that was kept of a refusal, by its entry in the door log: base64 of a JPEG file."""
        jpeg = await self._desk.ask(self._desk.door.snapshot, number)
        return base64.b64encode(jpeg).decode("ascii")

    @varlinkmethod(return_parameter="checkpoint")
    async def LogCheckpoint(self) -> str:
        """What an owner carries away to check all later entries with. Secret."""
        return await self._desk.ask(self._desk.door.log_checkpoint)

    @varlinkmethod(return_parameter="findings")
    async def Doctor(self) -> list[Finding]:
        """Check what can be checked from inside."""
        return await self._desk.ask(self._desk.door.doctor)

    @varlinkmethod(return_parameter="measurement")
    async def Measure(self, *, seconds: float = 5.0) -> Measurement:
        """Time every stage on what the camera shows now, for 1 to 20 seconds; the door goes on meanwhile."""
        if not 1 <= seconds <= MAX_MEASURED_S:
            raise InvalidParameter(parameter="seconds")
        return await self._desk.ask(self._desk.door.measure, seconds)

    @varlinkmethod(return_parameter="vault")
    async def GetVault(self) -> VaultStatus:
        """How the vault is, and which copies of it there are."""
        return await self._desk.ask(self._desk.door.caretaker.show)

    @varlinkmethod(return_parameter="name")
    async def BackUpVault(self) -> str:
        """Make a backup of the vault and verify it; its name."""
        return await self._desk.ask(self._desk.door.caretaker.back_up)

    @varlinkmethod(return_parameter="name")
    async def RestoreVault(self, *, name: str = "", accept_older: bool = False) -> str:
        """Put a copy in the vault's place: the newest good backup, or the one named; which one it was.

        accept_older also takes one from before somebody was forgotten, or that no anchor vouches for.
        """
        return await self._desk.ask(self._desk.door.caretaker.restore, _text("name", name), accept_older)

    @varlinkmethod
    async def RekeyVault(self) -> None:
        """Change the vault's key and seal everything anew under it."""
        await self._desk.ask(self._desk.door.caretaker.rekey)

    @varlinkmethod
    async def RenewVault(self) -> None:
        """Seal every record anew, with another rotation and data key."""
        await self._desk.ask(self._desk.door.caretaker.renew)

    @varlinkmethod(return_parameter="parcel")
    async def ExportPeople(self, *, passphrase: str = "", to: str = "") -> str:
        """Everybody in one sealed and signed parcel (base64), for a passphrase or a door's address."""
        return await self._desk.ask(
            self._desk.door.caretaker.export_people, _text("passphrase", passphrase), _text("to", to)
        )

    @varlinkmethod
    async def AddParcelPart(self, *, part: str) -> None:
        """Send the next part of a parcel's base64 text, at most 8192 characters, before ImportPeople."""
        if len(part) > MAX_PART_CHARS or len(self._desk.parcel) + len(part) > MAX_PARCEL_CHARS:
            self._desk.parcel = ""
            raise InvalidParameter(parameter="part")
        self._desk.parcel += part

    @varlinkmethod(return_parameter="people")
    async def ImportPeople(self, *, passphrase: str = "", signed_by: str = "") -> list[Person]:
        """Enrol everybody in the parcel that this connection sent, or nobody.

        signed_by, where given, is the public key of the only door whose parcel is taken.
        """
        parcel, self._desk.parcel = self._desk.parcel, ""
        return await self._desk.ask(
            self._desk.door.caretaker.import_people,
            parcel,
            _text("passphrase", passphrase),
            _text("signed_by", signed_by),
        )

    @varlinkmethod(delay_generator=False)
    async def Watch(self) -> AsyncIterator[Decision]:
        """Each decision as it falls, until the caller closes. Call it with 'more'.

        missed counts decisions dropped before this one because the caller read too slowly. event.score is
        null unless root asks.
        """
        queue = self._desk.watch()
        while True:
            event, missed = await queue.get()
            if not self._desk.shows_scores:
                event = replace(event, score=None)
            yield {"event": event, "missed": missed}

    @varlinkmethod(delay_generator=False)
    async def Observe(self) -> AsyncIterator[Observation]:
        """What the door does, without anything secret, until the caller closes. Call it with 'more'.

        A reply comes when something changed, and every 20 seconds. told holds codes of decisions and alarms;
        names and duress only where the configuration lets observers hear them, which hears says.
        """
        queue, loop = self._desk.follow(), asyncio.get_running_loop()
        shown, due_s = None, loop.time()
        while True:
            told: list[Told] = []
            missed = 0
            if shown is not None:
                try:
                    async with asyncio.timeout(_LOOK_S):
                        one, missed = await queue.get()
                except TimeoutError:
                    pass
                else:
                    told = discreet.told(one, self._desk.hears())
            sight = await self._desk.ask(self._desk.door.sight)
            lasting = replace(sight, uptime_s=0.0)
            if told or missed or lasting != shown or loop.time() >= due_s:
                shown, due_s = lasting, loop.time() + _SIGN_OF_LIFE_S
                yield {
                    "sight": sight,
                    "told": told,
                    "hears": sorted(self._desk.hears()),
                    "missed": missed,
                }

    @varlinkmethod(delay_generator=False)
    async def Preview(
        self, *, columns: int, rows: int, fps: float = 5.0, encoding: str = "jpeg"
    ) -> AsyncIterator[View]:
        """What the camera shows, until the caller closes. Call it with 'more'.

        At most fps (0.2 to 10) pictures a second, each within columns by rows (at most 19,200 pixels): base64
        of a JPEG, or of bare RGB pixels with encoding 'rgb'. Frames beyond that are dropped.
        """
        _check_shown(columns, rows, encoding)
        if not columns or not rows:
            raise InvalidParameter(parameter="columns" if not columns else "rows")
        if not 0.2 <= fps <= MAX_SHOWN_FPS:
            raise InvalidParameter(parameter="fps")
        queue, loop = self._desk.view(), asyncio.get_running_loop()
        while True:
            due_s = loop.time() + 1 / fps
            (scene, image), _ = await queue.get()
            width, height, picture = encode_picture(image, columns, rows, encoding)
            yield {"scene": scene, "width": width, "height": height, "picture": picture}
            await asyncio.sleep(due_s - loop.time())

    def _own(self, verb: str, token: str) -> None:
        if token != self._desk.token:
            why = "this is not an enrolment that this connection began"
            raise NotAllowed(verb=verb, uid=self._uid, why=why)


_TEXTS = ("hours", "role", "valid_from", "valid_until", "second", "code", "duress", "duress_code")


def _terms(texts: tuple[str | None, ...], needs_two: bool | None, clears_guards: bool = False) -> TermsChange:
    """The change that these say, each text checked; in the order of `_TEXTS`."""
    given = zip(_TEXTS, texts, strict=True)
    checked = {key: None if value is None else _text(key, value) for key, value in given}
    return TermsChange(**checked, needs_two=needs_two, clears_guards=clears_guards)


def _text(parameter: str, value: str) -> str:
    """The value, if it is text that UTF-8 can hold and no longer than anything meant for a door."""
    try:
        value.encode()
    except UnicodeEncodeError as e:  # a lone surrogate, "\ud800" in JSON
        raise InvalidParameter(parameter=parameter) from e
    if len(value) > MAX_TEXT_CHARS:
        raise InvalidParameter(parameter=parameter)
    return value


def _label(parameter: str, value: str) -> str:
    """A short plain word or two."""
    if len(value) > MAX_LABEL_CHARS or not all(char.isalnum() or char == " " for char in value):
        raise InvalidParameter(parameter=parameter)
    return value


def _check_shown(columns: int, rows: int, encoding: str) -> None:
    """Refuse a picture that is larger than anybody needs, or of a kind that is not made."""
    if columns < 0 or columns > MAX_SHOWN_PIXELS:
        raise InvalidParameter(parameter="columns")
    if rows < 0 or columns * rows > MAX_SHOWN_PIXELS:
        raise InvalidParameter(parameter="rows")
    if encoding not in ("jpeg", "rgb"):
        raise InvalidParameter(parameter="encoding")
