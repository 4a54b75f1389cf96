"""Pictures as bytes for a terminal: what arrives, and how many bytes it takes."""

from __future__ import annotations

import base64
import fcntl
import io
import os
import pty
import re
import shutil
import struct
import subprocess
import termios
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.cli.guided import Progress
from janusd.cli.remote import Shown
from janusd.cli.stages import BYTES_A_SECOND, LineStage, ScreenStage
from janusd.cli.terminal import kitty, sixel
from janusd.cli.terminal.ability import Way, best_way, can_draw, has_true_colour
from janusd.cli.terminal.bitmap import Bitmap
from janusd.cli.terminal.blocks import Blocks, nearest_of_256
from janusd.cli.terminal.pace import Pace
from janusd.cli.terminal.screen import Keys, Screen
from janusd.core.side import Side
from janusd.door import Scene
from support.heads import POSES, head

COLUMNS, ROWS = 112, 84


def bitmap(image: np.ndarray, width: int = COLUMNS, height: int = ROWS) -> Bitmap:
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return Bitmap(width, height, small.tobytes())


class Glass:
    """What half blocks paint, from their second row and column on: far faster than a whole terminal."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels = np.zeros((height, width, 3), np.uint8)

    def feed(self, written: str) -> None:
        row = column = 0
        front = back = (0, 0, 0)
        for place, colours, block in re.findall(r"\x1b\[(\d+;\d+)H|\x1b\[([\d;]+)m|(▀)", written):
            if place:
                row, column = (int(number) - 2 for number in place.split(";"))
            elif block:
                self.pixels[2 * row, column], self.pixels[2 * row + 1, column] = front, back
                column += 1
            for which, *colour in re.findall(r"([34])8;2;(\d+);(\d+);(\d+)", colours):
                value = (int(colour[0]), int(colour[1]), int(colour[2]))
                front, back = (value, back) if which == "3" else (front, value)


def film(frames: int, width: int, height: int) -> list[Bitmap]:
    """Somebody turns their head before a noisy camera: another pose each second at 8 frames a second."""
    rng = np.random.default_rng(0)
    poses = [head("ada", pose) for pose in POSES]
    return [
        bitmap(
            np.clip(poses[n // 8 % 5] + rng.normal(0, 4, (480, 640, 1)), 0, 255).astype(np.uint8),
            width,
            height,
        )
        for n in range(frames)
    ]


@pytest.mark.parametrize(("width", "height"), [(48, 36), (COLUMNS, ROWS)])
def test_a_film_at_eight_frames_a_second_stays_within_100_kilobytes_a_second(width: int, height: int) -> None:
    glass = Glass(width, height)
    blocks, pace, sent = Blocks(true_colour=True), Pace(BYTES_A_SECOND, 0.0), []
    late = []
    for number, frame in enumerate(film(40, width, height)):
        written = blocks.update(frame, 2, 2, pace.allows(number / 8))
        sent.append(len(written.encode()))
        pace.spend(sent[-1])
        glass.feed(written)
        if number % 8 == 7:  # a second after the last turn
            true = np.frombuffer(bytes(frame.pixels), np.uint8).reshape(height, width, 3)
            late.append(float(np.abs(glass.pixels.astype(int) - true).mean()))
    seconds = [sum(sent[start : start + 8]) for start in range(len(sent) - 7)]
    print(f"{width} x {height}: the busiest second {max(seconds)} bytes, all {sum(sent) / 5:.0f} a second")
    assert max(seconds) <= BYTES_A_SECOND
    assert min(sent[::8]) > 0, "each turn shows"
    # The largest picture takes more than the first second to arrive; from then on the screen keeps up.
    assert max(late[1:]) < 8, "what is on the screen is what the camera saw"


def test_a_still_picture_with_noise_costs_nearly_nothing() -> None:
    rng = np.random.default_rng(1)
    still = cv2.resize(head("ada", "front"), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).astype(np.int16)
    blocks, sent = Blocks(true_colour=True), []
    for _ in range(6):
        frame = np.clip(still + rng.integers(-4, 5, still.shape), 0, 255).astype(np.uint8)
        sent.append(len(blocks.update(Bitmap(COLUMNS, ROWS, frame.tobytes()), 1, 1, 10**6)))
    assert sent[-1] < sent[0] / 20


def test_what_changed_most_is_sent_first() -> None:
    blocks = Blocks(true_colour=True)
    blocks.update(Bitmap(40, 40), 1, 1, 10**6)
    changed = Bitmap(40, 40)
    for x in range(40):
        changed.put(x, 0, (30, 30, 30))
    changed.put(20, 20, (255, 255, 255))
    assert "\x1b[11;21H" in blocks.update(changed, 1, 1, 60)


@given(st.integers(0, 3000), st.booleans())
def test_an_allowance_is_never_overdrawn(allowance: int, true_colour: bool) -> None:
    noise = np.random.default_rng(allowance).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    written = Blocks(true_colour=true_colour).update(Bitmap(30, 20, noise.tobytes()), 50, 100, allowance)
    assert len(written.encode()) <= allowance


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 60000)), max_size=60))
def test_no_second_ever_carries_more_than_its_bytes(steps: list[tuple[float, int]]) -> None:
    pace, now_s, sent = Pace(50_000, 0.0), 0.0, []
    for wait_s, wish in steps:
        now_s += wait_s
        count = min(wish, pace.allows(now_s))
        pace.spend(count)
        sent.append((now_s, count))
    for start_s, _ in sent:
        assert sum(count for at_s, count in sent if start_s <= at_s < start_s + 1) <= 50_000 + 1


def test_256_colours_are_the_nearest_ones() -> None:
    assert nearest_of_256((0, 0, 0)) == 16
    assert nearest_of_256((255, 255, 255)) == 231
    assert nearest_of_256((255, 0, 0)) == 196
    assert nearest_of_256((128, 128, 128)) == 244


@pytest.mark.parametrize("size", [(48, 36), (160, 120)])
def test_kitty_gets_a_png_that_shows_the_picture(size: tuple[int, int]) -> None:
    picture = bitmap(head("ada", "front"), *size)
    written = kitty.show(picture, 3, 5, (60, 20))
    chunks = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", written)
    assert [keys[-3:] for keys, _ in chunks] == ["m=1"] * (len(chunks) - 1) + ["m=0"]
    assert all(len(part) <= 4096 for _, part in chunks)
    png = base64.b64decode("".join(part for _, part in chunks))
    shown = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    true = np.frombuffer(bytes(picture.pixels), np.uint8).reshape(size[1], size[0], 3)
    assert np.abs(shown.astype(int) - true).mean() < 16
    assert len(written) * 5 < BYTES_A_SECOND, "five frames a second"


def test_sixels_paint_each_pixel_once_in_its_grey() -> None:
    picture = bitmap(head("ada", "front"), 144, 108)
    written = sixel.encode(picture)
    grey = painted(written, 288, 216)
    true = np.frombuffer(bytes(picture.pixels), np.uint8).reshape(108, 144, 3) @ [0.30, 0.59, 0.11]
    assert np.abs(grey[::2, ::2] - true).mean() < 12
    print(f"sixel frame of 288 x 216: {len(written)} bytes")
    assert len(written) * 2 < BYTES_A_SECOND, "at least two frames a second"


@pytest.mark.skipif(shutil.which("sixel2png") is None, reason="apt install libsixel-bin")
def test_libsixel_reads_the_same_picture_from_them(tmp_path: Path) -> None:
    picture = bitmap(head("ada", "front"), 144, 108)
    subprocess.run(
        ["sixel2png", "-o", tmp_path / "out.png"], input=sixel.encode(picture).encode(), check=True
    )
    shown = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_GRAYSCALE)
    assert shown is not None
    assert shown.shape == (216, 288)
    true = np.frombuffer(bytes(picture.pixels), np.uint8).reshape(108, 144, 3) @ [0.30, 0.59, 0.11]
    assert np.abs(shown[::2, ::2].astype(float) - true).mean() < 12
    assert np.abs(shown[::2, ::2].astype(float)[:, ::-1] - true).mean() > 20, "the right way round"


def painted(written: str, width: int, height: int) -> np.ndarray:
    """Paint sixels as a terminal would."""
    shown = np.full((height + 6, width), -1.0)
    body = written[written.index("q") + 1 : -2]
    levels = {int(n): 255 * int(p) / 100 for n, p in re.findall(r"#(\d+);2;(\d+);\d+;\d+", body)}
    x = y = colour = 0
    for token in re.findall(r'"[\d;]+|#\d+;2;[\d;]+|#\d+|!\d+.|[$-]|[?-~]', body):
        if token[0] == "#" and ";" not in token:
            colour = int(token[1:])
        elif token == "$":
            x = 0
        elif token == "-":
            x, y = 0, y + 6
        elif token[0] not in '"#':
            count = int(token[1:-1]) if token[0] == "!" else 1
            for bit in range(6):
                if ord(token[-1]) - 63 >> bit & 1:
                    assert (shown[y + bit, x : x + count] < 0).all()
                    shown[y + bit, x : x + count] = levels[colour]
            x += count
    assert (shown[:height] >= 0).all()
    return shown[:height]


def test_a_mirror_turns_left_into_left() -> None:
    picture = Bitmap(3, 1, bytes(range(9)))
    assert bytes(picture.mirrored().pixels) == bytes([6, 7, 8, 3, 4, 5, 0, 1, 2])
    assert picture.scaled(6, 2).at(5, 1) == (6, 7, 8)
    with pytest.raises(ValueError, match="no 2 x 2 pixels"):
        Bitmap(2, 2, b"")


class Tty(io.StringIO):
    """A terminal on paper."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:
        return self._encoding

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "encoding", "draws"),
    [
        ({"TERM": "xterm-256color"}, "utf-8", True),
        ({"TERM": "xterm-256color"}, "ascii", False),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "utf-8", False),
        ({"TERM": "xterm-256color", "LC_ALL": "C"}, "utf-8", False),
        ({"TERM": "dumb"}, "utf-8", False),
        ({}, "utf-8", False),
    ],
)
def test_a_picture_is_drawn_only_where_it_can_be_seen(
    environment: dict[str, str], encoding: str, draws: bool
) -> None:
    assert can_draw(Tty(encoding), environment) is draws
    assert not can_draw(io.StringIO(), environment)


