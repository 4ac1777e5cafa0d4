"""Label files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vsearch.analysis.labels import (
    MAX_LABEL_CHARS,
    MAX_LABEL_FILE_BYTES,
    MAX_LABELS,
    MAX_PHRASES,
    NO_LABEL,
    Label,
    parse_labels,
    read_labels,
)
from vsearch.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_line_is_a_label_with_optional_phrases(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    text = "# mine\n\ndog\r\n  pet : a cat ; a hamster;  \nStraße\n"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_labels(file) == [
        Label("dog"),
        Label("pet", ("a cat", "a hamster")),
        Label("Straße"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no labels"),
        ("# only\n\n", "no labels"),
        ("dog\ncat\nDog\n", "txt:3: 'Dog' is already in line 1"),
        ("dog:\n", "txt:1: no phrases after 'dog'"),
        (": a dog\n", "txt:1: '' is not a valid label"),
        ("do\x1bg\n", "txt:1: .* printable"),
        (f"{NO_LABEL}\n", "is reserved"),
        ("x" * (MAX_LABEL_CHARS + 1), "longer than"),
        ("dog: " + "a dog;" * (MAX_PHRASES + 1), "phrases"),
        ("\n".join(map(str, range(MAX_LABELS + 1))), f"{MAX_LABELS + 1} labels"),
        ("#" * (MAX_LABEL_FILE_BYTES + 1), "larger"),
    ],
)
def test_invalid_label_files_raise_an_error_with_the_line(
    tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "labels.txt"
    file.write_text(text, "utf-8")
    with pytest.raises(DatasetError, match=message):
        read_labels(file)


def test_binary_and_missing_files_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"\xff\xfe\x00junk")
    for name in ("film.mp4", "nowhere.txt", "."):
        with pytest.raises(DatasetError, match=name.replace(".", r"\.") if name != "." else "read"):
            read_labels(tmp_path / name)


def test_labels_from_a_list_are_validated_alike() -> None:
    assert parse_labels(["dog", Label("cat")]) == [Label("dog"), Label("cat")]
    for labels in ([], ["dog", "DOG"], [""], [NO_LABEL]):
        with pytest.raises(DatasetError):
            parse_labels(labels)
