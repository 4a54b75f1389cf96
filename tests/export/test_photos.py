import io
import tarfile

import cv2
import numpy as np
import pytest

from janusd_export import shards
from janusd_export.errors import ExportError
from janusd_export.photos import decode, open_photos


def picture(value=128, side=20):
    return cv2.imencode(".webp", np.full((side, side, 3), value, np.uint8))[1].tobytes()


def write_tar(path, files):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_shards(folder, pictures):
    rows = [f"faces-00.tar,{key},test,p1,0.9,0.5" for key in pictures]
    (folder / "index.csv").write_text(
        "\n".join(["shard,key,source,person,detector_score,upscale", *rows]) + "\n"
    )
    write_tar(folder / "faces-00.tar", {f"{key}.webp": content for key, content in pictures.items()})


def test_a_folder_and_a_tar_of_it_hold_the_same_photographs(tmp_path):
    tree = tmp_path / "tree"
    (tree / "ann").mkdir(parents=True)
    (tree / "ann" / "1.webp").write_bytes(picture())
    (tree / "ann" / "notes.txt").write_text("no picture")
    write_tar(tmp_path / "all.tar", {"ann/1.webp": picture()})
    (a,), (b,) = open_photos(tree), open_photos(tmp_path / "all.tar")
    assert (a.person, a.name, a.read()) == (b.person, b.name, b.read()) == ("ann", "1", picture())


def test_a_tar_cut_in_half_is_named(tmp_path):
    tar = tmp_path / "half.tar"
    write_tar(tar, {f"ann/{i}.webp": picture(i) + bytes(3000) for i in range(4)})
    tar.write_bytes(tar.read_bytes()[: 5000 + 512])
    with pytest.raises(ExportError, match=r"half\.tar is damaged or cut off"):
        open_photos(tar)


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ExportError, match="holds no photographs"):
        open_photos(tmp_path)
    with pytest.raises(ExportError, match="does not exist"):
        open_photos(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"GIF89a", picture()[:16]])
def test_an_unreadable_picture_is_named(content):
    with pytest.raises(ExportError, match="ann/1 is not a readable picture"):
        decode(content, "ann/1")


def test_shards_become_one_array_in_the_order_of_the_index(tmp_path):
    write_shards(tmp_path, {"000001": picture(200), "000000": picture(50)})
    assert shards.unpack(tmp_path, tmp_path / "cache", 20) == 2
    faces = np.load(tmp_path / "cache" / "faces.npy")
    assert faces.shape == (2, 20, 20, 3)
    assert faces[0].mean() > faces[1].mean()


def test_a_shard_cut_in_half_is_named_and_leaves_no_cache(tmp_path):
    write_shards(tmp_path, {f"{i:06}": picture(i) + bytes(3000) for i in range(4)})
    shard = tmp_path / "faces-00.tar"
    shard.write_bytes(shard.read_bytes()[:5600])
    with pytest.raises(ExportError, match=r"faces-00\.tar.*cut off"):
        shards.unpack(tmp_path, tmp_path / "cache", 20)
    assert not (tmp_path / "cache" / "faces.npy").exists()


def test_a_face_that_its_shard_lacks_is_named(tmp_path):
    write_shards(tmp_path, {"000000": picture()})
    with (tmp_path / "index.csv").open("a") as index:
        index.write("faces-00.tar,000009,test,,0.9,0.5\n")
    with pytest.raises(ExportError, match=r"first faces-00\.tar/000009"):
        shards.unpack(tmp_path, tmp_path / "cache", 20)


def test_a_face_of_another_size_is_named(tmp_path):
    write_shards(tmp_path, {"000000": picture(side=24)})
    with pytest.raises(ExportError, match=r"000000\.webp is 24 px wide, not 20"):
        shards.unpack(tmp_path, tmp_path / "cache", 20)


def test_an_unreadable_face_is_named(tmp_path):
    write_shards(tmp_path, {"000000": b"RIFF"})
    with pytest.raises(ExportError, match=r"000000\.webp is not a readable picture"):
        shards.unpack(tmp_path, tmp_path / "cache", 20)
