"""A library from somebody else cannot make a search contact servers."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import huggingface_hub
import pytest

from tests.support.fakes import FakeEncoder
from tests.support.tiny_models import TINY_CONFIG, make_tiny_clip
from tests.support.video_factory import RED, ColorScene, make_video
from vsearch import Library
from vsearch.encoders import checkpoints
from vsearch.encoders.downloads import limit_downloads
from vsearch.encoders.open_clip import OpenClipEncoder
from vsearch.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Canary:
    """A hub that records each request and has nothing."""

    def __init__(self) -> None:
        requests: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                requests.append(self.path)
                self.send_error(404)

            do_HEAD = do_GET  # noqa: N815 - the name that the base class calls

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self.requests = requests
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def canary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Canary]:
    running = Canary()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running.url)
    yield running
    running.close()


@pytest.fixture
def library_path(tmp_path: Path) -> Path:
    """Return a library with one video."""
    make_video(tmp_path / "a.mp4", [ColorScene(RED, 2)], fps=5)
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        assert not [result.error for result in library.index([tmp_path / "a.mp4"]) if result.error]
    return tmp_path / "library"


def make_model_folder(folder: Path, **tower: str) -> Path:
    """Write an open_clip folder whose image tower has additional options."""
    folder.mkdir()
    make_tiny_clip(folder)
    vision_config: Any = TINY_CONFIG["vision_cfg"]
    model_config = {**TINY_CONFIG, "vision_cfg": {**vision_config, **tower}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_config}))
    return folder


@pytest.mark.parametrize("setting", ["model", "text_model"])
def test_the_settings_of_a_library_download_nothing(
    setting: str, library_path: Path, canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VSEARCH_MODEL", raising=False)
    (library_path / "vsearch.toml").write_text(f'{setting} = "openclip:ViT-B-32/openai"\n')
    encoder = None if setting == "model" else FakeEncoder()
    with (
        Library.open(library_path, create=False, encoder=encoder) as library,
        pytest.raises(WeightsError, match="only the library's settings name this model"),
    ):
        library.search("a dog")
    assert canary.requests == []


@pytest.mark.slow
def test_a_model_named_by_the_caller_is_requested(library_path: Path, canary: Canary) -> None:
    with (
        Library.open(
            library_path,
            create=False,
            text_model="openclip:ViT-B-32/openai",
            encoder=FakeEncoder(),
        ) as library,
        pytest.raises(WeightsError, match="cannot be downloaded"),
    ):
        library.search("a dog")
    assert canary.requests


@pytest.mark.parametrize("name", ["hf-hub:evil/x", "HF-HUB:evil/x", "hf_hub:evil/x"])
def test_a_model_folder_cannot_name_a_repository(name: str, tmp_path: Path, canary: Canary) -> None:
    folder = make_model_folder(tmp_path / "model", timm_model_name=name)
    with pytest.raises(WeightsError, match="refers to a repository on a hub"):
        OpenClipEncoder(str(folder), device="cpu")
    assert canary.requests == []


def test_a_folder_with_a_text_tower_of_the_hub_stays_offline_without_permission(
    tmp_path: Path, canary: Canary
) -> None:
    folder = make_model_folder(tmp_path / "model")
    model_config = {**TINY_CONFIG, "text_cfg": {"hf_model_name": "evil/x"}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": model_config}))
    with limit_downloads(is_allowed=False), pytest.raises(WeightsError):
        OpenClipEncoder(str(folder), device="cpu")
    assert canary.requests == []
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False


def test_no_weights_of_torchvision_are_fetched_without_permission(canary: Canary) -> None:
    with limit_downloads(is_allowed=False), pytest.raises(OSError, match="--model"):
        checkpoints.fetch_weights(f"{canary.url}/weights-12345678.pth")
    assert canary.requests == []
