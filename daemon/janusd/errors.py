"""Every error janusd raises on purpose, arranged by who must act.

    JanusError
    ├── OwnerError            the owner asked for something that cannot be; ask differently
    │   ├── ConfigError       (ValueError)       a field of janus.toml is wrong
    │   ├── PersonNotFound    (LookupError)      nobody of that name is enrolled
    │   ├── PersonExists      (ValueError)       that name is taken
    │   ├── EnrolmentRefused  (ValueError)       these samples do not make a safe template
    │   ├── EnrolmentBusy     (BlockingIOError)  somebody else is enrolling right now
    │   ├── UnusableImage     (ValueError)       a file given as a picture is none
    │   ├── UnusableFace      (ValueError)       a picture given to the SDK shows no face fit for comparison
    │   └── NotAllowed        (PermissionError)  this user may not ask that
    ├── InstallerError        hardware or installation; somebody must go and look
    │   ├── CameraError       (OSError)          the camera cannot be opened, or went away
    │   │   └── CameraExchanged                  another one sits there, or a program: also an alarm
    │   ├── LatchError        (OSError)          the relay line cannot be driven
    │   ├── NetworkError      (RuntimeError)     an accelerator will not run a model
    │   ├── ModelError        (ValueError)       a model file or manifest is not the released one
    │   └── ControlError      (OSError)          the control socket cannot be served or reached
    └── Alarm                 somebody may be tampering; stay locked and say so
        ├── KeyUnavailable    (OSError)          the key is missing or its file is open to others
        ├── VaultLocked       (ValueError)       this key, or this device, does not open the vault
        ├── VaultDamaged      (ValueError)       the vault's bytes are not the ones that were written
        │   ├── VaultNewer                       a newer janusd wrote it
        │   ├── VaultExposed                     its file or folder stands open, or is not a plain file
        │   ├── VaultRolledBack                  it is an older copy, put back
        │   └── AnchorLost                       what would tell an older copy is missing or altered
        ├── JournalBroken     (ValueError)       the door log's hash chain does not close
        └── LedgerBroken      (ValueError)       the tally of failed tries is not ours alone

An absent, blurred or unknown face is not an error: it is a `Decision` with a `Reason`.
Each error says what happened and, after a semicolon, what to do about it.
"""

from __future__ import annotations


class JanusError(Exception):
    """Base of all errors janusd raises on purpose: what happened, and the next step."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}; {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:  # KeyError and OSError would otherwise add quotes or drop the remedy
        return f"{self.what}; {self.remedy}" if self.remedy else self.what


class OwnerError(JanusError):
    """The owner asked for something that cannot be."""


class ConfigError(OwnerError, ValueError):
    """A field of the configuration is wrong; the message names file, key and what is allowed."""


class PersonNotFound(OwnerError, LookupError):
    """Nobody of that name is enrolled at this door."""


class PersonExists(OwnerError, ValueError):
    """Somebody of that name is enrolled already."""


class EnrolmentRefused(OwnerError, ValueError):
    """These samples do not make a safe template."""


class EnrolmentBusy(OwnerError, BlockingIOError):
    """An enrolment is under way; a door enrols one person at a time."""


class UnusableImage(OwnerError, ValueError):
    """A file that was given as a picture is not one."""


class UnusableFace(OwnerError, ValueError):
    """A picture given to the SDK does not show exactly one face fit for comparison."""


class NotAllowed(OwnerError, PermissionError):
    """The user at the other end of the control socket may not ask that."""


class InstallerError(JanusError):
    """Hardware or installation is not as configured."""


class CameraError(InstallerError, OSError):
    """The camera cannot be opened, or stopped giving frames."""


class CameraExchanged(CameraError):
    """Another camera than the one set up, or a program that plays one: the door log calls it an alarm."""


class LatchError(InstallerError, OSError):
    """The line that drives the lock cannot be requested or set."""


class NetworkError(InstallerError, RuntimeError):
    """An accelerator or runtime will not run a model."""


class ModelError(InstallerError, ValueError):
    """A model file or its manifest is not what was released."""


class ControlError(InstallerError, OSError):
    """The control socket cannot be served, or nobody serves it."""


class Alarm(JanusError):
    """Somebody may be tampering: the door stays locked and says so."""


class KeyUnavailable(Alarm, OSError):
    """The vault's key is missing, or stands open to others."""


class VaultLocked(Alarm, ValueError):
    """This key, on this device, does not open this vault."""


class VaultDamaged(Alarm, ValueError):
    """The vault holds bytes that were not written there by this daemon."""


class VaultNewer(VaultDamaged):
    """The vault has a version that this janusd does not know."""


class VaultExposed(VaultDamaged):
    """The vault's file or folder stands open to others, or is not what it should be."""


class VaultRolledBack(VaultDamaged):
    """The vault is an older copy of itself, put back; somebody forgotten since may be in it."""


class AnchorLost(VaultDamaged):
    """The mark outside the vault is missing, altered, or older than the vault."""


class JournalBroken(Alarm, ValueError):
    """The door log was altered: its hash chain does not close."""


class LedgerBroken(Alarm, ValueError):
    """The file that counts failed tries stands open to others."""
