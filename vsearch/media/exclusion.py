"""Exclusion of files and folders from indexing, by patterns as in `.gitignore`.

A pattern without a slash matches a name at any depth, one with a slash a path below the folder that
the pattern belongs to; `**` matches any number of folders, a slash at the end folders only, and `!`
includes again what an earlier pattern excludes. Lines that start with `#` are comments.
Patterns are matched part by part, without backtracking, so that a hostile one costs no time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

IGNORE_FILE = ".vsearchignore"
# Trash, metadata and thumbnails of operating systems and NAS devices; code; hidden entries.
DEFAULT_EXCLUDES = (
    "@eaDir/", "#recycle/", "#snapshot/", "$RECYCLE.BIN/", "System Volume Information/",
    "lost+found/", "node_modules/", ".*",
)  # fmt: skip
DEFAULT_SOURCE = "the defaults"  # of patterns
_MAX_IGNORE_BYTES = 64 * 1024
_MAX_PATTERNS = 1_000  # of one file
_ANY_FOLDERS = "**"


@dataclass(frozen=True)
class ExclusionPattern:
    """One pattern, relative to a folder."""

    text: str  # as written
    base_folder: Path
    source: str  # where it was written

    @property
    def is_inclusion(self) -> bool:
        """True for a pattern that starts with `!`."""
        return self.text.startswith("!")

    @cached_property
    def _parts(self) -> list[str | re.Pattern[str]]:
        glob_text = self.text.removeprefix("!").removeprefix("\\").rstrip("/")
        parts = glob_text.removeprefix("/").split("/")
        if "/" not in glob_text:
            parts.insert(0, _ANY_FOLDERS)
        return [
            part if part == _ANY_FOLDERS else re.compile(translate(part), re.IGNORECASE)
            for part in parts
        ]

    @cached_property
    def _name_pattern(self) -> re.Pattern[str] | None:
        """The pattern of the name, if the pattern is one of names at any depth, as most are."""
        any_folders, *other_parts = self._parts
        if any_folders != _ANY_FOLDERS or len(other_parts) != 1:
            return None
        return other_parts[0] if isinstance(other_parts[0], re.Pattern) else None

    def matches(self, path: Path, *, is_folder: bool) -> bool:
        """Return whether the pattern matches a path, also if it is an inclusion.

        Args:
            path: Absolute path; if the pattern is only a name, it must be below the base folder.
            is_folder: Whether it is a folder.
        """
        if self.text.endswith("/") and not is_folder:
            return False
        if self._name_pattern is not None:
            return self._name_pattern.match(path.name) is not None
        if not path.is_relative_to(self.base_folder):
            return False
        return _match_parts(path.relative_to(self.base_folder).parts, self._parts)


def _match_parts(path_parts: Sequence[str], pattern_parts: Sequence[str | re.Pattern[str]]) -> bool:
    """Return whether all parts of a path match; `**` matches any number of them."""
    matched_counts = {0}  # numbers of path parts that the pattern parts so far can match
    for pattern_part in pattern_parts:
        if isinstance(pattern_part, str):
            matched_counts = set(range(min(matched_counts), len(path_parts) + 1))
        else:
            matched_counts = {
                count + 1
                for count in matched_counts
                if count < len(path_parts) and pattern_part.match(path_parts[count])
            }
        if not matched_counts:
            return False
    return len(path_parts) in matched_counts


@dataclass(frozen=True)
class ExclusionRules:
    """Patterns in order; the last one that matches a path decides.

    Attributes:
        patterns: The defaults, then those of `.vsearchignore` files, outer ones first.
        overriding_patterns: Those of the user, which come last.
    """

    patterns: tuple[ExclusionPattern, ...] = ()
    overriding_patterns: tuple[ExclusionPattern, ...] = ()

    def find_exclusion(self, path: Path, *, is_folder: bool) -> ExclusionPattern | None:
        """Return the pattern that excludes a path, or None.

        Args:
            path: Absolute path.
            is_folder: Whether it is a folder.
        """
        for pattern in reversed((*self.patterns, *self.overriding_patterns)):
            if pattern.matches(path, is_folder=is_folder):
                return None if pattern.is_inclusion else pattern
        return None

    def enter_folder(self, folder: Path) -> ExclusionRules:
        """Return the rules inside a folder: these, and those of its `.vsearchignore`.

        Args:
            folder: Absolute path.

        Raises:
            OSError: The file cannot be read.
        """
        ignore_path = folder / IGNORE_FILE
        if ignore_path.is_symlink() or not ignore_path.is_file():
            return self
        with ignore_path.open("rb") as ignore_file:
            ignore_text = ignore_file.read(_MAX_IGNORE_BYTES).decode("utf-8-sig", "replace")
        lines = (line.rstrip() for line in ignore_text.splitlines()[:_MAX_PATTERNS])
        added_patterns = make_patterns(
            (line for line in lines if not line.startswith("#")), folder, str(ignore_path)
        )
        return replace(self, patterns=(*self.patterns, *added_patterns))


def make_default_rules(folder: Path) -> ExclusionRules:
    """Return the rules that hold in a folder unless the user turns them off.

    Args:
        folder: Absolute path.
    """
    return ExclusionRules(make_patterns(DEFAULT_EXCLUDES, folder, DEFAULT_SOURCE))


def make_patterns(
    pattern_texts: Iterable[str], base_folder: Path, source: str
) -> tuple[ExclusionPattern, ...]:
    """Return patterns of one source.

    Args:
        pattern_texts: Patterns; empty ones are left out.
        base_folder: Absolute folder that they belong to.
        source: Where they were written, for messages.
    """
    return tuple(
        ExclusionPattern(pattern_text.removeprefix("./"), base_folder, source)
        for pattern_text in pattern_texts
        if pattern_text.strip("!/")
    )
