"""Laws of the sealed bytes. Not tested here: that the primitives are what their names say."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import aead
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.terms import ALWAYS, Role, Second, Terms
from janusd.errors import InstallerError, VaultDamaged
from janusd.vault import format as sealed
from janusd.vault.format import Algorithm, Place, Record

KEY = bytes(range(32))
PLACE = Place(b"d" * 32, b"p" * 16, b"t" * 16, b"m" * 32, 7)

here = pytest.mark.skipif(
    sealed.preferred_algorithm() is not Algorithm.AES_256_GCM_SIV, reason="this cryptography has no GCM-SIV"
)
both = pytest.mark.parametrize(
    "algorithm", [pytest.param(Algorithm.AES_256_GCM_SIV, marks=here), Algorithm.AES_256_GCM]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
terms = st.sampled_from(
    [
        ALWAYS,
        Terms(Role.OWNER, is_suspended=True),
        Terms(Role.GUEST, valid_until=datetime(2026, 12, 24, 18, tzinfo=UTC), needs_two=True),
        Terms(valid_from=datetime(2026, 1, 1, tzinfo=UTC), second=Second.CODE, code="3-1-4-2"),
        Terms(second=Second.CONFIRM),
    ]
)
records = st.builds(
    lambda name, hours, at, shape, guards, seed, terms: Record(
        name, hours, at, rows(seed, shape), terms, rows(seed + 1, (guards, shape[1]))
    ),
    texts,
    texts,
    texts,
    st.tuples(st.integers(0, 8), st.integers(1, 130)),
    st.integers(0, 3),
    st.integers(0, 2**32),
    terms,
)


def rows(seed: int, shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same(a: Record, b: Record) -> bool:
    words = [(one.name, one.hours, one.enrolled_at, one.terms) for one in (a, b)]
    return words[0] == words[1] and all(
        np.array_equal(one, other) for one, other in ((a.embeddings, b.embeddings), (a.guards, b.guards))
    )


@both
@given(record=records)
def test_a_sealed_record_opens_as_it_was(algorithm: Algorithm, record: Record) -> None:
    box = sealed.seal_record(KEY, record, PLACE, algorithm)
    opened = sealed.open_record(KEY, box, PLACE)
    assert same(record, opened)
    assert opened.embeddings.dtype == np.float32
    assert box[:2] == bytes((1, algorithm))


@both
@given(data=st.data())
def test_any_flipped_bit_is_refused(algorithm: Algorithm, data: st.DataObject) -> None:
    box = bytearray(sealed.seal(KEY, data.draw(st.binary(max_size=200)), b"here", algorithm))
    bit = data.draw(st.integers(0, 8 * len(box) - 1))
    box[bit // 8] ^= 1 << bit % 8
    with pytest.raises(VaultDamaged):
        sealed.unseal(KEY, bytes(box), b"here")


def test_every_single_bit_of_a_wrapped_key_counts() -> None:
    wrapped = sealed.wrap_key(KEY, b"k" * 32, b"device", b"person")
    for bit in range(8 * len(wrapped)):
        altered = bytearray(wrapped)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(VaultDamaged):
            sealed.unwrap_key(KEY, bytes(altered), b"device", b"person")


@both
@given(cut=st.integers(0, 300))
def test_a_cut_box_is_refused(algorithm: Algorithm, cut: int) -> None:
    box = sealed.seal(KEY, bytes(200), b"here", algorithm)
    if cut < len(box):
        with pytest.raises(VaultDamaged):
            sealed.unseal(KEY, box[:cut], b"here")


@given(st.binary(max_size=400))
def test_random_bytes_never_open_and_never_crash(box: bytes) -> None:
    with pytest.raises(VaultDamaged):
        sealed.unseal(KEY, box, b"here")


@given(st.binary(max_size=400))
def test_a_plaintext_that_is_no_record_is_refused(plaintext: bytes) -> None:
    try:
        record = sealed.decode_record(plaintext)
    except VaultDamaged:
        return
    assert same(record, sealed.decode_record(sealed.encode_record(record)))


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place(b"D" * 32, b"p" * 16, b"t" * 16, b"m" * 32, 7),
        Place(b"d" * 32, b"P" * 16, b"t" * 16, b"m" * 32, 7),
        Place(b"d" * 32, b"p" * 16, b"T" * 16, b"m" * 32, 7),
        Place(b"d" * 32, b"p" * 16, b"t" * 16, b"M" * 32, 7),
        Place(b"d" * 32, b"p" * 16, b"t" * 16, b"m" * 32, 8),
    ],
    ids=["device", "person", "template", "model", "generation"],
)
@both
def test_a_record_moved_to_another_place_does_not_open(algorithm: Algorithm, elsewhere: Place) -> None:
    record = Record("Ada", "", "", np.ones((1, 4), np.float32))
    with pytest.raises(VaultDamaged):
        sealed.open_record(KEY, sealed.seal_record(KEY, record, PLACE, algorithm), elsewhere)


@given(st.lists(st.binary(max_size=6), max_size=5), st.lists(st.binary(max_size=6), max_size=5))
def test_different_fields_never_bind_alike(a: list[bytes], b: list[bytes]) -> None:
    assert (sealed.binding("label", *a) == sealed.binding("label", *b)) == (a == b)


def test_a_key_of_another_purpose_or_device_is_another_key() -> None:
    keys = (sealed.kek(KEY, b"one"), sealed.kek(KEY, b"two"), sealed.derive(KEY, b"one", "janusd journal v1"))
    assert len({bytes(key) for key in keys}) == 3


def test_the_kek_is_hkdf_as_documented() -> None:
    # Frozen: a changed derivation would lock every door out of its vault.
    assert sealed.kek(KEY, b"d" * 32).hex() == FROZEN_KEK


@both
def test_a_box_of_the_first_release_still_opens(algorithm: Algorithm) -> None:
    box = bytes.fromhex(FROZEN_BOXES[algorithm])
    assert sealed.unseal(KEY, box, sealed.binding("vector")) == b"open me in ten years"


def test_a_newer_format_is_named_with_what_to_do() -> None:
    box = b"\x02" + sealed.seal(KEY, b"x", b"here")[1:]
    with pytest.raises(VaultDamaged, match=r"format 2, this janusd reads 1; .*newer janusd"):
        sealed.unseal(KEY, box, b"here")


def test_no_two_boxes_of_the_same_text_are_alike() -> None:
    assert len({sealed.seal(KEY, b"same", b"here") for _ in range(100)}) == 100


@here
def test_an_older_library_seals_with_gcm_and_says_what_it_cannot_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    siv = sealed.seal(KEY, b"x", b"here", Algorithm.AES_256_GCM_SIV)
    monkeypatch.delattr(aead, "AESGCMSIV")
    assert sealed.preferred_algorithm() is Algorithm.AES_256_GCM
    gcm = sealed.seal(KEY, b"x", b"here")
    assert gcm[1] == Algorithm.AES_256_GCM
    with pytest.raises(InstallerError, match="install cryptography"):
        sealed.unseal(KEY, siv, b"here")
    monkeypatch.undo()
    assert sealed.unseal(KEY, gcm, b"here") == b"x"


FROZEN_KEK = "69038bb9d6070da01d09f95d720b8cd33981cc89916e27552eba4012a6a2bf48"
FROZEN_BOXES = {
    Algorithm.AES_256_GCM_SIV: "0101fb51e483e789feb25f75d6af3fadc34c2ba0b4f46d301ed281e923f99f5e"
    "b9ce5ece1913207d5ccc62c21fa197382b81",
    Algorithm.AES_256_GCM: "0102ca6b6264e14652f7c57630f5dc42031ddf946daf86dfc58adc1025099347"
    "820aa62c87b454f0cd287a787dad42f64291",
}
