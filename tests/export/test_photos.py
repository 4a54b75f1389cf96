import io
import struct
import tarfile
import zlib

import cv2
import numpy as np
import pytest

from janusd_export.errors import ExportError
from janusd_export.faces.photos import by_name, decode, open_photos


def picture(value=128, side=20):
    return cv2.imencode(".webp", np.full((side, side, 3), value, np.uint8))[1].tobytes()


def write_tar(path, files):
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


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


def test_a_tar_cut_anywhere_is_named(tmp_path):
    """Between two members, too, where tarfile sees the end."""
    tar = tmp_path / "cut.tar"
    write_tar(tar, {f"ada/{n}.webp": picture(n) for n in range(3)})
    whole = tar.read_bytes()
    last = len(whole.rstrip(b"\0"))
    for length in range(0, last, 512):
        tar.write_bytes(whole[:length])
        with pytest.raises(ExportError, match=r"cut\.tar"):
            open_photos(tar)
    tar.write_bytes(whole)
    assert len(open_photos(tar)) == 3


def test_two_photographs_of_one_name_are_refused_where_a_list_names_them(tmp_path):
    for person in ("ada", "ben"):
        (tmp_path / person).mkdir()
        (tmp_path / person / "0.webp").write_bytes(picture())
    with pytest.raises(ExportError, match="two photographs are called 0 "):
        by_name(open_photos(tmp_path))


def test_a_picture_that_claims_to_be_huge_is_named():
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = (
        struct.pack(">I", len(header)) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )
    with pytest.raises(ExportError, match="huge is not a readable picture"):
        decode(b"\x89PNG\r\n\x1a\n" + chunk, "huge")
