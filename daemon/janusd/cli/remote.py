"""A running door as seen through its socket: the methods of `door.Door`, blocking."""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from janusd.cli.client import CALL_TIMEOUT_S, Client
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
    Question,
    Review,
    Scene,
    Sight,
    Status,
    Timing,
    Told,
    VaultStatus,
)
from janusd.errors import ControlError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_T = TypeVar("_T", bound="DataclassInstance")

_SLOW_S = 120.0
"""For what stretches a passphrase, or seals everybody anew, on a small board."""


_SIGN_OF_LIFE_S = 60.0
"""Observe says something every 20 seconds, whatever happens."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One frame of the camera."""

    scene: Scene
    width: int
    height: int
    pixels: bytes
    """RGB, three bytes each, rows from the top; empty where there is no picture."""


class RemoteDoor:
    """Each method asks once over the client's connection."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def status(self) -> Status:
        """How the door is."""
        return _read(Status, self._client.call("GetStatus").get("status"))

    def people(self) -> list[Person]:
        """Who is enrolled, by name."""
        return _read_all(Person, self._client.call("ListPeople").get("people"))

    def begin_enrolment(self, name: str, hours: str) -> str:
        """Open the door's one enrolment; its token."""
        return str(self._client.call("BeginEnrolment", name=name, hours=hours).get("token"))

    def add_image(self, token: str, encoded: bytes) -> Feedback:
        """Offer the bytes of a JPEG, PNG or WebP file as a sample."""
        image = binascii.b2a_base64(encoded, newline=False).decode("ascii")
        return _read(Feedback, self._client.call("AddImage", token=token, image=image).get("feedback"))

    def add_live(self, token: str, timeout_s: float) -> Feedback:
        """Offer the next usable camera frame as a sample."""
        reply = self._client.call(
            "AddLive", reply_within_s=timeout_s + CALL_TIMEOUT_S, token=token, timeout_s=timeout_s
        )
        return _read(Feedback, reply.get("feedback"))

    def begin_reinforcement(self, name: str) -> str:
        """Open the door's one enrolment to add samples to somebody; its token."""
        return str(self._client.call("ReinforcePerson", name=name).get("token"))

    def set_enrolment_terms(self, token: str, changes: Mapping[str, str | bool]) -> None:
        """On what terms whoever is being enrolled may come in."""
        given: dict[str, Any] = {"token": token, **changes}
        self._client.call("SetEnrolmentTerms", **given)

    def guide_enrolment(
        self, token: str, side: str, look: str, size: tuple[int, int] = (0, 0), timeout_s: float = 1.0
    ) -> Shown:
        """Ask for a side of the face, and see the next frame within that many columns and rows."""
        reply = self._client.call(
            "GuideEnrolment",
            reply_within_s=timeout_s + CALL_TIMEOUT_S,
            token=token,
            side=side,
            look=look,
            timeout_s=timeout_s,
            columns=size[0],
            rows=size[1],
        )
        return _shown(reply.get("view"))

    def review_enrolment(self, token: str) -> Review:
        """What is to be said of the samples before they are stored."""
        return _read(Review, self._client.call("ReviewEnrolment", token=token).get("review"))

    def preview(self, size: tuple[int, int], fps: float) -> Iterator[Shown]:
        """What the camera shows, as bare pixels."""
        for reply in self._client.stream("Preview", columns=size[0], rows=size[1], fps=fps, encoding="rgb"):
            yield _shown(reply)

    def commit_enrolment(self, token: str) -> Person:
        """Store the samples as one person."""
        return _read(Person, self._client.call("CommitEnrolment", token=token).get("person"))

    def forget(self, name: str) -> None:
        """Remove a person."""
        self._client.call("Forget", name=name)

    def set_terms(
        self, name: str, changes: Mapping[str, str | bool], *, clears_guards: bool = False
    ) -> Person:
        """Change on what terms somebody may come in; what is not in `changes` stays."""
        given: dict[str, Any] = {"name": name, **changes}
        if clears_guards:
            given["clears_guards"] = True
        reply = self._client.call("SetTerms", **given)
        return _read(Person, reply.get("person"))

    def rename(self, name: str, to: str) -> Person:
        """Call somebody by another name."""
        return _read(Person, self._client.call("Rename", name=name, to=to).get("person"))

    def suspend(self, name: str) -> Person:
        """Let somebody in no more."""
        return _read(Person, self._client.call("Suspend", name=name).get("person"))

    def resume(self, name: str) -> Person:
        """Let somebody in again."""
        return _read(Person, self._client.call("Resume", name=name).get("person"))

    def explain(self, name: str, at: str) -> Explanation:
        """What spoke for and against somebody at a time."""
        reply = self._client.call("Explain", reply_within_s=_SLOW_S, name=name, at=at)
        told = _read(Explanation, reply.get("explanation"))
        return replace(
            told,
            questions=_read_all(Question, told.questions),
            changes_since=_read_all(Entry, told.changes_since),
            entries=_read_all(Entry, told.entries),
        )

    def dispute(self, number: int) -> Dispute:
        """Say that an unlock was not of whom it names."""
        reply = self._client.call("DisputeUnlock", reply_within_s=_SLOW_S, number=number)
        return _read(Dispute, reply.get("dispute"))

    def confirm(self, name: str) -> None:
        """Give the word for somebody."""
        self._client.call("ConfirmSecondFactor", name=name)

    def unlock_face(self) -> None:
        """Forgive all failed tries."""
        self._client.call("UnlockFace")

    def log(self, since: str, limit: int) -> list[Entry]:
        """Lines of the door log, oldest first."""
        return _read_all(Entry, self._client.call("GetLog", since=since, limit=limit).get("entries"))

    def export_log(self, after: int, limit: int) -> list[Exported]:
        """Lines of the door log with their tags, after that number."""
        reply = self._client.call("ExportLog", after=after, limit=limit)
        return _read_all(Exported, reply.get("lines"))

    def verify_log(self) -> int:
        """How far the door finds its log whole."""
        return int(self._client.call("VerifyLog").get("last", 0))

    def snapshot(self, number: int) -> bytes:
        """The JPEG that was kept of a refusal."""
        return binascii.a2b_base64(str(self._client.call("GetSnapshot", number=number).get("jpeg")))

    def log_checkpoint(self) -> str:
        """A checkpoint to carry away."""
        return str(self._client.call("LogCheckpoint").get("checkpoint"))

    def doctor(self) -> list[Finding]:
        """What the daemon finds when it checks itself."""
        return _read_all(Finding, self._client.call("Doctor").get("findings"))

    def measure(self, seconds: float) -> Measurement:
        """How long every stage takes on what the camera shows now."""
        reply = self._client.call("Measure", reply_within_s=seconds + CALL_TIMEOUT_S, seconds=seconds)
        measured = _read(Measurement, reply.get("measurement"))
        return replace(measured, stages=_read_all(Timing, measured.stages))

    def vault(self) -> VaultStatus:
        """How the vault is."""
        return _read(VaultStatus, self._client.call("GetVault").get("vault"))

    def back_up_vault(self) -> str:
        """Make a verified backup; its name."""
        return str(self._client.call("BackUpVault").get("name"))

    def restore_vault(self, name: str, accept_older: bool) -> str:
        """Put a copy in the vault's place; which one."""
        return str(
            self._client.call(
                "RestoreVault", reply_within_s=_SLOW_S, name=name, accept_older=accept_older
            ).get("name")
        )

    def rekey_vault(self) -> None:
        """Change the vault's key."""
        self._client.call("RekeyVault", reply_within_s=_SLOW_S)

    def renew_vault(self) -> None:
        """Seal every record anew."""
        self._client.call("RenewVault", reply_within_s=_SLOW_S)

    def export_people(self, passphrase: str, to: str) -> str:
        """A parcel with everybody, base64."""
        return str(
            self._client.call("ExportPeople", reply_within_s=_SLOW_S, passphrase=passphrase, to=to).get(
                "parcel"
            )
        )

    def add_parcel_part(self, part: str) -> None:
        """Send a piece of a parcel's base64 text."""
        self._client.call("AddParcelPart", part=part)

    def import_people(self, passphrase: str, signed_by: str) -> list[Person]:
        """Enrol everybody in the parcel sent before."""
        reply = self._client.call(
            "ImportPeople", reply_within_s=_SLOW_S, passphrase=passphrase, signed_by=signed_by
        )
        return _read_all(Person, reply.get("people"))

    def observe(self) -> Iterator[tuple[Sight, list[Told], list[str], int]]:
        """What the door does: how it is, what is told, what else is heard, how much was dropped."""
        for reply in self._client.stream("Observe", reply_within_s=_SIGN_OF_LIFE_S):
            told, hears = _read_all(Told, reply.get("told")), reply.get("hears")
            if not isinstance(hears, list):
                raise _foreign(Told)
            yield _read(Sight, reply.get("sight")), told, list(map(str, hears)), int(reply.get("missed", 0))

    def watch(self) -> Iterator[tuple[Event, int]]:
        """Decisions as they fall, and how many were dropped before each."""
        for reply in self._client.stream("Watch"):
            yield _read(Event, reply.get("event")), int(reply.get("missed", 0))


