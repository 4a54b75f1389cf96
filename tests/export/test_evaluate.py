"""From photographs to an evaluation file, with people who do not exist and the released encoder.

How good the encoder is these tests do not say: the demo's people are easier than life.
"""

import csv
import errno
import json
import shutil
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from janusd import demo, models
from janusd.core.manifest import Attenuation
from janusd_export.errors import ExportError
from janusd_export.evaluation import evaluate, findings, peers
from janusd_export.evaluation.changes import Kind, Step
from janusd_export.evaluation.evaluate import Wanted
from janusd_export.faces import device
from janusd_export.faces.photos import open_photos
from janusd_export.main import main
from janusd_export.verbs import keygen

FACES = Path(demo.__file__).parent / "faces"


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    """Four people with two pictures each, and six listed pairs."""
    folder = tmp_path_factory.mktemp("nobody")
    wanted = {
        "ada": ("enrol-00", "enrol-03"),
        "ben": ("enrol-00", "enrol-03"),
        "chloe": ("enrol-00", "enrol-03"),
    }
    for person, names in wanted.items():
        (folder / person).mkdir()
        for number, name in enumerate(names):
            shutil.copy(FACES / person / f"{name}.webp", folder / person / f"{person}_{number}.webp")
    pairs = [("ada_0", "ada_1", 1), ("ben_0", "ben_1", 1), ("chloe_0", "chloe_1", 1)]
    pairs += [("ada_0", "ben_0", 0), ("ben_1", "chloe_0", 0), ("chloe_1", "ada_1", 0)]
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image_a", "image_b", "same"), *pairs])
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def test_photographs_become_an_evaluation_that_can_be_kept_and_printed(collection, cache, tmp_path, capsys):
    out = tmp_path / "made" / "evaluation.json"
    labels = tmp_path / "labels.csv"
    labels.write_text("person,hair\nada,dark\nben,dark\n")
    arguments = ["evaluate", "--lfw", str(collection), "--cache", str(cache), "--cross", "--out", str(out)]
    assert main([*arguments, "--attributes", str(labels)]) == 0
    said = capsys.readouterr().out
    for words in (
        "accuracy (10 folds)  100.00 %",
        "not measurable: 3 impostor pairs",
        "by label",
        "DET and ROC",
    ):
        assert words in said
    found = findings.read(out)
    assert (found.pairs.genuine, found.pairs.impostor, found.pairs.missed_photos) == (3, 3, 0)
    assert (found.cross.people, found.cross.genuine, found.cross.impostor) == (3, 3, 12)
    assert found.doors == []  # three people are no gallery of ten
    assert {(row.value, row.photos) for row in found.subgroups.rows} == {("dark", 4)}
    assert [network.name for network in found.networks] == ["int8"]
    assert main([*arguments, "--json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["pairs"]["accuracy"]["value"] == 1.0
    assert plain["encoder"]["sha256"] == models.load().manifest.encoder.sha256


def test_what_cannot_be_measured_is_said_and_the_rest_is_measured(collection, cache):
    found = evaluate.evaluate(collection, models.RELEASED, cache, Wanted(matchers=True, others=[Absent()]))
    assert found.matchers is None
    assert found.pairs.accuracy.trials == 6
    assert any("4 photographs" in note for note in found.notes)
    assert any("a_library_of_nobody is not installed" in note for note in found.notes)


class Absent:
    """An encoder whose library is not there."""

    name = key = "absent"

    def open(self):
        raise ModuleNotFoundError("no", name="a_library_of_nobody")


class Upside:
    """An encoder that says how bright the picture's corner is."""

    name, key = "corner", "corner"

    def open(self):
        return lambda image, _: np.array([image[0, 0].mean(), 1.0], np.float32) / 300


def test_another_encoder_sees_the_same_faces_and_has_a_cache_of_its_own(collection, tmp_path):
    photos = open_photos(collection)[:2]
    first = device.embed_photos(photos, models.RELEASED, tmp_path, other=Upside())
    assert first.embeddings.shape == (2, 2)
    assert first.is_found.all()
    assert list(tmp_path.glob("embeddings-corner*.npz"))
    again = device.embed_photos(photos, models.RELEASED, tmp_path, other=Absent2(Upside.key))
    assert (again.embeddings == first.embeddings).all()  # nothing was opened


class Absent2:
    """Never opened, for all is in the cache."""

    name = "never"

    def __init__(self, key):
        self.key = key


def test_changed_photographs_are_cached_apart_from_plain_ones(collection, tmp_path):
    photos = open_photos(collection)[:1]
    plain = device.embed_photos(photos, models.RELEASED, tmp_path)
    dark = Step("light", 0.03, "1/32")
    changed = device.embed_photos(photos, models.RELEASED, tmp_path, change=dark)
    score = float(plain.embeddings[0] @ changed.embeddings[0])
    assert score < 0.999  # the change reached the encoder
    assert (device.embed_photos(photos, models.RELEASED, tmp_path).embeddings == plain.embeddings).all()
    assert list(tmp_path.glob("changed-landmarks*.npz"))


def test_robustness_begins_at_the_plain_photograph(collection, cache):
    kind = Kind("rotation", "degrees", "tilted", ((0.0, "0"), (20.0, "20")))
    photos = {photo.name: photo for photo in open_photos(collection)}
    pairs = [(photos["ada_0"], photos["ada_1"]), (photos["ben_0"], photos["ben_1"])]
    found = evaluate.robustness.measure(pairs, models.RELEASED, cache, 0.3, 1e-3, kinds=[kind])
    (curve,) = found.curves
    assert [point.label for point in curve.points] == ["0", "20"]
    assert curve.points[0].fnmr.hits == 0
    assert all(point.fmr.trials == 2 for point in curve.points)


def test_a_door_is_played_and_told_in_json(collection, cache, capsys):
    places = ["--gallery", str(collection), "--probes", str(collection), "--cache", str(cache)]
    assert main(["identify", *places, "--fpir", "0.01", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["enrolled"], found["mated"], found["non_mated"]) == (3, 3, 0)
    assert found["rank_1"]["value"] == 1.0
    assert found["thresholds"][0]["fnir"]["trials"] == 3


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (["--peer", "nobody"], "--peer nobody is unknown"),
        (["--peer", "sface"], "--peer sface is unknown"),
        (["--fmr", "2"], "--fmr is 2"),
        (["--teachers", "{empty}"], "holds no teacher"),
        (["--float", "{empty}"], "needs --recipe"),
    ],
)
def test_encoders_asked_for_wrongly_are_refused_before_any_work(
    collection, tmp_path, capsys, given, complaint
):
    given = [word.format(empty=tmp_path) for word in given]
    assert main(["evaluate", "--lfw", str(collection), *given]) == 1
    assert complaint in capsys.readouterr().err


def test_the_same_bytes_have_the_same_key_and_a_missing_file_is_named(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"weights")
    (tmp_path / "b.tflite").write_bytes(b"weights")
    like = models.load().manifest.encoder
    others = [
        msgspec.structs.replace(like, mirrored=not like.mirrored),
        msgspec.structs.replace(like, attenuation=Attenuation(56.0, 0.1)),
    ]
    a, b = (peers.FloatLiteRt(tmp_path / name, like) for name in ("a.tflite", "b.tflite"))
    assert a.key == b.key
    assert a.key not in {peers.FloatLiteRt(tmp_path / "a.tflite", other).key for other in others}
    with pytest.raises(ExportError, match=r"c\.tflite"):
        _ = peers.FloatLiteRt(tmp_path / "c.tflite", like).key
    with pytest.raises(ExportError, match=r"no \.tflite network"):
        a.open()


def test_a_unit_vector_of_nothing_is_nothing():
    assert (peers.unit(np.zeros((1, 3), np.float32)) == 0).all()
    assert peers.unit(np.array([[3.0, 4.0]], np.float32)) == pytest.approx([0.6, 0.8])


def test_a_peer_whose_wheels_are_not_there_says_which_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ExportError, match="--peer dlib: dlib is not installed here; pip install dlib-bin"):
        peers.Dlib().open()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "No space left on device: make room and run it again",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/vault/x"),
            "/vault/x: Permission denied: look at",
        ),
    ],
)
def test_what_the_disk_refuses_is_one_sentence(error, said, tmp_path, monkeypatch, capsys):
    def refuse(options):
        raise error

    monkeypatch.setattr(keygen, "run", refuse)
    assert main(["keygen", str(tmp_path / "key")]) == 1
    assert capsys.readouterr().err.startswith(f"janus-export: {said}")
