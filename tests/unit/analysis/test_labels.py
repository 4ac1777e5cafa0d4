"""Files of labels, as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vsearch.analysis.labels import LONGEST, MOST, NONE, PHRASES, SIZE, Label, named, read
from vsearch.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_line_is_a_label_and_may_say_what_it_looks_like(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    text = "# mine\n\ndog\r\n  pet : a cat ; a hamster;  \nStraße\n"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(file) == [Label("dog"), Label("pet", ("a cat", "a hamster")), Label("Straße")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no label"),
        ("# only\n\n", "holds no label"),
        ("dog\ncat\nDog\n", "txt:3: 'Dog' is in line 1, too"),
        ("dog:\n", "txt:1: after 'dog'"),
        (": a dog\n", "txt:1: '' is no label"),
        ("do\x1bg\n", "txt:1: .* printed"),
        (f"{NONE}\n", "cannot be one"),
        ("x" * (LONGEST + 1), "longer than"),
        ("dog: " + "a dog;" * (PHRASES + 1), "phrases"),
        ("\n".join(map(str, range(MOST + 1))), f"{MOST + 1} labels"),
        ("#" * (SIZE + 1), "larger"),
    ],
)
def test_what_is_no_list_of_labels_is_told_with_the_line(
    tmp_path: Path, text: str, told: str
) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(text, "utf-8")
    with pytest.raises(DatasetError, match=told):
        read(file)


def test_what_is_no_text_or_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"\xff\xfe\x00junk")
    for name in ("film.mp4", "nowhere.txt", "."):
        with pytest.raises(DatasetError, match=name.replace(".", r"\.") if name != "." else "read"):
            read(tmp_path / name)


def test_labels_in_a_program_are_held_to_the_same() -> None:
    assert named(["dog", Label("cat")]) == [Label("dog"), Label("cat")]
    for wrong in ([], ["dog", "DOG"], [""], [NONE]):
        with pytest.raises(DatasetError):
            named(wrong)
