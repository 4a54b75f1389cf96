"""janus-export keygen."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

WHAT = "make a key that signs releases"
MORE = (
    "Keep KEYFILE to yourself and outside the repository; whoever has it can make a door believe any model. "
    "Put the .pub file beside it into /etc/janus/model-keys of your doors."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("key", type=Path, metavar="KEYFILE", help="where the key is written, mode 0600")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd.bundle.keys import TrustedKey, read_public_key
    from janusd_export.compiling.signing import make_key

    public = make_key(options.key)
    key = TrustedKey(str(public), read_public_key(public))
    if options.json:
        print(json.dumps({"key": str(options.key), "public": str(public), "id": key.id.hex()}, indent=2))
        return
    print(f"{options.key}: the key, for you alone. Keep a copy off this machine: without it no door that")
    print("trusts it can be given a new model.")
    print(f"{public}: its public half, id {key.id.hex()[:16]}, for /etc/janus/model-keys of your doors")
