"""People carried from one door to another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vault_kit import DEVICE, MODEL, embeddings

from janusd.errors import EnrolmentRefused, VaultDamaged
from janusd.vault.format import Record
from janusd.vault.parcel import Identity, pack, unpack

PASSPHRASE = "correct horse battery staple"
HERE, THERE = Identity.of(b"h" * 32, DEVICE), Identity.of(b"t" * 32, b"e" * 32)
PEOPLE = (
    Record("Ada", "mon-fri 08:00-18:00", "2026-11-22T12:00:00+00:00", embeddings(1)),
    Record("李小龍", "", "2026-11-22T12:00:00+00:00", embeddings(2, samples=3)),
)
TO_THERE = pack(PEOPLE, MODEL, HERE, to=THERE.address)


def test_people_arrive_as_they_were_sent() -> None:
    parcel = pack(PEOPLE, MODEL, HERE, passphrase=PASSPHRASE)
    opened = unpack(parcel, MODEL, THERE, passphrase=PASSPHRASE, signed_by=HERE.signs_as)
    assert opened.signed_by == HERE.signs_as
    for sent, came in zip(PEOPLE, opened.people, strict=True):
        assert (sent.name, sent.hours, sent.enrolled_at) == (came.name, came.hours, came.enrolled_at)
        np.testing.assert_array_equal(sent.embeddings, came.embeddings)
    for secret in (b"Ada", b"08:00", PEOPLE[0].embeddings.tobytes()[:16]):
        assert secret not in parcel


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
