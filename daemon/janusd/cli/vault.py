"""`janusctl vault`: the vault, its copies and keys; `janusctl people export|import`: people on the move.

Everything is asked of the daemon, which alone holds the key.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.cli.verbs import Usage
from janusd.escape import escape

_PART_CHARS = 8192
_LARGEST_BYTES = 8 * 1024 * 1024
_SEALED = ", or --sealed where it was exported to this door's address"


def vault_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Declare `show`, `backup`, `restore`, `rekey` and `renew`."""
    table = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

    def add(
        name: str, act: Callable[[RemoteDoor, argparse.Namespace], Exit], does: str
    ) -> argparse.ArgumentParser:
        added = table.add_parser(
            name, help=does, parents=[common], description=f"{does[0].upper()}{does[1:]}."
        )
        added.set_defaults(act=act)
        return added

    add("show", _show, "say how the vault is, which copies there are, and this door's own keys")
    add("backup", _back_up, "make a backup now and verify it")
    one = add(
        "restore", _restore, "put a copy in the vault's place: the newest good backup, or the one named"
    )
    one.add_argument(
        "name", nargs="?", default="", metavar="NAME", help="as vault show lists it, or vault.db"
    )
    one.add_argument(
        "--accept-older", action="store_true",
        help="also one from before somebody was forgotten, or without an anchor: look who is in it then",
    )  # fmt: skip
    add("rekey", _rekey, "change the vault's key and seal everything anew under it")
    add("renew", _renew, "seal every record anew, so that it has nothing in common with older copies")


def people_arguments(
    parser: argparse.ArgumentParser, common: argparse.ArgumentParser
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """Declare `export` and `import` below `people`, which alone lists them; the table for further ones."""
    table = parser.add_subparsers(dest="what", metavar="WHAT")
    secret = argparse.ArgumentParser(add_help=False)
    secret.add_argument(
        "--passphrase-file", type=Path, metavar="FILE", help="its first line; asked for, if not given"
    )
    one = table.add_parser(
        "export", help="seal everybody into a file for another door", parents=[common, secret],
        description="Seal everybody into a file for another door that runs the same model.",
    )  # fmt: skip
    one.add_argument("file", type=Path, metavar="FILE", help="where to write it; it must not be there yet")
    one.add_argument(
        "--to", default="", metavar="ADDRESS", help="only that door opens it: its address in vault show"
    )
    one.set_defaults(act=_export)
    one = table.add_parser(
        "import", help="enrol everybody in such a file, or nobody", parents=[common, secret],
        description="Enrol everybody in a file that another door exported, or nobody.",
    )  # fmt: skip
    one.add_argument("file", type=Path, metavar="FILE", help="what people export wrote")
    one.add_argument(
        "--from",
        dest="signed_by",
        default="",
        metavar="KEY",
        help="only if that door signed it: its key in vault show",
    )
    one.add_argument(
        "--sealed", action="store_true", help="it was exported to this door's address: no passphrase"
    )
    one.set_defaults(act=_import)
    return table


def run(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Run one of them."""
    act: Callable[[RemoteDoor, argparse.Namespace], Exit] = args.act
    return act(door, args)


def _show(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    vault = door.vault()
    if args.json:
        print(json.dumps(asdict(vault), indent=2))
    else:
        lines = {
            "state": vault.fault or f"well, {vault.change} change{'' if vault.change == 1 else 's'}",
            "key": vault.key,
            "anchor": vault.anchor,
            "backups": ", ".join(vault.backups) or "none",
            "quarantine": ", ".join(vault.quarantine) or "empty",
            "signs as": f"{vault.signs_as} (for people import --from, at another door)",
            "address": f"{vault.address} (for people export --to, at another door)",
        }
        for what, says in lines.items():
            print(f"{what:<11} {escape(says, 500)}")
    return Exit.UNWELL if vault.fault else Exit.OK


def _back_up(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    return _say(args, "backup", door.back_up_vault())


def _restore(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    return _say(args, "restored", door.restore_vault(args.name, args.accept_older))


def _rekey(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    door.rekey_vault()
    return _say(args, "rekeyed", "everything is sealed under a new key; the old one is gone")


def _renew(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    door.renew_vault()
    return _say(args, "renewed", "every record is sealed anew; older backups were removed")


def _export(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    if os.path.lexists(args.file):  # unlike Path.exists, no error of a name that is too long: opening says it
        raise Usage(f"{args.file} is there already; name another file, or move it away")
    passphrase = "" if args.to else _passphrase(args, again=True)
    parcel = base64.b64decode(door.export_people(passphrase, args.to))
    try:
        descriptor = os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(parcel)
    except OSError as e:
        raise Usage(f"{args.file} cannot be written: {e.strerror}") from e
    if args.json:
        return _say(args, "exported", str(args.file))
    how = " --sealed" if args.to else ""
    print(f"exported: {escape(str(args.file), 500)}; take it to the other door, and there:")
    print(f"  janusctl people import FILE{how} --from {door.vault().signs_as}")
    return Exit.OK


def _import(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    try:
        parcel = args.file.read_bytes()
    except OSError as e:
        raise Usage(f"{args.file} cannot be read: {e.strerror}") from e
    if len(parcel) > _LARGEST_BYTES:
        raise Usage(f"{args.file} is too large to be people of a door")
    passphrase = "" if args.sealed else _passphrase(args, again=False, otherwise=_SEALED)
    text = base64.b64encode(parcel).decode("ascii")
    for start in range(0, len(text), _PART_CHARS):
        door.add_parcel_part(text[start : start + _PART_CHARS])
    people = door.import_people(passphrase, args.signed_by)
    if args.json:
        print(json.dumps([asdict(person) for person in people], indent=2))
    else:
        print(f"enrolled {len(people)}: {escape(', '.join(person.name for person in people), 2000)}")
    return Exit.OK


def _passphrase(args: argparse.Namespace, *, again: bool, otherwise: str = "") -> str:
    if args.passphrase_file is not None:
        try:
            return str(args.passphrase_file.read_text(encoding="utf-8")).split("\n", 1)[0]
        except (OSError, UnicodeDecodeError) as e:
            raise Usage(f"{args.passphrase_file} cannot be read as text") from e
    if not sys.stdin.isatty():
        raise Usage(f"there is nobody here to ask for a passphrase; add --passphrase-file FILE{otherwise}")
    first = getpass.getpass("Passphrase: ")
    if again and getpass.getpass("Again: ") != first:
        raise Usage("the two passphrases differ; nothing was exported")
    return first


def _say(args: argparse.Namespace, what: str, says: str) -> Exit:
    print(json.dumps({what: says}, indent=2) if args.json else f"{what}: {escape(says, 500)}")
    return Exit.OK
