"""`--preview`: the emitted sequences are decoded back into pictures."""

from __future__ import annotations

import base64
import io
import re
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from vsearch.cli import terminal_protocol
from vsearch.cli.terminal_images import MAX_COLUMNS, MAX_LINES, render_image
from vsearch.cli.terminal_protocol import IMAGE_PROTOCOLS, detect_protocol

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.processes import CommandRunner
    from vsearch.types import Images

ESCAPE = "\x1b"


@pytest.fixture
def picture() -> Images:
    """Picture of four colors, 160 x 90."""
    pixels = np.zeros((90, 160, 3), np.uint8)
    pixels[:45, :80], pixels[:45, 80:] = (255, 0, 0), (0, 255, 0)
    pixels[45:, :80], pixels[45:, 80:] = (0, 0, 255), (255, 255, 255)
    return pixels


@pytest.fixture
def jpeg(picture: Images) -> bytes:
    output = io.BytesIO()
    Image.fromarray(picture).save(output, "JPEG", quality=95, subsampling=0)
    return output.getvalue()


def assert_similar(decoded: Images, picture: Images) -> None:
    height, width = decoded.shape[:2]
    for row, column in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
        shown = decoded[int(row * height), int(column * width)].astype(int)
        expected = picture[int(row * 90), int(column * 160)].astype(int)
        assert np.abs(shown - expected).max() <= 10


def decode_kitty(text: str) -> Images:
    chunks = re.findall(rf"{ESCAPE}_G([^;]*);([^{ESCAPE}]*){ESCAPE}\\", text)
    keys = dict(pair.split("=") for pair in chunks[0][0].split(","))
    assert [controls.rpartition("m=")[2] for controls, _ in chunks[:-1]] == ["1"] * (
        len(chunks) - 1
    )
    assert chunks[-1][0].endswith("m=0")
    assert all(len(data) <= 4096 for _, data in chunks)
    assert (keys["a"], keys["f"], keys["q"]) == ("T", "24", "2")
    assert int(keys["c"]) <= MAX_COLUMNS
    assert int(keys["r"]) <= MAX_LINES
    pixels = zlib.decompress(base64.b64decode("".join(data for _, data in chunks)))
    return np.frombuffer(pixels, np.uint8).reshape(int(keys["v"]), int(keys["s"]), 3)


def decode_iterm(text: str) -> Images:
    match = re.fullmatch(rf" *{ESCAPE}]1337;File=([^:]*):([A-Za-z0-9+/=]*)\a", text)
    assert match is not None
    data = base64.b64decode(match[2])
    assert f"size={len(data)}" in match[1].split(";")
    assert "inline=1" in match[1].split(";")
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def decode_sixel(text: str) -> Images:
    match = re.fullmatch(rf' *{ESCAPE}Pq"1;1;(\d+);(\d+)(.*){ESCAPE}\\', text, re.DOTALL)
    assert match is not None
    width, height = int(match[1]), int(match[2])
    pixels = np.zeros((height + 6, width, 3), np.uint8)
    palette: dict[str, tuple[int, ...]] = {}
    color, x, top = "", 0, 0
    for token in re.finditer(r"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)(.)|([?-~])|([$-])", match[3]):
        if token[1] and token[2]:
            palette[token[1]] = tuple(round(int(token[k]) * 2.55) for k in (2, 3, 4))
        elif token[1]:
            color = token[1]
        elif token[8]:
            x, top = 0, top + 6 * (token[8] == "-")
        else:
            count, bits = int(token[5] or 1), ord(token[6] or token[7]) - 63
            for line in range(6):
                if bits >> line & 1:
                    pixels[top + line, x : x + count] = palette[color]
            x += count
    assert not pixels[height:].any()
    return pixels[:height]


def decode_blocks(text: str) -> Images:
    rows: list[list[list[int]]] = []
    for line in text.split("\n"):
        assert line.endswith(f"{ESCAPE}[0m")
        cells = re.findall(rf"{ESCAPE}\[38;2;(\d+);(\d+);(\d+);48;2;(\d+);(\d+);(\d+)m▀", line)
        rows.append([[int(value) for value in cell[:3]] for cell in cells])
        rows.append([[int(value) for value in cell[3:]] for cell in cells])
    return np.array(rows, np.uint8)


DECODERS = {
    "kitty": decode_kitty,
    "iterm": decode_iterm,
    "sixel": decode_sixel,
    "blocks": decode_blocks,
}


