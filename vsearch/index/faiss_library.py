"""FAISS, imported only if this process may use enough memory: it crashes otherwise."""

from __future__ import annotations

from vsearch.memory import FAISS_NEED, check_memory

check_memory(FAISS_NEED)

import faiss  # noqa: E402 - after the check

__all__ = ["faiss"]
