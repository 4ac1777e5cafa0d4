from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from vsearch import plugins
from vsearch.errors import MissingExtraError, UnknownPluginError
from vsearch.pooling.mean import MeanPooler

if TYPE_CHECKING:
    from pathlib import Path


def test_built_ins_are_registered_as_plugins() -> None:
    assert {"builtin", "openclip", "cnn"} <= set(plugins.plugin_names("encoders"))
    assert plugins.resolve_plugin("poolers", "mean") is MeanPooler


@pytest.mark.usefixtures("fake_model")
def test_a_third_party_model_is_found() -> None:
    assert plugins.resolve_plugin("encoders", "fake") is FakeEncoder


def test_a_typo_is_reported_with_a_suggestion() -> None:
    with pytest.raises(UnknownPluginError, match=r"model named 'bultin'; did you mean 'builtin'"):
        plugins.resolve_plugin("encoders", "bultin")
    known = r"no index named 'xyz'\. Known: exact, faiss, ivf, milvus, pgvector, sq8\."
    with pytest.raises(UnknownPluginError, match=known):
        plugins.resolve_plugin("indexes", "xyz")


def test_a_missing_package_is_reported_with_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.delitem(sys.modules, "vsearch.encoders.open_clip", raising=False)
    with pytest.raises(MissingExtraError, match=r"open_clip.*vsearch\[models\]"):
        plugins.resolve_plugin("encoders", "openclip")
