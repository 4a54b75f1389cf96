"""The vault's key: where it comes from, and which thief it stops."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from typing import Any

from janusd import programs
from janusd.cli.setup import memory
from janusd.cli.setup.answers import KeysAnswer
from janusd.cli.setup.memory import Action
from janusd.cli.setup.person import Option
from janusd.cli.setup.scout import Key
from janusd.cli.setup.step import Desk, Quiet, Setting
from janusd.cli.setup.tomledit import Change
from janusd.errors import InstallerError

_USER = "janus"
_WITH = {"tpm": ["--with-key=tpm2"], "board": [], "credential": []}
_PREPARE_S = 120.0
_NOTED = ("key", "binding", "counter")
"""Of [vault]: what opens a vault, and what vouches for it."""


class KeysStep(Quiet):
    """Chooses [vault] key and binding; makes the key and the empty vault where they are missing.

    What is missing beside a vault that is there, such as a counter, is made only where this step alone is
    asked for: the counter vouches from then on for the anchor it finds, which somebody may have put back.
    """

    name = "keys"
    title = "The vault's key"
    about = (
        "Faces are kept as numbers, sealed. Where their key lies decides which thief can read "
        "them: one who takes a "
        "backup, the card, or the whole board. A key is made once and never overwritten: "
        "without it all are lost."
    )

    def look(self, desk: Desk) -> str:
        """Whether there is a vault already, and under which key."""
        if not self._has_vault(desk):
            return "There is no vault yet."
        return f"There is a vault; its key is {self._present(desk) or 'one that setup does not know'}."

    def ask(self, desk: Desk) -> None:
        """Choose, unless a vault is sealed already."""
        person = desk.person
        if self._has_vault(desk):
            person.mark("ok", self.look(desk))
            person.say(f"It stays: another key is given with '{desk.place.typed('vault rekey')}'.", "dim")
            self.suggest(desk)
            return
        keys = desk.found.keys
        options = [Option(key.name, self._stops(key), key.trouble) for key in keys]
        self.suggest(desk)
        chosen = desk.answers.keys.source if desk.answers.keys else "file"
        default = next(number for number, key in enumerate(keys) if key.key == chosen)
        desk.answers.keys = KeysAnswer(keys[person.choose("Which key", options, default)].key)  # type: ignore[arg-type]  # the survey's are these
        if desk.answers.keys.source == "file":
            person.mark(
                "warn",
                "Whoever takes the card can read the faces on it. Good for a workbench, not for a door.",
            )

    def suggest(self, desk: Desk) -> None:
        """As it is, also where that is none of the choices; without a vault the best that can be had here."""
        if desk.answers.keys is None:
            best = next(key.key for key in desk.found.keys if not key.trouble)
            source = self._present(desk) if self._has_vault(desk) else best
            desk.answers.keys = KeysAnswer(source) if source else None  # type: ignore[arg-type]  # likewise

    def check(self, desk: Desk) -> list[str]:
        """It can be had here, and an existing vault keeps its own."""
        answer = desk.answers.keys
        if answer is None:
            return []
        if self._has_vault(desk):
            present = self._present(desk)
            same = {present, *(["tpm", "credential"] if present in ("tpm", "credential") else [])}
            if answer.source not in same:
                return [
                    f"keys.source: the vault here is sealed with {present or 'another key'}; with "
                    f"{answer.source} nobody "
                    "would be recognised any more: keep it, or start anew with an empty vault"
                ]
            return []
        key = self._chosen(desk)
        return [f"keys.source: {answer.source}: {key.trouble}"] if key and key.trouble else []

    def settings(self, desk: Desk) -> list[Setting]:
        """[vault]."""
        key = self._chosen(desk)
        if key is None:
            return []
        settings = [
            Setting("janus", Change("vault", "key", key.source, "credential; file to try things")),
            Setting("janus", Change("vault", "binding", key.binding, "hardware that must answer")),
        ]
        counter = "tpm2" if self._will_count(desk, key) else self._said(desk).get("counter")
        if counter:
            settings.append(
                Setting("janus", Change("vault", "counter", counter, "tells an older disk put back"))
            )
        return settings

    def plan(self, desk: Desk) -> list[str]:
        """What is missing and will be made."""
        key, plan = self._chosen(desk), []
        if key is None:
            return []
        if self._has_vault(desk):
            made = "make what is missing beside the vault, such as its counter; janusd is stopped meanwhile"
            return [made] if desk.steps == (self.name,) else []
        if key.source == "credential" and not desk.place.credential.exists():
            plan.append(f"make a key, sealed in {desk.place.credential}")
        if self._will_count(desk, key):
            plan.append("make a counter in this device's TPM, which tells an older disk that is put back")
        if self._lacks_id(desk):
            plan.append(f"make {desk.place.machine_id}, the id that the vault will be bound to")
        what = "a key and an empty vault" if key.source == "file" else "an empty vault"
        return [*plan, f"make {what} in {desk.place.vault}"]

    def apply(self, desk: Desk) -> None:
        """Make what is missing. Raises InstallerError."""
        key = self._chosen(desk)
        if key is None:
            return
        if self._has_vault(desk):
            if desk.steps == (self.name,):
                _complete(desk, key)
            return
        if key.source == "credential" and not desk.place.credential.exists():
            desk.memory.note(Action(self.name, "credential", str(desk.place.credential)))
            _make_credential(desk, key)
            desk.done.append(f"made a key; it {key.stops}")
        if self._lacks_id(desk):  # not noted: it stays as long as the vault, which undoing leaves
            memory.replace(desk.place.machine_id, f"{secrets.token_hex(16)}\n")
        said = desk.janus.get("vault", {})
        noted = {name: said[name] for name in _NOTED if name in said}
        desk.memory.note(Action(self.name, "vault", str(desk.place.vault), vault=noted))
        _prepare(desk, key)
        what = "a key and an empty vault" if key.source == "file" else "an empty vault"
        desk.done.append(f"made {what} in {desk.place.vault}")

    def undo(self, desk: Desk, action: Action) -> str:
        """A key that seals a vault stays, and so does the vault: undoing must not lose people."""
        if self._has_vault(desk):
            return (
                f"{action.name} stays: people may be in it"
                if action.kind == "vault"
                else f"{action.name} stays"
            )
        if action.kind == "credential" and desk.place.credential.exists():
            memory.remove(desk.place.credential)
            return f"removed {action.name}: nothing was sealed with it"
        return ""

    def _has_vault(self, desk: Desk) -> bool:
        folder = desk.janus.get("vault", {}).get("directory") or desk.place.vault
        return os.path.lexists(os.path.join(folder, "vault.db"))  # noqa: PTH118 - beneath a folder others own

    def _present(self, desk: Desk) -> str:
        """Which of the choices the configuration amounts to."""
        vault = self._said(desk)
        source, binding = vault.get("key", "credential"), vault.get("binding", "none")
        if source == "file":
            return "file" if binding == "none" else ""
        return {"none": "credential", "credential": "board"}.get(binding, "")

    def _said(self, desk: Desk) -> dict[str, Any]:
        """[vault] as it is; where it names no key, as it was noted for the vault that is there."""
        vault: dict[str, Any] = desk.janus.get("vault", {})
        if "key" in vault or not self._has_vault(desk):
            return vault
        return {**vault, **desk.memory.vault(str(desk.place.vault))}

    def _chosen(self, desk: Desk) -> Key | None:
        answer = desk.answers.keys
        if answer is None and self._has_vault(
            desk
        ):  # under a key that setup never gives: what is written counts
            said = self._said(desk)
            source, binding = said.get("key", "credential"), said.get("binding", "none")
            return Key("", source, binding, f"{source}, bound to {binding}", stops_card_thief=False, stops="")
        if answer is None:
            return None
        return next((key for key in desk.found.keys if key.key == answer.source), None)

    def _will_count(self, desk: Desk, key: Key) -> bool:
        """Whether a new vault gets a counter; one that is there keeps what it has."""
        has_tpm = desk.found.tpm and desk.place.is_device and key.source == "credential"
        return has_tpm and not self._has_vault(desk)

    def _lacks_id(self, desk: Desk) -> bool:
        """A folder that stands for a device may have no id; a device has one, or is told how to get it."""
        return not desk.place.is_device and not desk.place.machine_id.exists()

    def _stops(self, key: Key) -> str:
        return f"{key.stops}."


def _make_credential(desk: Desk, key: Key) -> None:
    """Seal 32 random bytes for the unit. They are nowhere in the clear: not in argv, not in a file."""
    path = desk.place.credential
    new = path.with_name(path.name + ".new")
    remedy = "see that systemd-creds works: systemd-creds setup"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        program = shutil.which("systemd-creds") or "systemd-creds"
        done = subprocess.run(  # noqa: S603 - systemd's own program
            [program, "encrypt", "--name=janus-key", *_WITH[key.key], "-", str(new)],
            input=secrets.token_bytes(32), capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode:
            raise InstallerError(f"systemd-creds: {done.stderr.decode(errors='replace').strip()}", remedy)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.chmod(0o600)
        os.link(new, path)  # never over one that is there
        new.unlink()
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallerError(f"cannot make {path}: {error}", remedy) from error


def _complete(desk: Desk, key: Key) -> None:
    """Make what is missing beside a vault, while janusd leaves the anchor alone. Raises InstallerError."""
    state = desk.systemd.state("janusd.service")
    if not state.endswith((" active", " activating")):
        desk.done.extend(_prepare(desk, key))
        return
    desk.systemd.run("stop", "janusd.service")
    try:
        desk.done.extend(_prepare(desk, key))
    finally:
        desk.systemd.run("start", "janusd.service")


def _prepare(desk: Desk, key: Key) -> list[str]:
    """Run `janusd --prepare` as the user who will own the vault; the lines it says.

    Raises InstallerError with what it said.
    """
    again = desk.place.typed("setup --step keys")
    command = programs.command("janusd.main", "--config", str(desk.place.janus), "--prepare")
    user: dict[str, Any] = {}
    if desk.place.is_device and desk.systemd.program:
        loads = []
        if key.source == "credential":  # the former key too: a change of keys may have been cut off
            loads = [f"LoadCredentialEncrypted={name}" for name in ("janus-key", "janus-key-previous")]
        if key.binding == "credential":
            desk.systemd.run("start", "janus-binding.service")
            loads.append("LoadCredential=janus-binding")
        properties = [f"User={_USER}", "StateDirectory=janus janus-anchor", "StateDirectoryMode=0700", *loads]
        run = shutil.which("systemd-run") or "systemd-run"
        command = [run, "--quiet", "--pipe", "--wait", *(f"--property={one}" for one in properties), *command]
    elif desk.place.is_device:
        user = _become(desk)
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, timeout=_PREPARE_S, check=False, **user
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallerError(f"janusd --prepare: {error}", f"then again: {again}") from error
    if done.returncode:
        said = (done.stderr.strip() or f"status {done.returncode}").removeprefix("janusd: ")
        raise InstallerError(f"the vault was not prepared: {said}", f"then: {again}")
    made: str = done.stdout
    return made.splitlines()


def _become(desk: Desk) -> dict[str, Any]:
    """Where no systemd makes the folders: make them for the daemon's user, and run as that user."""
    try:
        its = pwd.getpwnam(_USER)
    except KeyError:
        return {}
    for folder in (desk.place.vault, desk.place.vault.with_name(desk.place.vault.name + "-anchor")):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.chown(folder, its.pw_uid, its.pw_gid)
    return {"user": its.pw_uid, "group": its.pw_gid, "extra_groups": []}
