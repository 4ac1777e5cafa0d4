from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from fakes import FakeEncoder
from vsearch import plugins
from vsearch.errors import MissingExtraError, UnknownPluginError
from vsearch.temporal.pooling import MeanPooler

if TYPE_CHECKING:
    from pathlib import Path


def test_the_built_ins_are_registered_like_anyone() -> None:
    assert {"builtin", "openclip", "cnn"} <= set(plugins.names("encoders"))
    assert plugins.resolve("poolers", "mean") is MeanPooler


@pytest.mark.usefixtures("fake_model")
def test_a_third_party_model_is_found() -> None:
    assert plugins.resolve("encoders", "fake") is FakeEncoder


def test_a_typo_is_told_with_what_was_meant() -> None:
    with pytest.raises(UnknownPluginError, match=r"model named 'bultin'; did you mean 'builtin'"):
        plugins.resolve("encoders", "bultin")
    known = r"no index named 'xyz'\. Known: exact, faiss, ivf, sq8\."
    with pytest.raises(UnknownPluginError, match=known):
        plugins.resolve("indexes", "xyz")


def test_a_missing_package_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    monkeypatch.delitem(sys.modules, "vsearch.encoders.openclip", raising=False)
    with pytest.raises(MissingExtraError, match=r"open_clip.*vsearch\[models\]"):
        plugins.resolve("encoders", "openclip")
