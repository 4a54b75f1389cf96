import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd_export.errors import ExportError
from janusd_export.faces.sources import Kind, Refusal, recognise
from support.nobody import as_webp, make_tree, portrait, write_tar

FACE = as_webp(portrait()[:144, :144])


def told(source):
    return [(item.key, item.person) for item in source.items()]


def test_a_folder_of_folders_is_one_person_each(tmp_path):
    make_tree(tmp_path / "album", {"ada": 2, "ben": 1})
    source = recognise(str(tmp_path / "album"))
    assert (source.name, source.kind) == ("album", Kind.TREE)
    assert told(source) == [("ada/00.webp", "ada"), ("ada/01.webp", "ada"), ("ben/00.webp", "ben")]


@pytest.mark.parametrize("inner", ["images/train", "train"])
def test_people_are_found_below_the_common_layouts_and_test_pictures_left_alone(tmp_path, inner):
    make_tree(tmp_path / inner, {"ada": 1})
    make_tree(tmp_path / inner.replace("train", "test"), {"ben": 1})
    assert told(recognise(str(tmp_path))) == [("ada/00.webp", "ada")]


def test_pictures_without_folders_are_of_unknown_people(tmp_path):
    (tmp_path / "a.webp").write_bytes(FACE)
    (tmp_path / "notes.txt").write_text("no picture")
    source = recognise(str(tmp_path))
    assert (source.kind, told(source)) == (Kind.FLAT, [("a.webp", "")])


def test_a_folder_that_could_be_either_asks(tmp_path):
    make_tree(tmp_path, {"ada": 1})
    (tmp_path / "a.webp").write_bytes(FACE)
    with pytest.raises(ExportError, match="say with --kind whether the folders are"):
        recognise(str(tmp_path))
    assert len(told(recognise(str(tmp_path), Kind.TREE))) == 1
    assert told(recognise(str(tmp_path), Kind.FLAT)) == [("a.webp", ""), ("ada/00.webp", "")]


def test_a_name_before_the_path_names_the_source(tmp_path):
    make_tree(tmp_path / "x", {"ada": 1})
    assert recognise(f"mine={tmp_path / 'x'}").name == "mine"


def test_a_person_without_pictures_is_in_the_stream_with_the_reason(tmp_path):
    make_tree(tmp_path, {"ada": 1})
    (tmp_path / "zoe").mkdir()
    *_, last = recognise(str(tmp_path)).items()
    assert (last.person, last.problem) == ("zoe", Refusal.EMPTY_PERSON)


def test_a_table_names_paths_and_people_and_what_is_missing(tmp_path):
    (tmp_path / "a.webp").write_bytes(FACE)
    (tmp_path / "all.csv").write_text("Filename,Identity\na.webp,ada\nb.webp,ben\n,\n")
    first, second, third = recognise(str(tmp_path / "all.csv")).items()
    assert (first.path, first.person, first.problem) == (tmp_path / "a.webp", "ada", None)
    assert (second.key, second.problem, second.detail) == ("b.webp", Refusal.MISSING, "line 3 of all.csv")
    assert third.problem is Refusal.MISSING


def test_a_table_without_a_path_column_says_which_it_has(tmp_path):
    (tmp_path / "all.csv").write_text("picture,who\n")
    with pytest.raises(ExportError, match="has the columns picture, who: one must be called path or file"):
        list(recognise(str(tmp_path / "all.csv")).items())


def test_tars_of_photographs_are_told_from_shards_of_aligned_faces(tmp_path):
    write_tar(tmp_path / "photos.tar", {"ada/1.webp": FACE})
    write_tar(tmp_path / "web.tar", [("1.webp", as_webp(portrait())), ("1.cls", b"ada")])
    write_tar(tmp_path / "faces.tar", [("1.webp", FACE), ("1.cls", b"p7\n")])
    for name, kind, person in (
        ("photos", Kind.TARS, "ada"), ("web", Kind.TARS, "ada"), ("faces", Kind.SHARDS, "p7")
    ):  # fmt: skip
        source = recognise(str(tmp_path / f"{name}.tar"))
        assert (source.kind, [item.person for item in source.items()]) == (kind, [person])


