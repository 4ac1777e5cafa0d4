"""Damage of any file in a library never changes an answer without a word."""

from __future__ import annotations

import logging
import random
import shutil
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video
from vsearch import Library
from vsearch.errors import VSearchError
from vsearch.search.last_search import load_last_search, save_last_search

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE_KINDS = (
    "index/*.exact",
    "index/*.npz",
    "hubness/*.npz",
    "generic_queries/*.npz",
    "features/*/1.safetensors",
    "frame_cache/*.frames",
    "last-search.json",
)
FLIPS_PER_KIND = 8


class Banked(FakeEncoder):
    """An encoder with a querybank, whose penalties are cached."""

    def __init__(self) -> None:
        super().__init__()
        self.querybank = self.encode_texts(["red", "blue", "green", "yellow", "white"])


def encoder_for(kind: str) -> FakeEncoder:
    return FakeEncoder() if kind.startswith("generic_queries") else Banked()


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two libraries, each made with and without a querybank, that share a space."""
    folder, made = tmp_path_factory.mktemp("libraries"), {}
    for name, colors in (("one", (RED, GREEN, BLUE)), ("two", (YELLOW, BLUE, RED))):
        for number, color in enumerate(colors):
            scenes = [ColorScene(color, 3), ColorScene(colors[number - 1], 2)]
            (folder / f"{name} videos").mkdir(exist_ok=True)
            make_video(folder / f"{name} videos" / f"{number}.mp4", scenes)
        for encoder in (Banked(), FakeEncoder()):
            path = folder / f"{name} {type(encoder).__name__}"
            with Library.open(path, encoder=encoder, keep_frames=True) as library:
                list(library.index([folder / f"{name} videos"]))
                save_last_search(path, "red", library.search("red"))
            made[path.name] = path
    return made


def search(library: Library, words: str) -> list[object]:
    return [
        (moment.video.path.name, moment.span, round(moment.score, 4), moment.confidence)
        for moment in library.search(words, k=5)
    ]


def answers(path: Path, encoder: FakeEncoder) -> list[object]:
    """Return what a library answers, or the errors it raises instead."""
    found: list[object] = []

    def ask(question: Callable[[Library], object]) -> None:
        try:
            with Library.open(path, create=False, encoder=encoder) as library:
                found.append(question(library))
        except VSearchError as error:
            found.append(error)

    for words in ("red", "blue -green", "yellow", "red then:green"):
        ask(partial(search, words=words))
    ask(lambda library: library.similarity_curve("red", library.videos()[0]).scores.tolist())
    ask(lambda _: load_last_search(path))
    return found


def check(path: Path, kind: str, truth: list[object], caplog: pytest.LogCaptureFixture) -> None:
    """Compare the answers with the right ones; others need an error or a warning."""
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        found = answers(path, encoder_for(kind))
    is_reported = bool(caplog.records)
    for one, right in zip(found, truth, strict=True):
        assert isinstance(one, VSearchError) or one == right or is_reported, (one, right)
    if kind.startswith(("index", "hubness", "generic")):
        assert found == truth, "a cache is rebuilt, so that nothing is lost"
        caplog.clear()
        assert answers(path, encoder_for(kind)) == truth
        assert caplog.records == [], "it is reported once"
    with Library.open(path, create=False, encoder=encoder_for(kind)) as library:
        problems = library.doctor()
    if is_reported and not kind.startswith(("index", "hubness", "generic")):
        assert any("damaged" in problem for problem in problems), problems


@pytest.mark.parametrize("kind", FILE_KINDS)
def test_a_flipped_bit_never_changes_an_answer_without_a_word(
    libraries: dict[str, Path], tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    original = libraries[f"one {type(encoder_for(kind)).__name__}"]
    truth = answers(original, encoder_for(kind))
    assert truth[0]
    rng, noticed = random.Random(f"seed of {kind}"), 0
    for number in range(FLIPS_PER_KIND):
        path = tmp_path / f"flip {number}"
        shutil.copytree(original, path)
        damaged = next(path.glob(kind))
        content = bytearray(damaged.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        damaged.write_bytes(content)
        check(path, kind, truth, caplog)
        noticed += bool(caplog.records)
        shutil.rmtree(path)


@pytest.mark.parametrize("damage", ["empty", "half", "zeros", "tail of zeros", "swapped"])
@pytest.mark.parametrize("kind", FILE_KINDS[:-1])
def test_a_damaged_or_foreign_file_never_changes_an_answer_without_a_word(
    libraries: dict[str, Path],
    tmp_path: Path,
    kind: str,
    damage: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder_name = type(encoder_for(kind)).__name__
    original, path = libraries[f"one {encoder_name}"], tmp_path / "library"
    truth = answers(original, encoder_for(kind))
    shutil.copytree(original, path)
    damaged = next(path.glob(kind))
    size = damaged.stat().st_size
    content = damaged.read_bytes()
    other = next(libraries[f"two {encoder_name}"].glob(kind)).read_bytes()
    contents = {
        "empty": b"",
        "half": content[: size // 2],
        "zeros": bytes(size),
        "tail of zeros": content[: -size // 4] + bytes(size // 4),
        "swapped": other,
    }
    damaged.write_bytes(contents[damage])
    check(path, kind, truth, caplog)


@pytest.mark.parametrize("folder", ["index", "hubness", "features", "frame_cache"])
def test_a_folder_of_another_library_never_changes_an_answer_without_a_word(
    libraries: dict[str, Path], tmp_path: Path, folder: str, caplog: pytest.LogCaptureFixture
) -> None:
    original, path = libraries["one Banked"], tmp_path / "library"
    truth = answers(original, Banked())
    shutil.copytree(original, path)
    shutil.rmtree(path / folder)
    shutil.copytree(libraries["two Banked"] / folder, path / folder)
    found = answers(path, Banked())
    for one, right in zip(found, truth, strict=True):
        assert isinstance(one, VSearchError) or one == right or caplog.records, (one, right)


def test_a_wrong_index_with_a_valid_checksum_is_found_by_doctor(
    libraries: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "library"
    shutil.copytree(libraries["one Banked"], path)
    with Library.open(path, encoder=Banked()) as library:
        assert library.doctor() == []
        state = library._live_index._refresh_state()
        assert state is not None
        ids, vectors = state.saved_index.index.ids_and_vectors()  # type: ignore[attr-defined]
        state.saved_index.index.upsert(ids[:2], vectors[-2:])
        state.index_cache.save(state.space, state.saved_index)
    with Library.open(path, encoder=Banked()) as library:
        [problem] = library.doctor()
        assert "the index does not match the catalog" in problem
        library.rebuild()
    with Library.open(path, encoder=Banked()) as library:
        assert library.doctor() == []


def test_doctor_names_damaged_caches(libraries: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "library"
    shutil.copytree(libraries["one Banked"], path)
    for kind in ("index/*.exact", "hubness/*.npz", "features/*/1.safetensors"):
        damaged = next(path.glob(kind))
        content = bytearray(damaged.read_bytes())
        content[content.index(b"\x93NUMPY") + 130 if damaged.suffix == ".npz" else -5] ^= 4
        damaged.write_bytes(content)
    with Library.open(path, encoder=Banked()) as library:
        problems = "\n".join(library.doctor())
        assert ".exact is damaged; it is rebuilt from the catalog" in problems
        assert "fake.npz is damaged; it is not used" in problems
        assert "frame features are damaged" in problems
        list(library.search("red"))
        problems = "\n".join(library.doctor())
        assert ".exact" not in problems
        assert "fake.npz" not in problems
