"""A running door as seen through its socket: the methods of `door.Door`, blocking."""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import fields
from typing import TypeVar

from janusd.cli.client import CALL_TIMEOUT_S, Client
from janusd.door import Entry, Event, Exported, Feedback, Finding, Person, Status, VaultStatus
from janusd.errors import ControlError

_T = TypeVar("_T", Entry, Event, Exported, Feedback, Finding, Person, Status, VaultStatus)

_SLOW_S = 120.0
"""For what stretches a passphrase, or seals everybody anew, on a small board."""


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

    def commit_enrolment(self, token: str) -> Person:
        """Store the samples as one person."""
        return _read(Person, self._client.call("CommitEnrolment", token=token).get("person"))

    def forget(self, name: str) -> None:
        """Remove a person."""
        self._client.call("Forget", name=name)

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

    def log_checkpoint(self) -> str:
        """A checkpoint to carry away."""
        return str(self._client.call("LogCheckpoint").get("checkpoint"))

    def doctor(self) -> list[Finding]:
        """What the daemon finds when it checks itself."""
        return _read_all(Finding, self._client.call("Doctor").get("findings"))

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

    def watch(self) -> Iterator[tuple[Event, int]]:
        """Decisions as they fall, and how many were dropped before each."""
        for reply in self._client.stream("Watch"):
            yield _read(Event, reply.get("event")), int(reply.get("missed", 0))


def _read_all(kind: type[_T], replied: object) -> list[_T]:
    if not isinstance(replied, list):
        raise _foreign(kind)
    return [_read(kind, one) for one in replied]


def _read(kind: type[_T], replied: object) -> _T:
    """The value in a reply. Fields a newer daemon adds are left out."""
    if not isinstance(replied, dict):
        raise _foreign(kind)
    try:
        return kind(**{field.name: replied[field.name] for field in fields(kind)})
    except KeyError as e:
        raise _foreign(kind) from e


def _foreign(kind: type[object]) -> ControlError:
    remedy = "use the janusctl that came with this janusd"
    return ControlError(f"janusd's reply is not the {kind.__name__} this janusctl knows", remedy)
