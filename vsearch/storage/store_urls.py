"""Addresses of a library's store: a folder, or the URL of a bucket."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from vsearch.errors import SettingsError

# Schemes of buckets, and the extra of vsearch that installs their client
EXTRAS_BY_SCHEME = {"s3": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "memory": "s3"}


def check_store(store: object) -> None:
    """Raise SettingsError unless a value names a store; the message never repeats a secret.

    Args:
        store: Empty, an absolute folder, or a URL such as `s3://bucket/films`.
    """
    if not isinstance(store, str):
        raise SettingsError(f"store must be a folder or URL, not {type(store).__name__}")
    if not store or find_store_folder(store) is not None:
        return
    if "://" not in store:
        raise SettingsError("store must be an absolute folder, or a URL such as s3://bucket/films")
    try:
        parts = urlsplit(store)
    except ValueError:
        raise SettingsError("store is not a valid URL; s3://bucket/films is one") from None
    if parts.scheme not in EXTRAS_BY_SCHEME:
        raise SettingsError(
            "store must be an absolute folder, or a URL that begins with file://, "
            "s3://, gs:// or az://"
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise SettingsError(
            "store must not contain a user name, password, key or parameters: they are read from "
            "the environment or configuration of the bucket's client"
        )
    if not parts.netloc:
        raise SettingsError("store lacks the name of the bucket, as in s3://bucket/films")


def find_store_folder(store: str) -> Path | None:
    """Return the folder of a store on this machine; None for a bucket or an invalid address.

    Args:
        store: As in the settings.
    """
    if store.lower().startswith("file:///"):
        return Path(unquote(store[len("file://") :]))
    if "://" in store:
        return None
    try:
        folder = Path(store).expanduser()
    except RuntimeError:  # no such user
        return None
    return folder if folder.is_absolute() else None
