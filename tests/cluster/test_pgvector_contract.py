"""The contract of `VectorIndex`, kept by an index in PostgreSQL, rescored as searches do it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.contract.test_vector_index_contract import *  # noqa: F403
from vsearch.index.pgvector import PgvectorIndex
from vsearch.index.rescoring import RescoringIndex

if TYPE_CHECKING:
    from tests.support.pgvector_server import PgvectorServer
    from vsearch.types import Ids, Matrix, Vector

pytestmark = pytest.mark.cluster
EXACT_VECTORS: dict[int, Vector] = {}  # of the catalog, from which searches take the scores


class RescoredPgvectorIndex(PgvectorIndex):
    """Vectors of 16-bit floats in PostgreSQL, with the scores of 32-bit ones."""

    address = ""

    def __init__(self, dim: int, *, conninfo: str = "", table_name: str = "") -> None:
        super().__init__(
            dim,
            conninfo=conninfo or self.address,
            table_name=table_name or f"t{secrets.token_hex(8)}",
        )

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        super().upsert(ids, vectors)
        EXACT_VECTORS.update(zip(ids.tolist(), vectors, strict=True))

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        def fetch(ids: Ids) -> tuple[Ids, Matrix]:
            rows = [EXACT_VECTORS[int(id_)] for id_ in ids]
            return ids, np.array(rows, np.float32).reshape(len(rows), self.dim)

        base_index: Any = super()
        return RescoringIndex(base_index, fetch).search(query_vector, k, allowed_ids)


@pytest.fixture(name="cls")
def connected_cls(pgvector_server: PgvectorServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(RescoredPgvectorIndex, "address", pgvector_server.address)
    return RescoredPgvectorIndex
