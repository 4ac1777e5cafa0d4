"""The last search on disk, so that its results can be referenced: `like:#12`, `mark 3 up`.

The file is disposable: only such references depend on it. It is stored in the library's folder, or
in the user's cache folder if the library is read-only.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsearch.config import cache_folder
from vsearch.errors import QueryError
from vsearch.query.model import ResultRef
from vsearch.search.serialization import quote_from_dict
from vsearch.storage.atomic_files import replace_file
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Moment, Quote

LAST_SEARCH_FILE = "last-search.json"
MAX_RESULT_FILE_BYTES = 4 * 1024 * 1024
MAX_RESULTS = 1_000  # further results are not stored
NOT_SAVED_NOTE = (
    "Result numbers cannot be used by later commands: neither the library nor the cache is "
    "writable."
)


@dataclass(frozen=True, slots=True)
class LastSearch:
    """A query and its results, best first, numbered from 1."""

    query_text: str  # as typed
    result_refs: tuple[ResultRef, ...]

    def get_result(self, result_number: int) -> ResultRef:
        """Return the result with a number, counted from 1.

        Raises:
            QueryError: There is no such result.
        """
        if not 1 <= result_number <= len(self.result_refs):
            result_summary = (
                f"has {len(self.result_refs)}" if self.result_refs else "has no results"
            )
            raise QueryError(
                f"#{result_number}: there is no such result; the last search {result_summary}"
            )
        return self.result_refs[result_number - 1]


def save_last_search(library_path: Path, query_text: str, moments: Sequence[Moment]) -> bool:
    """Store the results of a search for later reference.

    Args:
        library_path: Folder of the library.
        query_text: The query as typed.
        moments: Its results, best first; at most `MAX_RESULTS` are stored.

    Returns:
        False if neither the library's nor the cache folder is writable.
    """
    result_entries = [
        {
            "video": os.fsdecode(moment.video.path),
            "start": moment.span.start,
            "end": moment.span.end,
            "score": moment.score,
            "confidence": moment.confidence,
            "explanation": {
                "quotes": [_quote_to_dict(quote) for quote in moment.explanation.quotes[:1]]
            },
        }
        for moment in moments[:MAX_RESULTS]
    ]
    search_json: dict[str, Any] = {"query": query_text, "results": result_entries}
    search_json["crc32"] = _compute_checksum(search_json)
    file_content = json.dumps(search_json).encode("ascii")
    if _try_write(library_path / LAST_SEARCH_FILE, file_content):
        with suppress(OSError):
            _cache_path(library_path).unlink(missing_ok=True)
        return True
    return _try_write(_cache_path(library_path), file_content)


def load_last_search(library_path: Path) -> LastSearch:
    """Load the results of the last search in a library.

    Args:
        library_path: Folder of the library.

    Raises:
        QueryError: No search was stored, or the file is damaged.
    """
    saved_paths = [
        saved_path
        for saved_path in (_cache_path(library_path), library_path / LAST_SEARCH_FILE)
        if saved_path.is_file()
    ]
    if not saved_paths:
        raise QueryError(f"no search was made in {library_path} yet; run `vsearch search` first")
    return read_results_file(max(saved_paths, key=lambda saved_path: saved_path.stat().st_mtime_ns))


def read_results_file(file_path: Path) -> LastSearch:
    """Read results from a file in the format of `vsearch search --json`.

    Args:
        file_path: The JSON file, at most `MAX_RESULT_FILE_BYTES` long.

    Raises:
        QueryError: The file cannot be read or has another format.
    """
    try:
        with file_path.open("rb") as result_file:
            file_content = result_file.read(MAX_RESULT_FILE_BYTES + 1)
        if len(file_content) > MAX_RESULT_FILE_BYTES:
            raise ValueError("file too large")
        return _last_search_from_json(json.loads(file_content))
    except OSError as error:
        raise QueryError(f"{file_path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise QueryError(
            f"{file_path}: is not a search result file; write one with `vsearch search --json`"
        ) from error


def parse_result_numbers(numbers_text: str) -> list[int]:
    """Parse result numbers such as `#3`, `3,5` or `#1-5,8`.

    Returns:
        Distinct numbers, counted from 1, in order of appearance.

    Raises:
        QueryError: The text is malformed or a number is out of range.
    """
    result_numbers: dict[int, None] = {}
    for number_range in numbers_text.removeprefix("#").split(","):
        match = re.fullmatch(r"\s*#?([0-9]{1,4})(?:-#?([0-9]{1,4}))?\s*", number_range)
        if match is None:
            raise QueryError(
                f"{numbers_text!r} is not a list of result numbers: write #3, or #1-5,8"
            )
        first_number = int(match[1])
        last_number = int(match[2] or first_number)
        if not 1 <= first_number <= last_number <= MAX_RESULTS:
            raise QueryError(f"{numbers_text!r}: result numbers range from 1 to {MAX_RESULTS}")
        result_numbers |= dict.fromkeys(range(first_number, last_number + 1))
    return list(result_numbers)


def _cache_path(library_path: Path) -> Path:
    """Return the file in the user's cache that stands in for a read-only library."""
    library_bytes = os.fsencode(os.path.abspath(library_path))  # noqa: PTH100 - links stay, `..` goes
    return cache_folder() / f"last-search-{hashlib.sha256(library_bytes).hexdigest()[:16]}.json"


def _try_write(file_path: Path, file_content: bytes) -> bool:
    try:
        replace_file(file_path, file_content)
    except OSError:
        return False
    return True


def _compute_checksum(search_json: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(search_json).encode("ascii"))


def _last_search_from_json(search_json: Any) -> LastSearch:
    checksum = search_json.pop("crc32", None)  # only in files of `save_last_search`
    if checksum is not None and checksum != _compute_checksum(search_json):
        raise ValueError("the checksum does not match")
    result_refs = [
        ResultRef(
            str(result_json["video"]),
            Span(float(result_json["start"]), float(result_json["end"])),
            float(result_json["score"]),
            None if result_json.get("confidence") is None else float(result_json["confidence"]),
            _first_quote(result_json.get("explanation", {}).get("quotes")),
        )
        for result_json in search_json["results"][:MAX_RESULTS]
    ]
    return LastSearch(str(search_json["query"]), tuple(result_refs))


def _quote_to_dict(quote: Quote) -> dict[str, Any]:
    """Convert a quote to the format of `search --json`."""
    return {
        "source": quote.source,
        "start": quote.span.start,
        "end": quote.span.end,
        "text": quote.text,
        "score": quote.score,
    }


def _first_quote(quotes_json: Any) -> Quote | None:
    """Parse the first quote of a result, if any."""
    return quote_from_dict(quotes_json[0]) if quotes_json else None
