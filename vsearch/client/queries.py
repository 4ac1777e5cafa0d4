"""Preparation of queries and arguments for a server.

Local images and clips are uploaded and replaced by their ids; other text is sent as typed. Video
and folder names are resolved against the lists of the server.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vsearch.catalog.path_matching import compile_matcher
from vsearch.errors import LibraryError, QueryError, ServerError, UnreadableError, VSearchError
from vsearch.query.arguments import check_names, check_text
from vsearch.query.grammar import tokenize_query
from vsearch.query.model import Filters, Query
from vsearch.query.parser import NameResolver, build_query, parse_query
from vsearch.search.serialization import video_from_dict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vsearch.client.connection import ServerConnection
    from vsearch.types import PathInput, Span, Video

SERVER_ID_PREFIXES = ("upload:", "video:")
PAGE_SIZE = 500  # items per request of a list
MAX_DEPTH = 64  # of nested folders


def build_query_text(
    query: str | Query,
    image: PathInput | None = None,
    clip: PathInput | None = None,
    span: Span | tuple[float, float] | None = None,
    videos: Sequence[str] = (),
    tags: Sequence[str] = (),
) -> str:
    """Combine the arguments of a search into one query text.

    Args:
        query: Query text, or a parsed query, which excludes the other arguments.
        image: Local image file.
        clip: Local video file.
        span: Part of `clip` in seconds.
        videos: Path patterns on the server.
        tags: Required tags.

    Returns:
        The query text.

    Raises:
        QueryError: If a Query is combined with other arguments, or an argument is invalid.
    """
    if isinstance(query, Query):
        if videos or tags or (image, clip, span) != (None, None, None):
            raise QueryError("a Query already has images, clips and filters; give no others")
        return str(query)
    query = check_text(query, "the query")
    filters = Filters(path_patterns=check_names(videos, "videos"), tags=check_names(tags, "tags"))
    extra_terms = filters.to_text()
    if (image, clip, span) != (None, None, None):
        extra_terms = [str(build_query("", image, clip, span, videos, tags))]
    return " ".join([query, *extra_terms] if query.strip() else extra_terms)


def storable_query(query_text: str) -> str:
    """Return a query text that a server can store.

    Raises:
        QueryError: If the query refers to local files.
    """
    return _replace_local_files(query_text, _reject_local_file)


def uses_result_refs(query_text: str) -> bool:
    """Return True if a query refers to results of the last search (`like:#3`).

    Raises:
        QueryError: If the query cannot be parsed.
    """
    return any(token.field_name == "like" for token in tokenize_query(query_text))


class QueryUploads:
    """Uploads the local files of one search and deletes them from the server afterwards."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._upload_ids: dict[Path, str] = {}

    @contextmanager
    def upload_files(self, query_text: str) -> Iterator[str]:
        """Upload the files in a query for the duration of the block.

        Args:
            query_text: The query as typed.

        Yields:
            The query text with upload ids in place of local files.

        Raises:
            UnreadableError: If a file is missing or unreadable.
            VSearchError: If the server rejects a file.
        """
        try:
            yield _replace_local_files(query_text, self._ensure_uploaded)
        finally:
            for upload_id in self._upload_ids.values():
                self._delete_upload(upload_id)
            self._upload_ids.clear()

    def _ensure_uploaded(self, file_name: str) -> str:
        file_path = Path(os.path.expanduser(file_name))  # noqa: PTH111 - never raises
        if file_path not in self._upload_ids:
            self._upload_ids[file_path] = self._upload_file(file_path)
        return f"upload:{self._upload_ids[file_path]}"

    def _upload_file(self, file_path: Path) -> str:
        if not os.path.isfile(file_path):  # noqa: PTH113 - never raises
            raise UnreadableError(
                f"{file_path}: no such local file; refer to videos on the server as video:ID"
            )
        sent_name = file_path.name.encode("utf-8", "replace").decode()
        try:
            with file_path.open("rb") as source_file:
                payload = self._connection.request_json(
                    "POST", "/uploads", files={"file": (sent_name, source_file)}
                )
        except OSError as error:
            raise UnreadableError(f"{file_path}: cannot be read ({error.strerror})") from error
        with self._connection.validate_response():
            return str(payload["upload_id"])

    def _delete_upload(self, upload_id: str) -> None:
        try:
            self._connection.request_json("DELETE", f"/uploads/{quote(upload_id, safe='')}")
        except VSearchError:  # the server evicts it later
            return


def _replace_local_files(query_text: str, name_file: Callable[[str], str]) -> str:
    """Replace every local image and clip of a query by the result of `name_file`."""
    token_texts, has_changed = [], False
    for token in tokenize_query(query_text):
        token_text = token.source_text
        if token.field_name in ("image", "clip") and not token.value_text.startswith(
            SERVER_ID_PREFIXES
        ):
            [term] = parse_query(
                token_text, name_resolver=NameResolver(resolve_file=name_file)
            ).terms
            token_text, has_changed = str(term), True
        token_texts.append(token_text)
    return " ".join(token_texts) if has_changed else query_text


def _reject_local_file(file_name: str) -> str:
    raise QueryError(
        f"{file_name}: the server cannot store local files; use text or clip:video:ID@3-8"
    )


# --- lists, videos and folders of the server