@pytest.mark.parametrize(
    ("answer", "environment", "way"),
    [
        (b"\x1b_Gi=31;OK\x1b\\\x1b[?62;c", {}, Way.KITTY),
        (b"\x1b[?62;4;22c", {}, Way.SIXEL),
        (b"\x1b[?62;4;22c", {"COLORTERM": "truecolor"}, Way.BLOCKS),
        (b"\x1b[?62;22c", {}, Way.BLOCKS),
        (b"", {}, Way.BLOCKS),
    ],
)
def test_the_terminal_is_asked_what_it_can_show(
    answer: bytes, environment: dict[str, str], way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("janusd.cli.terminal.ability._ANSWER_S", 0.05)
    read, write = os.pipe()
    os.write(write, answer)
    try:
        assert best_way(Tty(), {"TERM": "xterm-256color", **environment}, keys_fd=read) is way
    finally:
        os.close(read)
        os.close(write)
    assert has_true_colour({"COLORTERM": "24bit"})


def shown(hint: str, *, steady: float = 0.0) -> Shown:
    picture = bitmap(head("ada", "front"), 64, 48)
    scene = Scene(1, [0.4, 0.2, 0.2, 0.3], "wait", hint, steady, False, ["front"], 1, 5)
    return Shown(scene, 64, 48, bytes(picture.pixels))


@pytest.mark.parametrize("way", [Way.BLOCKS, Way.KITTY, Way.SIXEL])
def test_a_screen_is_given_back_as_it_was(way: Way) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as out:
        written = bytearray()
        reader = threading.Thread(target=_drain, args=(master, written))
        reader.start()
        before = os.ttyname(slave)
        with Keys(slave) as keys, Screen(out) as screen:
            stage = ScreenStage(screen, keys, way, true_colour=True)
            progress = Progress("A\x1b[31mda\n", side=Side.LEFT, covered=["front"], samples=1, wanted=5)
            stage.show(shown("Turn your head to your left."), progress)
            assert not stage.skips(progress)
            os.write(master, b"s")
            assert stage.skips(progress)
            assert stage.frames == 1
            os.write(master, b"q")
            with pytest.raises(KeyboardInterrupt):
                stage.skips(progress)
        assert os.ttyname(slave) == before
    reader.join()
    os.close(master)
    assert written.startswith(b"\x1b[?1049h")
    assert written.endswith(b"\x1b[?1049l")
    assert b"A\\x1b[31mda\\n" in written, "a hostile name paints nothing"
    assert {Way.BLOCKS: "▀".encode(), Way.KITTY: b"\x1b_Ga=T", Way.SIXEL: b"\x1bP7"}[way] in written


def _drain(master: int, into: bytearray) -> None:
    while True:
        try:
            chunk = os.read(master, 65536)
        except OSError:
            return
        if not chunk:
            return
        into += chunk


@pytest.mark.parametrize(("columns", "rows"), [(20, 6), (40, 12), (80, 24), (200, 60)])
@pytest.mark.parametrize("way", [Way.BLOCKS, Way.KITTY, Way.SIXEL])
def test_on_a_screen_of_any_size_nothing_leaves_it_and_the_hint_is_there(
    columns: int, rows: int, way: Way
) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    with os.fdopen(slave, "w", encoding="utf-8") as out:
        written = bytearray()
        reader = threading.Thread(target=_drain, args=(master, written))
        reader.start()
        with Keys(slave) as keys, Screen(out) as screen:
            stage = ScreenStage(screen, keys, way, true_colour=True)
            stage.show(shown("A little closer."), Progress("Ada", side=Side.LEFT, samples=1, wanted=5))
    reader.join()
    os.close(master)
    text = written.decode()
    assert "A little closer."[: columns - 3] in text
    assert all(
        int(row) <= rows and int(column) <= columns for row, column in re.findall(r"\x1b\[(\d+);(\d+)H", text)
    )
    for line in re.findall(r"\x1b\[2K(?:\x1b\[[\d;]+m)?([^\x1b]*)", text):
        assert len(line) < columns


def test_on_paper_a_hint_takes_a_line_only_when_it_lasts() -> None:
    out, now_s = io.StringIO(), 0.0
    stage = LineStage(out, None, now_s=lambda: now_s)
    progress = Progress("Ada", samples=1, wanted=5)
    for hint in (
        ["A little closer."] * 8 + ["Hold still."] * 3 + ["A little closer."] * 9 + ["Look\x07 up."] * 9
    ):
        stage.show(shown(hint), progress)
        now_s += 0.1
    stage.took("left", progress)
    assert out.getvalue() == "  A little closer.\n  Look\\x07 up.\n  taken: left, 1 of 5\n"
    assert not stage.can_ask