@pytest.mark.parametrize("kind", IMAGE_PROTOCOLS)
def test_a_picture_survives(
    kind: terminal_protocol.ImageProtocol,
    jpeg: bytes,
    picture: Images,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    assert_similar(DECODERS[kind](render_image(jpeg, kind, indent=4)), picture)


def test_a_noisy_picture_survives_sixel_and_long_kitty_data() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 160, 3), np.uint8)
    output = io.BytesIO()
    Image.fromarray(noise).save(output, "JPEG", quality=95)
    shown = np.asarray(Image.open(output).convert("RGB"))
    np.testing.assert_array_equal(decode_kitty(render_image(output.getvalue(), "kitty")), shown)
    sixels = decode_sixel(render_image(output.getvalue(), "sixel"))
    scaled = np.asarray(Image.fromarray(shown).resize(sixels.shape[1::-1]))
    assert np.abs(sixels.astype(int) - scaled).max() <= 27  # half a level, and rounding


def test_a_tall_picture_fits() -> None:
    output = io.BytesIO()
    Image.new("RGB", (90, 320), "red").save(output, "JPEG")
    text = render_image(output.getvalue(), "blocks", indent=2)
    assert len(text.split("\n")) == MAX_LINES
    assert all(line.startswith("  \x1b") for line in text.split("\n"))


def test_without_true_color_the_palette_of_256_is_used(
    jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLORTERM", "")
    codes = re.findall(r"38;5;(\d+);48;5;(\d+)m", render_image(jpeg, "blocks"))
    assert codes[0] == ("196", "196")  # red


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-ghostty", "NO_COLOR": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, None),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x", "KITTY_WINDOW_ID": "1"}, "blocks"),
        ({"TERM": "dumb", "KITTY_WINDOW_ID": "1"}, None),
    ],
)
def test_the_terminal_is_recognized(environ: dict[str, str], kind: str | None) -> None:
    assert detect_protocol(environ) == kind


@pytest.mark.parametrize(
    ("answer", "kind"), [(b"\x1b[?62;4;22c", "sixel"), (b"\x1b[?62;22c", "blocks"), (b"", "blocks")]
)
def test_the_answer_of_the_terminal_decides_about_sixel(
    answer: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal_protocol, "_query_attributes", lambda: answer)
    assert detect_protocol({"TERM": "xterm"}) == kind


class TestCommand:
    """The option of `vsearch search`."""

    @pytest.fixture(autouse=True)
    def indexed(self, fake_model: None, run_vsearch: CommandRunner, videos_folder: Path) -> None:
        run_vsearch("index", videos_folder)

    def test_nothing_is_shown_outside_a_terminal(self, run_vsearch: CommandRunner) -> None:
        result = run_vsearch("search", "--preview", "blue")
        assert ESCAPE not in result.stdout
        assert "red then blue.mp4" in result.stdout
        assert "--preview=blocks" in result.stderr

    def test_a_forced_kind_is_shown_below_each_row(
        self, run_vsearch: CommandRunner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLORTERM", "truecolor")
        lines = run_vsearch("search", "--preview=blocks", "-k", "1", "blue").stdout.splitlines()
        shown = decode_blocks("\n".join(line for line in lines if "▀" in line))
        middle = shown[len(shown) // 2, shown.shape[1] // 2].astype(int)
        assert middle[2] > middle[0] + 100
        assert middle[2] > middle[1] + 100

    def test_a_missing_file_has_no_picture(
        self, run_vsearch: CommandRunner, videos_folder: Path
    ) -> None:
        (videos_folder / "red then blue.mp4").unlink()
        result = run_vsearch("search", "--preview=kitty", "-k", "1", "blue")
        assert "(no picture)" in result.stdout
        assert ESCAPE not in result.stdout

    def test_names_of_files_cannot_steer_the_terminal(
        self, run_vsearch: CommandRunner, videos_folder: Path
    ) -> None:
        (videos_folder / "green.mp4").rename(videos_folder / "gr\x1b[2Jeen.mp4")
        run_vsearch("index", videos_folder)
        output = run_vsearch("search", "--preview=iterm", "green").stdout
        assert "\x1b[2J" not in output
        assert "\\x1b[2J" in output

    def test_it_cannot_be_combined_with_json(self, run_vsearch: CommandRunner) -> None:
        result = run_vsearch("search", "--preview=blocks", "--json", "blue", exit_code=2)
        assert "--preview" in result.stderr
