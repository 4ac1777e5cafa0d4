"""Label files for zero-shot classification: one label per line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import DatasetError
from vsearch.query.arguments import check_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NO_LABEL = "none of these"  # outcome of segments that match no label
MAX_LABELS = 1_000  # each is encoded as several texts
MAX_PHRASES = 20  # per label
MAX_LABEL_CHARS = 200  # of a name or a phrase
MAX_LABEL_FILE_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Label:
    """A label name and the phrases to compare with images; without phrases the name is used.

    Raises:
        ValueError: If the name or a phrase is empty, too long or reserved.
    """

    name: str
    phrases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in (self.name, *self.phrases):
            if not text.strip() or not text.isprintable():
                raise ValueError(f"{text!r} is not a valid label: it must be printable text")
            if len(text) > MAX_LABEL_CHARS:
                raise ValueError(f"{text[:40]!r}… is longer than {MAX_LABEL_CHARS} characters")
        if len(self.phrases) > MAX_PHRASES:
            raise ValueError(
                f"{self.name!r} has {len(self.phrases)} phrases; the maximum is {MAX_PHRASES}"
            )
        if self.name.casefold() == NO_LABEL:
            raise ValueError(f"{NO_LABEL!r} is reserved for segments that match no label")


def read_labels(labels_path: Path) -> list[Label]:
    """Read labels from a UTF-8 file with `label` or `label: phrase; other phrase` on each line.

    Blank lines and lines that start with `#` are ignored.

    Args:
        labels_path: The file.

    Returns:
        The labels.

    Raises:
        DatasetError: If the file or a line is invalid; the message has the line number.
    """
    line_by_name: dict[str, int] = {}
    labels = []
    for line_number, line_text in _iter_lines(labels_path):
        location = f"{labels_path}:{line_number}"
        try:
            label = _parse_label(line_text)
        except ValueError as error:
            raise DatasetError(f"{location}: {error}") from error
        first_line = line_by_name.setdefault(label.name.casefold(), line_number)
        if first_line != line_number:
            raise DatasetError(f"{location}: {label.name!r} is already in line {first_line}")
        labels.append(label)
    if not labels:
        raise DatasetError(f"{labels_path}: no labels; write one per line")
    if len(labels) > MAX_LABELS:
        raise DatasetError(f"{labels_path}: has {len(labels)} labels; the maximum is {MAX_LABELS}")
    return labels


def parse_labels(labels: Sequence[str | Label]) -> list[Label]:
    """Check a list of labels.

    Args:
        labels: Labels, or names of labels.

    Returns:
        The labels.

    Raises:
        DatasetError: If a label is invalid, or the labels are not 1 to MAX_LABELS distinct ones.
    """
    if isinstance(labels, str | Label):
        labels = [labels]
    if not isinstance(labels, Iterable):
        raise DatasetError(f"labels must be a list of texts, not {labels!r:.60}")
    try:
        parsed_labels = [
            each if isinstance(each, Label) else Label(check_text(each, "a label"))
            for each in labels
        ]
    except ValueError as error:
        raise DatasetError(str(error)) from error
    folded_names = [label.name.casefold() for label in parsed_labels]
    if not 0 < len(folded_names) <= MAX_LABELS or len(set(folded_names)) < len(folded_names):
        raise DatasetError(f"expected 1 to {MAX_LABELS} distinct labels")
    return parsed_labels


def _parse_label(line_text: str) -> Label:
    name, separator, phrases_text = line_text.partition(":")
    phrases = tuple(phrase.strip() for phrase in phrases_text.split(";") if phrase.strip())
    if separator and not phrases:
        raise ValueError(f"no phrases after {name.strip()!r} and the colon")
    return Label(name.strip(), phrases)


def _iter_lines(labels_path: Path) -> Iterator[tuple[int, str]]:
    """Yield line number, from 1, and text of each significant line."""
    try:
        with labels_path.open("rb") as labels_file:
            content_bytes = labels_file.read(MAX_LABEL_FILE_BYTES + 1)
        content_text = content_bytes.decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{labels_path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{labels_path}: not UTF-8 text ({error})") from error
    if len(content_bytes) > MAX_LABEL_FILE_BYTES:
        raise DatasetError(
            f"{labels_path}: larger than {MAX_LABEL_FILE_BYTES:,} bytes; not a label file"
        )
    for line_number, line_text in enumerate(content_text.split("\n"), 1):
        if (stripped_line := line_text.strip()) and not stripped_line.startswith("#"):
            yield line_number, stripped_line
