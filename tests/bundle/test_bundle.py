"""Model bundles: what is refused, and that it is refused in one sentence with a next step."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from hypothesis import given
from hypothesis import strategies as st

from janusd import models
from janusd.bundle import check
from janusd.bundle import format as layout
from janusd.bundle.keys import PROJECT_KEY, TrustedKey, read_public_key, trusted_keys
from janusd.errors import ModelError
from support.bundles import KEYS, VECTORS, maker, write_bundle, write_folder, write_public_key
from support.damage import flip

EXPECT = json.loads((VECTORS / "bundles" / "expect.json").read_text())
GOOD = (VECTORS / "bundles" / "good.janus").read_bytes()


@pytest.mark.parametrize("name", [name for name in EXPECT if name != "good"])
def test_a_bad_bundle_is_refused_in_one_sentence_with_what_to_do(name: str) -> None:
    path = VECTORS / "bundles" / f"{name}.janus"
    with pytest.raises(ModelError) as refusal:
        check.verify(path, KEYS)
    assert EXPECT[name] in str(refusal.value)
    assert str(path) in refusal.value.what
    assert refusal.value.remedy
    assert "\n" not in str(refusal.value)


def test_the_frozen_bundles_are_what_the_script_makes() -> None:
    made = maker.make()
    assert {name: refusal for name, (_, refusal) in made.items()} == EXPECT
    for name, (raw, _) in made.items():
        assert (VECTORS / "bundles" / f"{name}.janus").read_bytes() == raw, name


def test_a_good_bundle_gives_the_very_bytes_that_were_hashed() -> None:
    signed = check.verify_bytes(GOOD, KEYS, "good")
    assert signed.encoder == maker.ENCODER
    assert signed.raw == GOOD
    assert signed.title == "tiny version 1"
    assert signed.signer == KEYS[0]


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_any_flipped_bit_is_refused(bit: int) -> None:
    with pytest.raises(ModelError):
        check.verify_bytes(flip(GOOD, bit), KEYS, "flipped")


@given(st.integers(0, len(GOOD) - 1))
def test_any_shortened_bundle_is_refused(length: int) -> None:
    with pytest.raises(ModelError):
        check.verify_bytes(GOOD[:length], KEYS, "short")


@given(st.binary(max_size=300))
def test_whatever_is_no_bundle_is_refused_and_nothing_else_happens(raw: bytes) -> None:
    for bytes_given in (raw, GOOD[:16] + raw, GOOD[:116] + raw):
        with pytest.raises(ModelError):
            check.verify_bytes(bytes_given, KEYS, "noise")


def test_nothing_signed_is_parsed_before_the_signature_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*_: object, **__: object) -> None:
        raise AssertionError("parsed too early")

    monkeypatch.setattr(layout.msgspec.json, "decode", parsed)
    for name in ("stranger", "unsigned", "signature-bit", "index-bit"):
        with pytest.raises(ModelError):
            check.verify(VECTORS / "bundles" / f"{name}.janus", KEYS)


def test_the_same_files_and_key_give_the_same_bundle_whatever_their_order() -> None:
    content = maker.files()
    turned = dict(reversed(content.items()))
    assert maker.signed(content) == maker.signed(turned) == GOOD


def test_a_signature_over_something_else_with_the_same_key_does_not_count() -> None:
    head = layout.cut_head(GOOD, "")
    forged = layout.pack_head(head.key_id, maker.KEY.sign(head.index), head.index)  # without our context
    with pytest.raises(ModelError, match="does not fit"):
        check.verify_bytes(forged + GOOD[head.length :], KEYS, "forged")


def test_too_large_a_file_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = tmp_path / "huge.janus"
    with huge.open("wb") as file:
        file.truncate(100 << 30)  # a sparse file: it takes no room, and reading it whole would kill us
    with pytest.raises(ModelError, match=f"larger than the {layout.MAX_BYTES:,} bytes"):
        check.verify(huge, KEYS)
    monkeypatch.setattr(layout, "MAX_BYTES", 1000)
    with pytest.raises(ValueError, match="are more than the 1,000 a door reads"):
        maker.signed(maker.files())


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="not a regular file"):
        check.verify(tmp_path / "pipe", KEYS)
    with pytest.raises(ModelError, match="cannot be read"):
        check.verify(tmp_path / "nothing.janus", KEYS)


def test_no_name_that_leaves_its_folder_can_be_packed() -> None:
    for name in ("../evil", "/etc/passwd", "a/b", "", ".", "..", ".hidden", "a" * 65, "a\nb", "a\\b"):
        with pytest.raises(ValueError, match="no name a bundle may hold"):
            maker.signed({name: b""})


# Model folders


def test_a_signed_folder_is_believed_and_an_unsigned_one_is_not(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "models")
    assert check.verify(folder, KEYS).encoder == maker.ENCODER
    (folder / "model.sig").unlink()
    with pytest.raises(ModelError, match="is not signed"):
        check.verify(folder, KEYS)


@pytest.mark.parametrize("name", ["manifest.json", "tiny.tflite", "model.sig"])
def test_a_changed_file_of_a_folder_is_refused_and_named(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path / "models")
    path = folder / name
    path.write_bytes(flip(path.read_bytes(), 8 * (path.stat().st_size - 9)))
    with pytest.raises(ModelError, match=name):
        check.verify(folder, KEYS, whole=False)


def test_a_changed_model_card_is_refused_when_the_whole_is_looked_at(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "models")
    (folder / "MODEL_CARD.md").write_text("recognises everybody")
    with pytest.raises(ModelError, match=r"MODEL_CARD\.md"):
        check.verify(folder, KEYS)
    check.verify(folder, KEYS, whole=False)  # a door runs no model card


def test_a_folder_whose_manifest_was_exchanged_with_its_own_signature_of_another_key_is_refused(
    tmp_path: Path,
) -> None:
    """Whoever can replace model and manifest cannot exchange both any more."""
    folder = write_folder(tmp_path / "models")
    encoder = maker.flipped(maker.ENCODER, 900)
    content = maker.files(maker.manifest("2", encoder), encoder)
    for name, raw in content.items():
        (folder / name).write_bytes(raw)
    with pytest.raises(ModelError, match="not the released model"):
        check.verify(folder, KEYS, whole=False)
    head = layout.make_head(content, maker.public_of(maker.STRANGER), maker.STRANGER.sign)
    (folder / "model.sig").write_bytes(head)
    with pytest.raises(ModelError, match="does not trust"):
        check.verify(folder, KEYS, whole=False)


# Keys


def test_the_projects_key_and_the_owners_are_trusted(tmp_path: Path) -> None:
    assert [key.name for key in trusted_keys(tmp_path / "none")] == ["janusd"]
    keys = trusted_keys(write_public_key(tmp_path / "keys"))
    assert [key.name for key in keys] == ["janusd", str(tmp_path / "keys" / "owner.pub")]
    assert check.verify_bytes(GOOD, keys, "good").signer.name.endswith("owner.pub")


def test_a_key_that_others_could_have_written_is_not_believed(tmp_path: Path) -> None:
    folder = write_public_key(tmp_path / "keys")
    (folder / "owner.pub").chmod(0o666)
    with pytest.raises(ModelError, match=r"owner\.pub stands open to others"):
        trusted_keys(folder)
    (folder / "owner.pub").chmod(0o644)
    folder.chmod(0o777)
    with pytest.raises(ModelError, match="stands open to others"):
        trusted_keys(folder)


@pytest.mark.parametrize("content", [b"", b"ssh-ed25519 AAAA", bytes(32), None])
def test_a_file_that_is_no_ed25519_key_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd.pub"
    if content is None:
        content = (
            x25519.X25519PrivateKey.generate()
            .public_key()
            .public_bytes(maker.Encoding.PEM, maker.PublicFormat.SubjectPublicKeyInfo)
        )
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"odd\.pub"):
        read_public_key(path)


# What comes with this version, and what a door takes


def test_the_models_that_come_with_this_version_are_signed_whole_with_the_projects_key() -> None:
    """After any change to daemon/janusd/models: janus-export release daemon/janusd/models --key KEYFILE."""
    signed = check.verify(models.RELEASED, [TrustedKey("janusd", read_public_key(PROJECT_KEY))])
    names = {path.name for path in models.RELEASED.iterdir() if path.suffix in (".tflite", ".json", ".md")}
    assert names <= set(signed.files)


def test_a_door_runs_the_bytes_that_were_verified(tmp_path: Path) -> None:
    keys = write_public_key(tmp_path / "keys")
    for place in (write_bundle(tmp_path / "a.janus"), write_folder(tmp_path / "models")):
        taken = models.for_door(str(place), keys)
        assert taken.encoder == maker.ENCODER
        assert taken.signed_by.startswith(str(keys / "owner.pub"))
    with pytest.raises(ModelError, match="does not trust"):
        models.for_door(str(tmp_path / "a.janus"), tmp_path / "no-keys")


def test_without_a_configured_place_a_door_takes_the_installed_bundle_else_the_shipped_models(
    tmp_path: Path,
) -> None:
    keys, installed = write_public_key(tmp_path / "keys"), tmp_path / "installed.janus"
    assert models.for_door("", keys, installed).encoder == models.load().encoder
    write_bundle(installed)
    assert models.for_door("", keys, installed).encoder == maker.ENCODER
    installed.write_bytes(flip(installed.read_bytes(), 9000))
    with pytest.raises(ModelError):  # never passed over in silence
        models.for_door("", keys, installed)
