"""Excerpts as an M3U playlist, each played from its start to its end by VLC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.export.excerpts import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.export.excerpts import Excerpt


def playlist(excerpts: Sequence[Excerpt], title: str) -> bytes:
    """UTF-8. Files are URLs, in which no name can break a line; other players play them whole."""
    lines = ["#EXTM3U", f"#PLAYLIST:{one_line(title)}"]
    for one in excerpts:
        lines += [
            f"#EXTINF:{round(one.span.duration)},{one.rank}. {one.source.name}",
            f"#EXTVLCOPT:start-time={one.span.start:.3f}",
            f"#EXTVLCOPT:stop-time={one.span.end:.3f}",
            one.source.path.as_uri(),
        ]
    return "".join(f"{line}\n" for line in lines).encode()
