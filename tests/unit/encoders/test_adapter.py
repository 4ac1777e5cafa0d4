from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from taught import DIM, Taught
from vsearch.encoders import adapter as module
from vsearch.encoders.adapter import PROBES, AdaptedEncoder, Adapter, AdapterFile, Map, Trained
from vsearch.errors import DamagedLibraryError, LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRAINED = Trained("taught", "taught", "rows", 90, 90, 30, 0.5, 0.75)


def some(seed: int = 0) -> Adapter:
    """An adapter that does something."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(DIM, DIM)).astype(np.float32)
    bias = random.normal(size=DIM).astype(np.float32)
    return Adapter(Map(matrix, bias), Taught().encode_texts(PROBES), TRAINED)


def test_words_are_moved_by_a_linear_map_and_brought_to_unit_length() -> None:
    found, texts = some().map, Taught().encode_texts(["one", "two"])
    for text, moved in zip(texts, found(texts), strict=True):
        expected = [
            float(text[j] + found.bias[j])
            + sum(float(text[i]) * float(found.matrix[i, j]) for i in range(DIM))
            for j in range(DIM)
        ]
        length = sum(number**2 for number in expected) ** 0.5
        np.testing.assert_allclose(moved, np.array(expected) / length, rtol=1e-4)
    assert found(texts).dtype == np.float32


def test_a_map_that_has_learnt_nothing_leaves_words_as_they_are() -> None:
    texts = Taught().encode_texts(["one", "two"])
    np.testing.assert_allclose(Map.nothing(DIM)(texts), texts, atol=1e-7)


def test_what_cancels_words_out_gives_numbers_all_the_same() -> None:
    away = Map(-np.eye(DIM, dtype=np.float32), np.zeros(DIM, np.float32))
    assert np.isfinite(away(Taught().encode_texts(["one"]))).all()


def test_an_adapter_is_read_as_it_was_written(tmp_path: Path) -> None:
    file, adapter = AdapterFile(tmp_path), some()
    assert file.read() is None
    file.write(adapter)
    found = file.read()
    assert found is not None
    assert (found.trained, found.digest) == (TRAINED, adapter.digest)
    np.testing.assert_array_equal(found.map.matrix, adapter.map.matrix)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.npz"]
    assert (file.remove(), file.remove(), file.read()) == (True, False, None)


def test_words_pass_through_it_and_pictures_do_not(tmp_path: Path) -> None:
    file, adapter, plain = AdapterFile(tmp_path), some(), Taught()
    assert file.over(plain) is plain
    file.write(adapter)
    adapted = file.over(plain)
    assert file.over(plain) is adapted
    expected = adapter.map(plain.encode_texts(["one"]))
    np.testing.assert_allclose(adapted.encode_texts(["one"]), expected)
    images = np.zeros((2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(adapted.encode_images(images), plain.encode_images(images))
    assert (adapted.space, adapted.image_size) == (plain.space, plain.image_size)
    assert adapted.device == "auto"  # type: ignore[attr-defined] # what else it tells


def test_the_queries_that_a_model_brings_along_are_adapted_as_well(tmp_path: Path) -> None:
    file, plain = AdapterFile(tmp_path), Taught()
    file.write(some())
    adapted = file.over(plain)
    assert isinstance(adapted, AdaptedEncoder)
    assert adapted.querybank is None
    expected = adapted.encode_texts(["one"])
    plain.querybank = plain.encode_texts(["one"])  # type: ignore[attr-defined] # as some do
    np.testing.assert_allclose(np.asarray(adapted.querybank), expected)


def test_another_file_in_its_place_is_noticed(tmp_path: Path) -> None:
    file, plain = AdapterFile(tmp_path), Taught()
    file.write(some(0))
    first = file.over(plain).encode_texts(["one"])
    AdapterFile(tmp_path).write(some(1))
    assert not np.allclose(file.over(plain).encode_texts(["one"]), first, atol=1e-3)
    AdapterFile(tmp_path).remove()
    assert file.over(plain) is plain


def test_an_adapter_of_another_space_is_kept_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = AdapterFile(tmp_path), Taught("elsewhere")
    file.write(some())
    assert file.over(other) is other
    assert not caplog.records
    assert file.read() is not None


def test_an_adapter_for_the_words_of_another_model_is_told_once_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = AdapterFile(tmp_path), Taught("other")
    file.write(some())
    adapted = file.over(other)
    assert isinstance(adapted, AdaptedEncoder)
    for _ in range(2):
        np.testing.assert_array_equal(adapted.encode_texts(["one"]), other.encode_texts(["one"]))
    assert adapted.adapter is None
    assert len(caplog.records) == 1
    assert "vsearch train align --remove" in caplog.text


def damaged(**arrays: Any) -> Callable[[Path], None]:
    """Writes a file in which some arrays are others."""

    def write(path: Path) -> None:
        with np.load(path) as found:
            np.savez(path, **{**found, **arrays})

    return write


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[300] ^= 0x10
    path.write_bytes(bytes(data))


def packed(path: Path) -> None:
    with np.load(path) as found:
        np.savez_compressed(path, **found)


def pickled(path: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([Boom()], object), allow_pickle=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("matrix.npy", buffer.getvalue())


class Boom:
    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("something was unpickled",)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        flipped,
        packed,
        pickled,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no archive at all"),
        damaged(matrix=np.zeros((DIM, DIM + 1), np.float32)),
        damaged(matrix=np.full((DIM, DIM), np.nan, np.float32)),
        damaged(matrix=np.zeros((DIM, DIM), np.float64)),
        damaged(bias=np.float32(0)),
        damaged(bias=np.zeros(DIM, np.float32)),
        damaged(probes=np.zeros((1, DIM), np.float32)),
        damaged(about="[]"),
        damaged(about='{"space": 3}'),
        damaged(digest="0"),
    ],
)
def test_a_damaged_file_is_told_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    file, plain = AdapterFile(tmp_path), Taught()
    file.write(some())
    damage(file.path)
    with pytest.raises(DamagedLibraryError, match="vsearch train align --remove"):
        file.read()
    assert file.over(plain) is plain
    assert file.over(plain) is plain
    assert len(caplog.records) == 1
    assert file.problems()
    file.remove()
    assert not file.problems()


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AdapterFile(tmp_path)
    file.write(some())
    monkeypatch.setattr(module, "LIMIT", 500)
    with pytest.raises(DamagedLibraryError):
        file.read()


def test_a_boom_would_be_noticed() -> None:
    with pytest.raises(pytest.fail.Exception):
        pickle.loads(pickle.dumps(Boom()))


def test_a_disk_that_takes_nothing_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, old = AdapterFile(tmp_path), some(0)
    file.write(old)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LibraryError, match="No space left"):
        file.write(some(1))
    found = file.read()
    assert found is not None
    assert found.digest == old.digest
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.npz"]


def test_the_digest_tells_everything_apart() -> None:
    one = some()
    others = [
        some(1),
        replace(one, trained=replace(TRAINED, rows=91)),
        replace(one, probes=-one.probes),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 4
