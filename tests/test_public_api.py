"""Public = in `__all__` = documented."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest

import vsearch
from vsearch.analysis.tags import Tags
from vsearch.client.annotations import RemoteFeedback, RemoteSavedSearches, RemoteTags
from vsearch.client.remote import Remote
from vsearch.client.transcripts import RemoteTranscripts
from vsearch.indexing.models import Models
from vsearch.indexing.transcripts import Transcripts
from vsearch.search.feedback_store import FeedbackStore
from vsearch.search.saved_searches import SavedSearches

if TYPE_CHECKING:
    from collections.abc import Iterator

REMOTE_ONLY = {"cancel", "preview", "export"}
MIRRORED_CLASSES = [
    (Remote, vsearch.Library),
    (RemoteSavedSearches, SavedSearches),
    (RemoteFeedback, FeedbackStore),
    (RemoteTags, Tags),
    (RemoteTranscripts, Transcripts),
]
API_CLASSES = sorted(
    {cls for pair in MIRRORED_CLASSES for cls in pair} | {Models, vsearch.Query, vsearch.Features},
    key=lambda cls: cls.__name__,
)


def public_methods(cls: type) -> Iterator[tuple[str, Any]]:
    for name, method in inspect.getmembers(cls, callable):
        if not name.startswith("_"):
            yield name, method


@pytest.mark.parametrize("name", vsearch.__all__)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    thing = getattr(vsearch, name)
    if name == "__version__":
        return
    assert thing.__doc__
    assert not thing.__doc__.startswith(f"{name}("), f"{name} has no docstring of its own"
    if inspect.isclass(thing) and thing.__module__.startswith("vsearch."):
        for method_name, method in vars(thing).items():
            if inspect.isfunction(method) and not method_name.startswith("_"):
                assert method.__doc__, f"{name}.{method_name}"


def test_the_public_names_are_these() -> None:
    assert sorted(vsearch.__all__) == [
        "AttentionPooler", "BackupInfo", "ClassificationResult", "ClusterError", "Cue", "Curve",
        "DamagedLibraryError", "DatasetError", "DescribedEncoder", "DuplicateSpan", "Encoder",
        "Excerpt", "Explanation", "ExportError", "Features", "Filters", "FrameWeight",
        "IndexRecall", "IndexResult", "IndexServerError", "Library", "LibraryError", "LibraryInfo",
        "LockedError", "MediaError", "MissingExtraError", "ModelError", "Moment",
        "NewerLibraryError", "NoLibraryError", "NoPictureError", "NoTextError", "Outcome", "Pooler",
        "Progress", "Query", "QueryError", "QuerybankEncoder", "Quote", "RebuildableIndex",
        "RelevanceLabel", "ResultRef", "SavedSearch", "ScoreShares", "SearchResult", "Segment",
        "ServerError", "Settings", "SettingsError", "SharedIndex", "ShotDetector", "Space",
        "SpaceInfo", "SpaceMismatchError", "Span", "Step", "StoreError", "SummaryResult",
        "SwitchResult", "Tag", "Term", "Timings", "TooLargeError", "Transcript", "TranscriptResult",
        "TranscriptText", "TransferError", "TransitionDetector", "UnknownPluginError",
        "UnreadableError", "VSearchError", "VectorIndex", "VectorSource", "Video", "WeightsError",
        "Word", "__version__", "connect",
    ]  # fmt: skip


def test_every_error_is_public() -> None:
    from vsearch import errors

    classes = {name for name, thing in vars(errors).items() if inspect.isclass(thing)}
    assert classes <= set(vsearch.__all__)


@pytest.mark.parametrize("cls", API_CLASSES, ids=lambda cls: cls.__name__)
def test_every_public_method_is_documented(cls: type) -> None:
    for name, method in public_methods(cls):
        assert method.__doc__, name
        assert not re.match(r"(What|Whether|How|That|Where|Who)\b", method.__doc__), name


@pytest.mark.parametrize(
    "cls", [vsearch.Library, SavedSearches, FeedbackStore, Tags, Transcripts, Models]
)
def test_the_documented_arguments_are_the_real_ones(cls: type) -> None:
    for name, method in public_methods(cls):
        parameters = [name for name in inspect.signature(method).parameters if name != "self"]
        _, _, arguments = method.__doc__.partition("Args:\n")
        documented = re.findall(r"^ {12}(\w+): ", arguments.partition("\n\n")[0], re.MULTILINE)
        is_one_line = "\n" not in method.__doc__
        assert documented == parameters or is_one_line or (len(parameters) == 1 and not documented)


@pytest.mark.parametrize(("remote", "local"), MIRRORED_CLASSES, ids=lambda cls: cls.__name__)
def test_a_remote_library_has_the_same_methods_and_arguments(remote: type, local: type) -> None:
    for name, method in inspect.getmembers(remote, inspect.isfunction):
        if name.startswith("_") or name in REMOTE_ONLY:
            continue
        here = inspect.signature(getattr(local, name)).parameters
        there = inspect.signature(method).parameters
        assert name == "index" or list(there) == list(here)[: len(there)], name


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    from vsearch import errors

    lines = (errors.__doc__ or "").splitlines()
    stack: list[str] = []
    for line in lines:
        if not line or "Error" not in line.replace("│", "").strip().split(" ")[-1] + line:
            continue
        bare = line.lstrip("│├└─ ")
        name = bare.split(" ")[0]
        if not name.endswith("Error"):
            continue
        depth = (len(line) - len(bare)) // 4
        stack = [*stack[:depth], name]
        cls = getattr(errors, name)
        if depth:
            assert cls.__bases__ == (getattr(errors, stack[depth - 1]),), name
    classes = {n for n, c in vars(errors).items() if inspect.isclass(c)}
    assert classes == {word for line in lines for word in line.split() if word in classes}
