"""Who is at the other end of a connection, and what they may ask.

The credentials are the kernel's, frozen when the peer connected: a socket handed to another process, or a
setuid afterwards, changes nothing, and a recycled process id is never looked up.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from janusd.errors import ControlError

SO_PEERGROUPS = 59
"""Not in Python's socket module; asm-generic/socket.h, Linux 4.13."""

_MAX_GROUPS_BYTES = 1024
"""What Python's getsockopt reads at most: 256 groups."""


class Role(StrEnum):
    """What a peer is to the door."""

    ROOT = "root"
    """root, or the daemon's own user; may also see match scores."""
    OWNER = "owner"
    """A user, or a member of a group, that the configuration names."""
    OPERATOR = "operator"
    """Looks, suspends people, and switches face unlock on again: takes nobody in, and changes no rules."""
    RESIDENT = "resident"
    """Asks how the door is; who else lives there, and when they come, is not theirs to see."""
    SENSOR = "sensor"
    """A program that gives a second factor, and sees nothing."""
    OBSERVER = "observer"
    """A program that tells a home what the door does: it follows that, and can ask for nothing."""


_OPERATOR_VERBS = frozenset(
    {
        "GetStatus",
        "ListPeople",
        "GetLog",
        "VerifyLog",
        "Doctor",
        "Watch",
        "Explain",
        "Suspend",
        "UnlockFace",
    }
)

VERBS: Mapping[str, frozenset[Role]] = {
    verb: frozenset(
        {
            Role.ROOT,
            Role.OWNER,
            *({Role.OPERATOR} if verb in _OPERATOR_VERBS else ()),
            *({Role.RESIDENT} if verb == "GetStatus" else ()),
            *({Role.SENSOR} if verb == "ConfirmSecondFactor" else ()),
            *({Role.OBSERVER} if verb == "Observe" else ()),
        }
    )
    for verb in (
        "GetStatus",
        "ListPeople",
        "BeginEnrolment",
        "AddImage",
        "AddLive",
        "ReinforcePerson",
        "SetEnrolmentTerms",
        "GuideEnrolment",
        "ReviewEnrolment",
        "Preview",
        "CommitEnrolment",
        "AbandonEnrolment",
        "Forget",
        "SetTerms",
        "Rename",
        "Suspend",
        "Resume",
        "Explain",
        "DisputeUnlock",
        "ConfirmSecondFactor",
        "UnlockFace",
        "GetLog",
        "ExportLog",
        "VerifyLog",
        "GetSnapshot",
        "LogCheckpoint",
        "Doctor",
        "Measure",
        "Watch",
        "Observe",
        "GetVault",
        "BackUpVault",
        "RestoreVault",
        "RekeyVault",
        "RenewVault",
        "ExportPeople",
        "AddParcelPart",
        "ImportPeople",
    )
}
"""Verb -> the roles that may ask it. A verb that is not listed may be asked by nobody."""

ADMIN_ACTS = frozenset(
    {
        "BeginEnrolment",
        "ReinforcePerson",
        "CommitEnrolment",
        "Preview",
        "Forget",
        "SetTerms",
        "Rename",
        "Suspend",
        "Resume",
        "DisputeUnlock",
        "ConfirmSecondFactor",
        "UnlockFace",
        "GetSnapshot",
        "LogCheckpoint",
        "RestoreVault",
        "RekeyVault",
        "RenewVault",
        "ExportPeople",
        "ImportPeople",
    }
)
"""Verbs that change who may enter, or look through the camera; each request is logged with its user."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as it was when it connected."""

    pid: int
    """For the log only; it may have been recycled since."""
    uid: int
    gids: frozenset[int]
    """Primary and supplementary groups."""

    @classmethod
    def of(cls, sock: socket.socket) -> Peer:
        """Ask the kernel. Raises ControlError where it will not say."""
        try:
            credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid, uid, gid = struct.unpack("3i", credentials)
            packed = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _MAX_GROUPS_BYTES)
        except OSError as e:
            raise ControlError(f"cannot tell who connected to the control socket: {e}") from e
        groups = struct.unpack(f"{len(packed) // 4}I", packed)
        return cls(pid, uid, frozenset({gid, *groups}))


@dataclass(frozen=True, slots=True)
class Access:
    """Which users are what to this door. Asked again at every request."""

    owner_uids: frozenset[int] = frozenset()
    owner_gids: frozenset[int] = frozenset()
    daemon_uid: int = field(default_factory=os.geteuid)
    named: Mapping[int, Role] = field(default_factory=dict)
    """Users who are that alone, even where they are in the owners' group."""
    observers_hear: frozenset[str] = frozenset()
    """What observers are told besides: "names", "duress"."""

    def roles(self, peer: Peer) -> frozenset[Role]:
        """What that user is; an empty set for a stranger."""
        roles = set()
        if peer.uid in (0, self.daemon_uid):
            roles.add(Role.ROOT)
        if peer.uid in self.owner_uids:
            roles.add(Role.OWNER)
        elif peer.uid in self.named:
            roles.add(self.named[peer.uid])
        elif peer.gids & self.owner_gids:
            roles.add(Role.OWNER)
        return frozenset(roles)

    def allows(self, verb: str, peer: Peer) -> bool:
        """Whether that user may ask that verb."""
        return bool(self.roles(peer) & VERBS.get(verb, frozenset()))

    def shows_scores(self, peer: Peer) -> bool:
        """Whether match scores are shown: only to root, for a score tells an attacker how near they are."""
        return Role.ROOT in self.roles(peer)

    def owns(self, peer: Peer) -> bool:
        """Whether that user may ask all that may be asked of a door."""
        return bool(self.roles(peer) & {Role.ROOT, Role.OWNER})

    def shows_duress(self, peer: Peer) -> bool:
        """Whether it is told that somebody can call for help at the door, or did: only to owners."""
        return self.owns(peer)

    @property
    def uids(self) -> frozenset[int]:
        """Everybody who is named by number, and must be able to connect."""
        return self.owner_uids | frozenset(self.named)

    def hears(self, peer: Peer) -> frozenset[str]:
        """What that user is told of besides codes: owners all, an observer what the owner said."""
        return frozenset({"names", "duress"}) if self.shows_duress(peer) else self.observers_hear
