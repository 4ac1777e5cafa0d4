"""Exceptions raised by vsearch.

VSearchError
├── QueryError              the query is invalid
│   └── NoTextError         the active model has no text encoder
├── MediaError              a video or image cannot be used
│   ├── UnreadableError     missing, no permission, not a media file, or damaged from the start
│   │   └── TransferError   a bucket failed while the file was read
│   ├── NoPictureError      no frame can be decoded: audio only, encrypted or unknown codec
│   └── TooLargeError       exceeds a limit that bounds memory or time
├── ModelError              a model cannot be loaded or used
│   ├── UnknownPluginError  no model, pooler, index or shot detector with that name
│   ├── MissingExtraError   an optional dependency is not installed
│   └── WeightsError        weights missing, not downloadable, or with a wrong digest
├── LibraryError            a library operation cannot be done
│   ├── NoLibraryError      the folder contains no library
│   ├── NewerLibraryError   written by a newer version of vsearch
│   ├── DamagedLibraryError a file of the library is corrupted
│   ├── LockedError         another process is writing; the message names it
│   ├── IndexServerError    the server of the vector index is unreachable or fails
│   ├── SpaceMismatchError  vectors of different embedding spaces would be mixed
│   └── StoreError          the bucket or folder of its files cannot be reached or used
├── ServerError             a vsearch server is unreachable or rejects a request
├── ClusterError            a Ray cluster is unreachable, is lost, or has other versions
├── ExportError             an export cannot be written
├── DatasetError            a label, caption or dataset file is invalid
└── SettingsError           a flag, environment variable or vsearch.toml has an invalid value

Messages state what is wrong, with which file, and what to do.
"""

from __future__ import annotations


class VSearchError(Exception):
    """Base class of all exceptions that vsearch raises on purpose."""


class QueryError(VSearchError):
    """Raised if a query is invalid."""


class NoTextError(QueryError):
    """Raised for a text query if the active model has no text encoder."""


class MediaError(VSearchError):
    """Raised if a video or image cannot be used."""


class UnreadableError(MediaError):
    """Raised if a media file is missing, not permitted, not a media file, or damaged."""


class TransferError(UnreadableError):
    """Raised if a file in a bucket cannot be read to its end, though it may be intact."""


class NoPictureError(MediaError):
    """Raised if a media file opens but none of its frames can be decoded."""


class TooLargeError(MediaError):
    """Raised if a media file exceeds a limit that bounds memory or time."""


class ModelError(VSearchError):
    """Raised if a model cannot be loaded or used."""


class UnknownPluginError(ModelError):
    """Raised if no model, pooler, index or shot detector has that name."""


class MissingExtraError(ModelError):
    """Raised if an optional dependency is not installed."""


class WeightsError(ModelError):
    """Raised if weights are missing, cannot be downloaded, or have a wrong digest."""


class LibraryError(VSearchError):
    """Raised if a library operation cannot be done."""


class NoLibraryError(LibraryError):
    """Raised if a folder contains no library."""


class NewerLibraryError(LibraryError):
    """Raised if a library was written by a newer version of vsearch."""


class DamagedLibraryError(LibraryError):
    """Raised if a file of the library is corrupted."""


class LockedError(LibraryError):
    """Raised if another process is writing to the library."""


class IndexServerError(LibraryError):
    """Raised if the server that keeps the vector index is unreachable or fails."""


class SpaceMismatchError(LibraryError):
    """Raised if vectors of different embedding spaces would be mixed."""


class StoreError(LibraryError):
    """Raised if the bucket or folder that has the library's files cannot be reached or used."""


class ServerError(VSearchError):
    """Raised if a vsearch server is unreachable or rejects a request."""


class ClusterError(VSearchError):
    """Raised if a Ray cluster is unreachable, is lost, or has other versions."""


class ExportError(VSearchError):
    """Raised if an export cannot be written."""


class DatasetError(VSearchError):
    """Raised if a label, caption or dataset file is invalid."""


class SettingsError(VSearchError):
    """Raised if a flag, environment variable or vsearch.toml has an invalid value."""
