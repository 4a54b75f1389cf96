"""`janusctl model`: look at signed model bundles and install one.

Nothing here asks the daemon to do it: a bundle is checked from its bytes alone, on a laptop too, and a door
whose model does not start must be mendable. docs/adr/0007 says why root writes it and the daemon does not.
"""

# ruff: noqa: PLC0415  # what verifies takes longer to import than the other verbs take to answer

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from janusd.cli.client import Client
from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.errors import JanusError
from janusd.escape import escape

if TYPE_CHECKING:
    from janusd.bundle.check import Signed
    from janusd.bundle.keys import TrustedKey

_RESTART = "systemctl restart janusd"


def arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Declare `verify`, `install` and `show`."""
    keys = argparse.ArgumentParser(add_help=False)
    keys.add_argument(
        "--keys", type=Path, metavar="DIR", help="public keys trusted besides ours (/etc/janus/model-keys)"
    )
    keys.add_argument(
        "--installed", type=Path, metavar="PATH", help="where the installed bundle is kept (below /var/lib)"
    )
    table = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

    def add(name: str, look: Callable[[argparse.Namespace], Exit], does: str) -> argparse.ArgumentParser:
        added = table.add_parser(
            name, help=does, parents=[common, keys], description=f"{does[0].upper()}{does[1:]}."
        )
        added.set_defaults(look=look)
        return added

    one = add("verify", _verify, "check signature and contents of a bundle or model folder; changes nothing")
    one.add_argument("file", type=Path, metavar="FILE", help="a .janus bundle, or a signed model folder")
    one = add("install", _install, "verify a bundle and make it the model of this door, whole or not at all")
    one.add_argument("file", type=Path, metavar="FILE", help="a .janus bundle")
    one.add_argument("--older", action="store_true", help="also when it is older than the present model")
    add("show", _show, "say which model this door runs when it is started, and who signed it")


def run(args: argparse.Namespace) -> Exit:
    """Run one of them."""
    look: Callable[[argparse.Namespace], Exit] = args.look
    return look(args)


def _verify(args: argparse.Namespace) -> Exit:
    from janusd.bundle.check import verify

    _say(args, verify(args.file, _keys(args)))
    return Exit.OK


def _show(args: argparse.Namespace) -> Exit:
    from janusd.bundle.install import INSTALLED, present

    _say(args, present(_keys(args), args.installed or INSTALLED))
    return Exit.OK


def _install(args: argparse.Namespace) -> Exit:
    from janusd.bundle.install import INSTALLED, install

    done = install(args.file, _keys(args), target=args.installed or INSTALLED, allow_older=args.older)
    people = _enrolled(args.socket) if done.asks_to_enrol else None
    if args.json:
        value = {
            **_described(done.now),
            "before": _described(done.before) if done.before else None,
            "changed": not done.was_there,
            "new_encoder": done.is_new_encoder,
            "asks_to_enrol_again": done.asks_to_enrol,
            "people_to_enrol_again": people,
        }
        print(json.dumps(value, indent=2))
        return Exit.OK
    title = escape(done.now.title)
    if done.was_there:
        print(f"{title} was installed already; nothing changed.")
        return Exit.OK
    was = f", in place of {escape(done.before.title)}" if done.before else ""
    print(f"{title} is installed{was}. The door runs it once it is restarted: {_RESTART}")
    print("A [model] directory in janus.toml would come before it.")
    if done.asks_to_enrol:
        which = "encoder" if done.is_new_encoder else "face detector"
        who = {None: "Everybody", 1: "The one person"}.get(people, f"All {people} people")
        print(
            f"The {which} is another one. {who} enrolled so far will not be recognised after the restart:\n"
            "janusctl doctor counts them; forget and enrol each again. Until then their samples stay sealed\n"
            f"to the old {which}: install that one again, with --older, and they are recognised as before."
        )
    return Exit.OK


def _keys(args: argparse.Namespace) -> tuple[TrustedKey, ...]:
    from janusd.bundle.keys import OWNERS_FOLDER, trusted_keys

    return trusted_keys(args.keys or OWNERS_FOLDER)


def _enrolled(socket: Path) -> int | None:
    """How many people the running door knows; None where no door answers."""
    try:
        with Client(socket) as client:
            return len(RemoteDoor(client).people())
    except JanusError:
        return None


def _say(args: argparse.Namespace, signed: Signed) -> None:
    described = _described(signed)
    if args.json:
        print(json.dumps(described, indent=2))
        return
    encoder, calibration = signed.manifest.encoder, signed.manifest.encoder.calibration
    rarest = min(row.fmr for row in calibration.table)
    print(f"{escape(signed.title)}, signed by {escape(str(signed.signer), 300)}")
    print(f"  encoder   {escape(encoder.file)}, SHA-256 {encoder.sha256[:16]}...")
    print(f"  detector  {escape(encoder.detector)}")
    print(f"  measured  {calibration.impostor_comparisons:,} impostor comparisons, an FMR down to {rarest:g}")
    for name, content in signed.files.items():
        print(f"  {len(content):>12,} bytes  {escape(name)}")


def _described(signed: Signed) -> dict[str, object]:
    encoder = signed.manifest.encoder
    return {
        "name": encoder.name,
        "version": encoder.version,
        "sha256": encoder.sha256,
        "detector": encoder.detector,
        "model_digest": signed.manifest.model_digest.hex(),
        "signed_by": signed.signer.name,
        "key": signed.signer.id.hex(),
        "files": {name: len(content) for name, content in signed.files.items()},
    }
