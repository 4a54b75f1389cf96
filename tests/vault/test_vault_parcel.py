"""People carried from one door to another."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault_kit import DEVICE, MODEL, embeddings

from janusd.core.terms import Second, Terms
from janusd.errors import EnrolmentRefused, InstallerError, VaultDamaged
from janusd.vault import parcel as parcels
from janusd.vault.format import Record
from janusd.vault.parcel import Identity, pack, unpack

PASSPHRASE = "correct horse battery staple"
HERE, THERE = Identity.of(b"h" * 32, DEVICE), Identity.of(b"t" * 32, b"e" * 32)
PEOPLE = (
    Record("Ada", "mon-fri 08:00-18:00", "2026-11-22T12:00:00+00:00", embeddings(1)),
    Record("李小龍", "", "2026-11-22T12:00:00+00:00", embeddings(2, samples=3)),
)
TO_THERE = pack(PEOPLE, MODEL, HERE, to=THERE.address)
STRETCHED = pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE)


def test_people_arrive_as_they_were_sent() -> None:
    parcel = pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE)
    opened = unpack(parcel, MODEL, THERE, passphrase=PASSPHRASE, signed_by=HERE.signs_as)
    assert opened.signed_by == HERE.signs_as
    for sent, came in zip(PEOPLE, opened.people, strict=True):
        assert (sent.name, sent.hours, sent.enrolled_at) == (came.name, came.hours, came.enrolled_at)
        np.testing.assert_array_equal(sent.embeddings, came.embeddings)
    for secret in (b"Ada", b"08:00", PEOPLE[0].embeddings.tobytes()[:16]):
        assert secret not in parcel


@pytest.fixture
def without_argon2id(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a library that is too old."""
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.kdf.argon2", None)


def how_of(parcel: bytes) -> parcels.How:
    return parcels.How(parcels._split(parcel)[0].how)


def test_a_passphrase_is_stretched_with_argon2id() -> None:
    assert how_of(pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE)) is parcels.How.ARGON2ID


@pytest.mark.usefixtures("without_argon2id")
def test_without_argon2id_it_is_scrypt_and_a_parcel_that_needs_it_says_so() -> None:
    parcel = pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE)
    assert how_of(parcel) is parcels.How.SCRYPT
    assert len(unpack(parcel, MODEL, THERE, passphrase=PASSPHRASE).people) == 2
    with pytest.raises(InstallerError, match="sealed with Argon2id"):
        unpack(STRETCHED, MODEL, THERE, passphrase=PASSPHRASE)


def test_a_parcel_of_scrypt_opens_where_argon2id_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as older:
        older.setattr(parcels, "_preferred", lambda: parcels.How.SCRYPT)
        parcel = pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE)
    assert how_of(parcel) is parcels.How.SCRYPT
    assert len(unpack(parcel, MODEL, THERE, passphrase=PASSPHRASE).people) == 2


def test_another_passphrase_opens_nothing() -> None:
    parcel = pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE)
    with pytest.raises(VaultDamaged, match="passphrase is another"):
        unpack(parcel, MODEL, THERE, passphrase=PASSPHRASE + "!")


def test_a_parcel_for_one_door_opens_at_no_other() -> None:
    assert len(unpack(TO_THERE, MODEL, THERE).people) == 2
    with pytest.raises(VaultDamaged, match="for another door"):
        unpack(TO_THERE, MODEL, HERE)


def test_a_parcel_of_another_encoder_or_signer_is_refused_by_name() -> None:
    with pytest.raises(EnrolmentRefused, match="another encoder"):
        unpack(TO_THERE, b"n" * 32, THERE)
    with pytest.raises(EnrolmentRefused, match="not by the one you named"):
        unpack(TO_THERE, MODEL, THERE, signed_by=THERE.signs_as)


@pytest.mark.parametrize("passphrase", ["", "short", "elevenchars"])
def test_a_passphrase_that_can_be_guessed_is_refused(passphrase: str) -> None:
    with pytest.raises(EnrolmentRefused, match="can be guessed"):
        pack(PEOPLE, MODEL, HERE, passphrase=passphrase)


def test_a_short_passphrase_typed_at_the_other_door_is_only_the_wrong_one() -> None:
    with pytest.raises(VaultDamaged, match="the passphrase is another"):
        unpack(pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE), MODEL, THERE, passphrase="short")


@pytest.mark.parametrize("to", ["xyz", "00", "0" * 63])
def test_an_address_that_is_none_is_refused(to: str) -> None:
    with pytest.raises(EnrolmentRefused, match="is no door's key"):
        pack(PEOPLE, MODEL, HERE, to=to)


@settings(max_examples=150)
@given(data=st.data())
def test_any_flipped_bit_is_refused(data: st.DataObject) -> None:
    altered = bytearray(TO_THERE)
    bit = data.draw(st.integers(0, 8 * len(altered) - 1))
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises((VaultDamaged, EnrolmentRefused)):
        unpack(bytes(altered), MODEL, THERE)


@given(st.binary(max_size=300))
def test_random_bytes_never_open_and_never_crash(junk: bytes) -> None:
    for parcel in (junk, b"JVP1" + junk):
        with pytest.raises((VaultDamaged, EnrolmentRefused)):
            unpack(parcel, MODEL, THERE)


def test_a_cut_parcel_is_refused() -> None:
    for cut in range(0, len(TO_THERE), 97):
        with pytest.raises(VaultDamaged):
            unpack(TO_THERE[:cut], MODEL, THERE)


def test_a_point_of_small_order_is_refused() -> None:
    with pytest.raises((VaultDamaged, ValueError)):
        unpack(pack(PEOPLE, MODEL, HERE, to=bytes(32).hex()), MODEL, THERE)


def test_terms_go_along_so_that_nobody_suspended_here_is_welcome_there() -> None:
    suspended = Terms(is_suspended=True, second=Second.CODE, code="3-1-4-2")
    person = replace(PEOPLE[0], terms=suspended, guards=embeddings(9, 1))
    parcel = pack((person,), MODEL, HERE, to=THERE.address)
    (arrived,) = unpack(parcel, MODEL, THERE).people
    assert arrived.terms == suspended
    assert len(arrived.guards) == 0  # those are of other faces, and of that door