def quote_path(path_part: str) -> str:
    """Quote a name for use as one segment of a URL path.

    Raises:
        LibraryError: If the name is empty, "." or "..".
    """
    if path_part in ("", ".", ".."):
        raise LibraryError(f"{path_part!r} is not a valid name")
    return quote(path_part, safe="", errors="replace")


def iter_items(connection: ServerConnection, api_path: str) -> Iterator[Mapping[str, Any]]:
    """Yield all items of a paginated list."""
    offset = 0
    while True:
        page = connection.request_json(
            "GET", api_path, params={"offset": offset, "limit": PAGE_SIZE}
        )
        page_items = page["items"]
        yield from page_items
        offset += len(page_items)
        if not page_items or offset >= int(page["total"]):
            return


def list_videos(connection: ServerConnection, paths: Sequence[PathInput] = ()) -> list[Video]:
    """Return the videos of the library on a server, sorted by path.

    Args:
        connection: Connection to the server.
        paths: Paths on the server, each a video, a folder or a glob; empty means all videos.

    Returns:
        The matching videos.
    """
    with connection.validate_response():
        videos = list(map(video_from_dict, iter_items(connection, "/videos")))
    videos.sort(key=lambda video: str(video.path))
    path_names = check_names(paths, "paths")
    return match_videos(videos, path_names) if path_names else videos


def match_videos(videos: Sequence[Video], name_patterns: Sequence[str]) -> list[Video]:
    """Return the videos that match any pattern.

    Args:
        videos: All videos of the library.
        name_patterns: Each a path of a video, else a folder, else a glob.

    Returns:
        The matching videos in their original order.
    """
    matched_ids: set[int] = set()
    for name_pattern in name_patterns:
        exact_ids = [
            candidate.id for candidate in videos if candidate.path == PurePath(name_pattern)
        ]
        exact_ids = exact_ids or [
            candidate.id for candidate in videos if candidate.path.is_relative_to(name_pattern)
        ]
        matches_glob = compile_matcher([name_pattern])
        matched_ids |= set(
            exact_ids or [candidate.id for candidate in videos if matches_glob(candidate.path)]
        )
    return [video for video in videos if video.id in matched_ids]


def resolve_folder_ids(connection: ServerConnection, folder_names: Sequence[str]) -> list[str]:
    """Return the ids of folders that a server offers for indexing.

    Args:
        connection: The server.
        folder_names: Paths, names or ids; empty means all root folders.

    Returns:
        One id per name, or the ids of all roots.

    Raises:
        LibraryError: If the server offers no folder, or a name is unknown or ambiguous.
    """
    payload = connection.request_json("GET", "/folders")
    with connection.validate_response():
        root_folders = [_ServerFolder(folder_payload) for folder_payload in payload["items"]]
    if not root_folders:
        raise LibraryError(
            f"{connection.url}: no folder may be indexed; pass folders to `vsearch serve`"
        )
    if not folder_names:
        return [root_folder.folder_id for root_folder in root_folders]
    return [_resolve_folder(connection, root_folders, folder_name) for folder_name in folder_names]


class _ServerFolder:
    """A folder listing from the server."""

    def __init__(self, payload: Mapping[str, Any]) -> None:
        self.folder_id, self.folder_name = str(payload["folder_id"]), str(payload["name"])
        self.folder_path = PurePath(str(payload["path"]))
        self.subfolder_ids = {
            str(subfolder_payload["name"]): str(subfolder_payload["folder_id"])
            for subfolder_payload in payload["subfolders"]
        }


def _resolve_folder(
    connection: ServerConnection, root_folders: Sequence[_ServerFolder], folder_name: str
) -> str:
    """Return the id of the folder with this id, path or name."""
    exact_ids = [
        candidate.folder_id
        for candidate in root_folders
        if folder_name == candidate.folder_id or PurePath(folder_name) == candidate.folder_path
    ]
    matching_ids = exact_ids or [
        candidate.folder_id for candidate in root_folders if folder_name == candidate.folder_name
    ]
    if len(matching_ids) == 1:
        return matching_ids[0]
    for root_folder in root_folders:
        if not matching_ids and PurePath(folder_name).is_relative_to(root_folder.folder_path):
            path_parts = PurePath(folder_name).relative_to(root_folder.folder_path).parts
            subfolder_id = _resolve_subfolder(connection, root_folder, path_parts)
            if subfolder_id is not None:
                return subfolder_id
    offered_paths = ", ".join(str(root_folder.folder_path) for root_folder in root_folders[:5])
    reason = "several folders have that name" if matching_ids else "no such folder"
    raise LibraryError(f"{folder_name}: {reason} at {connection.url}; available: {offered_paths}")


def _resolve_subfolder(
    connection: ServerConnection, folder: _ServerFolder, path_parts: Sequence[str]
) -> str | None:
    if len(path_parts) > MAX_DEPTH or ".." in path_parts:
        return None
    folder_id = folder.folder_id
    for path_part in path_parts:
        if path_part not in folder.subfolder_ids:
            return None
        folder_id = folder.subfolder_ids[path_part]
        payload = connection.request_json("GET", f"/folders/{quote_path(folder_id)}")
        try:
            folder = _ServerFolder(payload)
        except (KeyError, TypeError) as error:
            raise ServerError(f"{connection.url}: invalid folder listing") from error
    return folder_id
