"""The contract of `VectorIndex`, kept by an index on a Milvus server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.test_vector_index_contract import *  # noqa: F403
from vsearch.index.milvus import URL_VARIABLE, MilvusIndex

if TYPE_CHECKING:
    from tests.support.milvus_server import MilvusServer

pytestmark = pytest.mark.cluster


@pytest.fixture(name="cls")
def connected_cls(milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(URL_VARIABLE, milvus_server.url)
    return MilvusIndex
