"""FAISS, imported only if this process may use enough memory: it crashes otherwise."""

from __future__ import annotations

from vsearch.memory import MemoryNeed, check_memory

check_memory(MemoryNeed("the vector index (FAISS)", 450_000_000, 50_000_000))

import faiss  # noqa: E402 - after the check

__all__ = ["faiss"]