def test_a_label_before_its_picture_counts_as_well(tmp_path):
    members = [("1.cls", b"ada"), ("1.webp", FACE), ("2.webp", FACE), ("3.webp", FACE), ("3.cls", b"ben")]
    assert [i.person for i in recognise(str(write_tar(tmp_path / "a.tar", members))).items()] == [
        "ada",
        "",
        "ben",
    ]


def write_shards(folder, listed, stored):
    rows = [f"faces-00.tar,{key},celeba,{person},0.9,2.0" for key, person in listed.items()]
    (folder / "index.csv").write_text(
        "shard,key,source,person,detector_score,upscale\n" + "\n".join(rows) + "\n"
    )
    write_tar(folder / "faces-00.tar", {f"{key}.webp": FACE for key in stored})
    return recognise(str(folder))


def test_an_index_says_who_and_from_where(tmp_path):
    (item,) = write_shards(tmp_path, {"000001": "p1"}, ["000001"]).items()
    assert (item.key, item.person, item.origin, item.upscale) == ("faces-00/000001", "p1", "celeba", 2.0)
    assert item.is_aligned


def test_an_index_cut_in_its_last_line_is_named(tmp_path):
    write_shards(tmp_path, {"000001": "p1"}, ["000001"])
    with (tmp_path / "index.csv").open("a") as file:
        file.write("faces-00.tar,000002")
    with pytest.raises(ExportError, match=r"index\.csv is cut off in line 3"):
        list(recognise(str(tmp_path)).items())


def test_a_face_that_its_shard_lacks_is_in_the_stream_with_the_reason(tmp_path):
    *_, last = write_shards(tmp_path, {"000001": "", "000002": ""}, ["000001"]).items()
    assert (last.key, last.problem) == ("faces-00/000002", Refusal.MISSING)
    (tmp_path / "faces-00.tar").unlink()
    (tmp_path / "faces-01.tar").write_bytes(b"")
    assert {i.problem for i in recognise(str(tmp_path)).items()} == {Refusal.MISSING, Refusal.CUT_OFF}


TAR_FILES = [("1.webp", b"x" * 700), ("1.cls", b"ada"), ("2.webp", b"y" * 300), ("2.cls", b"ben")]


@given(st.integers(0, 7 * 512 - 1))
def test_a_shard_cut_anywhere_gives_what_is_whole_and_says_that_it_was_cut(tmp_path_factory, cut):
    tar = write_tar(tmp_path_factory.mktemp("t") / "a.tar", TAR_FILES)
    whole = tar.read_bytes()
    tar.write_bytes(whole[:cut])
    items = list(recognise(str(tar), Kind.TARS).items())
    assert items[-1].problem is Refusal.CUT_OFF
    good = [item for item in items if item.problem is None]
    # 512 bytes of header, then the content in blocks of 512
    assert [item.key for item in good] == ["a/1.webp", "a/2.webp"][: (cut >= 512 + 700) + (cut >= 3072 + 300)]
    for item in good:
        assert whole[item.offset : item.offset + item.size] in (b"x" * 700, b"y" * 300)


@pytest.mark.parametrize("place", ["nowhere", "empty", "a.txt"])
def test_what_is_no_source_says_what_is_wanted(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ExportError, match=r"does not exist|holds no pictures|neither a folder nor"):
        recognise(str(tmp_path / place))


def test_a_kind_that_cannot_be_is_refused(tmp_path):
    make_tree(tmp_path, {"ada": 1})
    with pytest.raises(ExportError, match=r"holds no \.tar: it is no source of kind shards"):
        recognise(str(tmp_path), Kind.SHARDS)
