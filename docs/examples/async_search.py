"""Search in an asynchronous program: each call runs in a thread, the event loop stays free.

python docs/examples/async_search.py "a dog" "a red car"
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from vsearch import Library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch import SearchResult


async def search_all(library: Library, queries: Sequence[str]) -> list[SearchResult]:
    """Run several searches at the same time, and return their results in order."""
    return await asyncio.gather(
        *(asyncio.to_thread(library.search, query, k=5) for query in queries)
    )


async def index_folder(library: Library, folder: str) -> int:
    """Index a folder while other tasks go on, and return the number of files.

    `index` works while it is iterated, so the whole loop runs in the thread.
    """
    return await asyncio.to_thread(lambda: sum(1 for _ in library.index([folder])))


async def main(queries: Sequence[str]) -> None:
    """Search the default library, which is opened once for the whole program."""
    with await asyncio.to_thread(Library.open) as library:
        for result in await search_all(library, queries):
            print(result)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
