"""Makes bundles/*.janus, each named by its flaw, and bundles/expect.json, which says how each is refused.

The signing key is made of a fixed seed, so that anybody can rebuild the files, byte for byte:

    python tests/vectors/make_bundles.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from janusd.bundle import format as layout

HERE = Path(__file__).parent
FOLDER = HERE / "bundles"


def seeded(byte: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([byte]) * 32)


def public_of(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


KEY, STRANGER = seeded(1), seeded(2)
ENCODER = (HERE / "tiny-int8.tflite").read_bytes()


def manifest(version: str = "1", encoder: bytes = ENCODER, **more: object) -> dict[str, object]:
    tensor = {"shape": [1, 8, 8, 3], "scale": 0.01, "zero_point": 0, "dtype": "int8"}
    return {
        "format": 1,
        "encoder": {
            "name": "tiny",
            "file": "tiny.tflite",
            "sha256": hashlib.sha256(encoder).hexdigest(),
            "version": version,
            "input": tensor,
            "output": {**tensor, "shape": [1, 4]},
            "template": "arcface-112",
            "detector": "none",
            "calibration": {
                "description": "made up",
                "impostor_comparisons": 1000,
                "genuine_comparisons": 10,
                "table": [
                    {"fmr": 0.1, "threshold": 0.3, "low": 0.2, "high": 0.4},
                    {"fmr": 0.01, "threshold": 0.5, "low": 0.4, "high": 0.6},
                ],
                "tail": {"location": 0.5, "scale": 0.05, "shape": -0.1, "exceed_rate": 0.01},
            },
            **more,
        },
    }


def files(described: dict[str, object] | None = None, encoder: bytes = ENCODER) -> dict[str, bytes]:
    return {
        "MODEL_CARD.md": b"# tiny: recognises nobody\n",
        "manifest.json": json.dumps(described or manifest()).encode(),
        "tiny.tflite": encoder,
    }


def signed(content: dict[str, bytes], key: Ed25519PrivateKey = KEY) -> bytes:
    return layout.make_bundle(content, public_of(key), key.sign)


def signed_index(edit: Callable[[dict[str, object]], object]) -> bytes:
    """A bundle whose index was edited before it was signed: whoever has the key erred, or worse."""
    content = files()
    head = layout.cut_head(layout.make_head(content, public_of(KEY), KEY.sign), "")
    index = json.loads(head.index)
    edit(index)
    raw = json.dumps(index, sort_keys=True, separators=(",", ":")).encode()
    unsigned = layout.Head(head.key_id, b"", raw, 0)
    return layout.pack_head(head.key_id, KEY.sign(unsigned.message), raw) + b"".join(
        content[name] for name in sorted(content)
    )


def unsigned() -> bytes:
    raw = signed(files())
    head = layout.cut_head(raw, "")
    return layout.pack_head(bytes(32), bytes(64), head.index) + raw[head.length :]


def flipped(raw: bytes, place: int) -> bytes:
    changed = bytearray(raw)
    changed[place] ^= 1
    return bytes(changed)


def uncalibrated() -> dict[str, object]:
    described = manifest()
    described["encoder"]["calibration"].update(table=[], impostor_comparisons=0)  # type: ignore[index]
    return described


def make() -> dict[str, tuple[bytes, str]]:
    """Name -> (bytes, what the refusal says; empty for the good one)."""
    good = signed(files())
    head = layout.cut_head(good, "").length
    evil = {**files(), "evil.md": b"x"}
    return {
        "good": (good, ""),
        "unsigned": (unsigned(), "is not signed"),
        "stranger": (signed(files(), STRANGER), "which this device does not trust"),
        "key-id-of-another": (
            good[:16] + layout.key_id(public_of(STRANGER)) + good[48:],
            "which this device does not trust",
        ),
        "signature-bit": (flipped(good, 60), "the signature does not fit"),
        "index-bit": (flipped(good, 130), "the signature does not fit"),
        "index-too-long": (good[:112] + b"\x7f\xff\xff\xff" + good[116:], "its index is not whole"),
        "encoder-bit": (flipped(good, len(good) - 1), "is not the released model's file"),
        "card-bit": (flipped(good, head), "is not the released model's file"),
        "cut-off": (good[:-100], "is cut off, or has something behind its end"),
        "appended": (good + b"#!/bin/sh", "is cut off, or has something behind its end"),
        "not-a-bundle": (ENCODER, "is not a janusd model bundle"),
        "empty": (b"", "is not a janusd model bundle"),
        "parent-folder": (
            signed_index(lambda i: i["files"][0].update(name="../../etc/janus/model-keys/evil.pub")),  # type: ignore[index]
            "would lie outside its folder",
        ),
        "absolute-path": (
            signed_index(lambda i: i["files"][0].update(name="/etc/passwd")),  # type: ignore[index]
            "would lie outside its folder",
        ),
        "file-twice": (
            signed_index(lambda i: i["files"][0].update(name="manifest.json")),  # type: ignore[index]
            "names a file twice",
        ),
        "negative-size": (
            signed_index(lambda i: i["files"][0].update(size=-5)),  # type: ignore[index]
            "is cut off, or has something behind its end",
        ),
        "interface-2": (signed_index(lambda i: i.update(interface=2, files="later")), "update janusd"),
        "interface-0": (
            signed_index(lambda i: i.update(interface=0)),
            "fetch a bundle of this janusd's time",
        ),
        "index-of-another-kind": (
            signed_index(lambda i: i.update(colour="red")),
            "its index is not one this janusd reads",
        ),
        "no-manifest": (
            signed({k: v for k, v in evil.items() if k != "manifest.json"}),
            "holds no manifest.json",
        ),
        "manifest-format-9": (
            signed({**files(), "manifest.json": json.dumps({**manifest(), "format": 9}).encode()}),
            "its manifest is not one this janusd reads",
        ),
        "another-encoder": (
            signed(files(encoder=flipped(ENCODER, 900))),
            "describes another tiny.tflite than the one signed beside it",
        ),
        "no-encoder": (
            signed({k: v for k, v in files().items() if k != "tiny.tflite"}),
            "describes another tiny.tflite than the one signed beside it",
        ),
        "no-calibration": (signed(files(uncalibrated())), "encoder.calibration is missing"),
        "version-in-words": (signed(files(manifest("latest"))), "must be numbers with points"),
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = make()
    for old in FOLDER.glob("*.janus"):
        old.unlink()
    for name, (raw, _) in made.items():
        (FOLDER / f"{name}.janus").write_bytes(raw)
    expect = {name: refusal for name, (_, refusal) in sorted(made.items())}
    (FOLDER / "expect.json").write_text(json.dumps(expect, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
