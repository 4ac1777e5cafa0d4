"""Semantic video search: find the moment that a text, an image or a clip describes.

`Library` is the entry point; `connect` returns the same interface for a server. Names are imported
on first use, so `import vsearch` alone is fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsearch.analysis.summaries import Excerpt, SummaryResult
    from vsearch.backup.archive import BackupInfo
    from vsearch.client.remote import connect
    from vsearch.config import Settings
    from vsearch.copies.duplicate_spans import DuplicateSpan
    from vsearch.doctor import IndexRecall
    from vsearch.errors import (
        ClusterError,
        DamagedLibraryError,
        DatasetError,
        ExportError,
        IndexServerError,
        LibraryError,
        LockedError,
        MediaError,
        MissingExtraError,
        ModelError,
        NewerLibraryError,
        NoLibraryError,
        NoPictureError,
        NoTextError,
        QueryError,
        ServerError,
        SettingsError,
        SpaceMismatchError,
        StoreError,
        TooLargeError,
        TransferError,
        UnknownPluginError,
        UnreadableError,
        VSearchError,
        WeightsError,
    )
    from vsearch.library import Library
    from vsearch.progress import (
        IndexResult,
        Outcome,
        Progress,
        SwitchResult,
        Timings,
        TranscriptResult,
    )
    from vsearch.protocols import (
        AttentionPooler,
        DescribedEncoder,
        Encoder,
        Pooler,
        QuerybankEncoder,
        RebuildableIndex,
        SharedIndex,
        ShotDetector,
        TransitionDetector,
        VectorIndex,
        VectorSource,
    )
    from vsearch.query.model import Filters, Query, ResultRef, SavedSearch, Step, Term
    from vsearch.search.result import SearchResult
    from vsearch.types import (
        ClassificationResult,
        Cue,
        Curve,
        Explanation,
        Features,
        FrameWeight,
        LibraryInfo,
        Moment,
        Quote,
        RelevanceLabel,
        ScoreShares,
        Segment,
        Space,
        SpaceInfo,
        Span,
        Tag,
        Transcript,
        TranscriptText,
        Video,
        Word,
    )

__all__ = [
    "AttentionPooler",
    "BackupInfo",
    "ClassificationResult",
    "ClusterError",
    "Cue",
    "Curve",
    "DamagedLibraryError",
    "DatasetError",
    "DescribedEncoder",
    "DuplicateSpan",
    "Encoder",
    "Excerpt",
    "Explanation",
    "ExportError",
    "Features",
    "Filters",
    "FrameWeight",
    "IndexRecall",
    "IndexResult",
    "IndexServerError",
    "Library",
    "LibraryError",
    "LibraryInfo",
    "LockedError",
    "MediaError",
    "MissingExtraError",
    "ModelError",
    "Moment",
    "NewerLibraryError",
    "NoLibraryError",
    "NoPictureError",
    "NoTextError",
    "Outcome",
    "Pooler",
    "Progress",
    "Query",
    "QueryError",
    "QuerybankEncoder",
    "Quote",
    "RebuildableIndex",
    "RelevanceLabel",
    "ResultRef",
    "SavedSearch",
    "ScoreShares",
    "SearchResult",
    "Segment",
    "ServerError",
    "Settings",
    "SettingsError",
    "SharedIndex",
    "ShotDetector",
    "Space",
    "SpaceInfo",
    "SpaceMismatchError",
    "Span",
    "Step",
    "StoreError",
    "SummaryResult",
    "SwitchResult",
    "Tag",
    "Term",
    "Timings",
    "TooLargeError",
    "Transcript",
    "TranscriptResult",
    "TranscriptText",
    "TransferError",
    "TransitionDetector",
    "UnknownPluginError",
    "UnreadableError",
    "VSearchError",
    "VectorIndex",
    "VectorSource",
    "Video",
    "WeightsError",
    "Word",
    "__version__",
    "connect",
]
__version__ = "0.1.0"
_MODULE_BY_NAME = {
    **dict.fromkeys(("Excerpt", "SummaryResult"), "analysis.summaries"),
    "BackupInfo": "backup.archive",
    "connect": "client.remote",
    "Settings": "config",
    "DuplicateSpan": "copies.duplicate_spans",
    "IndexRecall": "doctor",
    "Library": "library",
    "SearchResult": "search.result",
    **dict.fromkeys(
        ("IndexResult", "Outcome", "Progress", "SwitchResult", "Timings", "TranscriptResult"),
        "progress",
    ),
    **dict.fromkeys(
        (
            "AttentionPooler",
            "DescribedEncoder",
            "Encoder",
            "Pooler",
            "QuerybankEncoder",
            "RebuildableIndex",
            "SharedIndex",
            "ShotDetector",
            "TransitionDetector",
            "VectorIndex",
            "VectorSource",
        ),
        "protocols",
    ),
    **dict.fromkeys(
        ("Filters", "Query", "ResultRef", "SavedSearch", "Step", "Term"), "query.model"
    ),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'vsearch' has no attribute {name!r}")
    from importlib import import_module

    default_module = "errors" if name.endswith("Error") else "types"
    return getattr(import_module(f"vsearch.{_MODULE_BY_NAME.get(name, default_module)}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