def _shown(replied: object) -> Shown:
    if not isinstance(replied, dict):
        raise _foreign(Scene)
    try:
        pixels = binascii.a2b_base64(str(replied["picture"]))
        width, height = int(replied["width"]), int(replied["height"])
    except (KeyError, ValueError) as e:
        raise _foreign(Scene) from e
    if len(pixels) != 3 * width * height:
        raise _foreign(Scene)
    return Shown(_read(Scene, replied.get("scene")), width, height, pixels)


def _read_all(kind: type[_T], replied: object) -> list[_T]:
    if not isinstance(replied, list):
        raise _foreign(kind)
    return [_read(kind, one) for one in replied]


def _read(kind: type[_T], replied: object) -> _T:
    """The value in a reply. What a newer daemon adds is left out; what an older one lacks is as it was."""
    if not isinstance(replied, dict):
        raise _foreign(kind)
    known = {field.name for field in fields(kind)}
    try:
        return kind(**{name: value for name, value in replied.items() if name in known})
    except TypeError as e:  # one without a default is missing
        raise _foreign(kind) from e


def _foreign(kind: type[object]) -> ControlError:
    remedy = "use the janusctl that came with this janusd"
    return ControlError(f"janusd's reply is not the {kind.__name__} this janusctl knows", remedy)
