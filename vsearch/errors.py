"""Every error that vsearch raises on purpose.

VSearchError
├── QueryError              the question cannot be answered as it is put
│   └── NoTextError         the library's model understands pictures only
├── MediaError              a file is no usable video or picture
│   ├── UnreadableError     missing, not permitted, not a media file, damaged from the start
│   ├── NoPictureError      opens, but no frame can be shown: audio only, encrypted, unknown codec
│   └── TooLargeError       over a limit that keeps memory or time bounded
├── ModelError              a model cannot be had or used
│   ├── UnknownPluginError  no model, pooler, index or detector of that name
│   ├── MissingExtraError   needs an optional part of vsearch that is not installed
│   └── WeightsError        weights missing, not downloadable, or not what their digest says
├── LibraryError            a library on disk cannot be used as asked
│   ├── NoLibraryError      there is no library there
│   ├── NewerLibraryError   written by a newer vsearch
│   ├── DamagedLibraryError the catalogue is not readable
│   ├── LockedError         another process is writing; the message names it
│   └── SpaceMismatchError  vectors of two different models would meet
├── ServerError             a server of vsearch cannot be reached, or refuses
├── ExportError             a video cannot be written as asked
├── DatasetError            a file of captions is not as it should be
└── SettingsError           a flag, variable or vsearch.toml holds a value that makes no sense

A message says what is wrong, with which file, and what to do.
"""


class VSearchError(Exception):
    """Base class of all errors that vsearch raises on purpose."""


class QueryError(VSearchError):
    """The question cannot be answered as it is put."""


class NoTextError(QueryError):
    """The library's model understands pictures only."""


class MediaError(VSearchError):
    """A file is no usable video or picture."""


class UnreadableError(MediaError):
    """The file is missing, not permitted, not a media file, or damaged from the start."""


class NoPictureError(MediaError):
    """The file opens, but no frame of it can be shown."""


class TooLargeError(MediaError):
    """The file is over a limit that keeps memory or time bounded."""


class ModelError(VSearchError):
    """A model cannot be had or used."""


class UnknownPluginError(ModelError):
    """No model, pooler, index or shot detector has that name."""


class MissingExtraError(ModelError):
    """An optional part of vsearch that is needed is not installed."""


class WeightsError(ModelError):
    """Weights are missing, cannot be downloaded, or are not what their digest says."""


class LibraryError(VSearchError):
    """A library on disk cannot be used as asked."""


class NoLibraryError(LibraryError):
    """There is no library in that folder."""


class NewerLibraryError(LibraryError):
    """The library was written by a newer vsearch."""


class DamagedLibraryError(LibraryError):
    """The catalogue is not readable."""


class LockedError(LibraryError):
    """Another process is writing to the library."""


class SpaceMismatchError(LibraryError):
    """Vectors of two different embedding spaces would meet."""


class ServerError(VSearchError):
    """A server of vsearch cannot be reached, or refuses."""


class ExportError(VSearchError):
    """A video cannot be written as asked."""


class DatasetError(VSearchError):
    """A file of captioned clips is not as it should be."""


class SettingsError(VSearchError):
    """A flag, environment variable or vsearch.toml holds a value that makes no sense."""
