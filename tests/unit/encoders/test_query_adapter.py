from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.misreading_encoder import VECTOR_DIM, MisreadingEncoder
from vsearch.encoders import query_adapter as module
from vsearch.encoders.query_adapter import (
    PROBE_TEXTS,
    AdaptedEncoder,
    AdapterFile,
    AdapterInfo,
    QueryAdapter,
    ResidualLinearMap,
)
from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.protocols import QuerybankEncoder, TextReader
from vsearch.types import TextReading

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRAINED = AdapterInfo("taught", "taught", "rows", 90, 90, 30, 0.5, 0.75)


def some(seed: int = 0) -> QueryAdapter:
    """Build an adapter that is not the identity."""
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(VECTOR_DIM, VECTOR_DIM)).astype(np.float32)
    bias = random.normal(size=VECTOR_DIM).astype(np.float32)
    return QueryAdapter(
        ResidualLinearMap(matrix, bias), MisreadingEncoder().encode_texts(PROBE_TEXTS), TRAINED
    )


def test_texts_are_mapped_linearly_and_normalized() -> None:
    found, texts = some().residual_map, MisreadingEncoder().encode_texts(["one", "two"])
    for text, moved in zip(texts, found(texts), strict=True):
        expected = [
            float(text[j] + found.bias_vector[j])
            + sum(float(text[i]) * float(found.weight_matrix[i, j]) for i in range(VECTOR_DIM))
            for j in range(VECTOR_DIM)
        ]
        length = sum(number**2 for number in expected) ** 0.5
        np.testing.assert_allclose(moved, np.array(expected) / length, rtol=1e-4)
    assert found(texts).dtype == np.float32


def test_the_identity_map_leaves_texts_unchanged() -> None:
    texts = MisreadingEncoder().encode_texts(["one", "two"])
    np.testing.assert_allclose(ResidualLinearMap.identity(VECTOR_DIM)(texts), texts, atol=1e-7)


def test_a_map_that_cancels_a_text_yields_finite_numbers() -> None:
    away = ResidualLinearMap(
        -np.eye(VECTOR_DIM, dtype=np.float32), np.zeros(VECTOR_DIM, np.float32)
    )
    assert np.isfinite(away(MisreadingEncoder().encode_texts(["one"]))).all()


def test_an_adapter_round_trips_through_its_file(tmp_path: Path) -> None:
    file, adapter = AdapterFile(tmp_path), some()
    assert file.read_adapter() is None
    file.write_adapter(adapter)
    found = file.read_adapter()
    assert found is not None
    assert (found.training_info, found.digest) == (TRAINED, adapter.digest)
    np.testing.assert_array_equal(
        found.residual_map.weight_matrix, adapter.residual_map.weight_matrix
    )
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.npz"]
    assert (file.remove_file(), file.remove_file(), file.read_adapter()) == (True, False, None)


def test_texts_are_adapted_and_images_are_not(tmp_path: Path) -> None:
    file, adapter, plain = AdapterFile(tmp_path), some(), MisreadingEncoder()
    assert file.wrap_encoder(plain) is plain
    file.write_adapter(adapter)
    adapted = file.wrap_encoder(plain)
    assert file.wrap_encoder(plain) is adapted
    expected = adapter.residual_map(plain.encode_texts(["one"]))
    np.testing.assert_allclose(adapted.encode_texts(["one"]), expected)
    images = np.zeros((2, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(adapted.encode_images(images), plain.encode_images(images))
    assert (adapted.space, adapted.image_size) == (plain.space, plain.image_size)
    assert adapted.device == "auto"  # type: ignore[attr-defined] # other attributes are forwarded


def test_the_querybank_is_adapted_too() -> None:
    plain, adapter = MisreadingEncoder(), some()
    adapted = AdaptedEncoder(plain, adapter)
    assert isinstance(adapted, QuerybankEncoder)
    assert adapted.querybank.shape == (0, VECTOR_DIM)
    plain.querybank = plain.encode_texts(["one"])  # type: ignore[attr-defined]
    expected = adapted.encode_texts(["one"])
    np.testing.assert_allclose(AdaptedEncoder(plain, adapter).querybank, expected)


def test_an_adapted_encoder_reads_texts_as_its_base_does() -> None:
    class ReadingEncoder(MisreadingEncoder):
        def read_text(self, text: str) -> TextReading:
            return TextReading(text)

    reader = AdaptedEncoder(ReadingEncoder(), some())
    assert isinstance(reader, TextReader)
    assert reader.read_text("Finnish").language == "Finnish"
    assert AdaptedEncoder(MisreadingEncoder(), some()).read_text("x") == TextReading()


def test_a_replaced_file_is_reloaded(tmp_path: Path) -> None:
    file, plain = AdapterFile(tmp_path), MisreadingEncoder()
    file.write_adapter(some(0))
    first = file.wrap_encoder(plain).encode_texts(["one"])
    AdapterFile(tmp_path).write_adapter(some(1))
    assert not np.allclose(file.wrap_encoder(plain).encode_texts(["one"]), first, atol=1e-3)
    AdapterFile(tmp_path).remove_file()
    assert file.wrap_encoder(plain) is plain


def test_an_adapter_of_another_space_is_kept_but_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = AdapterFile(tmp_path), MisreadingEncoder("elsewhere")
    file.write_adapter(some())
    assert file.wrap_encoder(other) is other
    assert not caplog.records
    assert file.read_adapter() is not None


def test_an_adapter_of_another_text_model_warns_once_and_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, other = AdapterFile(tmp_path), MisreadingEncoder("other")
    file.write_adapter(some())
    adapted = file.wrap_encoder(other)
    assert isinstance(adapted, AdaptedEncoder)
    for _ in range(2):
        np.testing.assert_array_equal(adapted.encode_texts(["one"]), other.encode_texts(["one"]))
    assert adapted.active_adapter is None
    assert len(caplog.records) == 1
    assert "vsearch train align --remove" in caplog.text


def damaged(**arrays: Any) -> Callable[[Path], None]:
    """Return a function that writes a file with some arrays replaced."""

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
        damaged(matrix=np.zeros((VECTOR_DIM, VECTOR_DIM + 1), np.float32)),
        damaged(matrix=np.full((VECTOR_DIM, VECTOR_DIM), np.nan, np.float32)),
        damaged(matrix=np.zeros((VECTOR_DIM, VECTOR_DIM), np.float64)),
        damaged(bias=np.float32(0)),
        damaged(bias=np.zeros(VECTOR_DIM, np.float32)),
        damaged(probes=np.zeros((1, VECTOR_DIM), np.float32)),
        damaged(about="[]"),
        damaged(about='{"space": 3}'),
        damaged(digest="0"),
    ],
)
def test_a_damaged_file_is_reported_and_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    file, plain = AdapterFile(tmp_path), MisreadingEncoder()
    file.write_adapter(some())
    damage(file.file_path)
    with pytest.raises(DamagedLibraryError, match="vsearch train align --remove"):
        file.read_adapter()
    assert file.wrap_encoder(plain) is plain
    assert file.wrap_encoder(plain) is plain
    assert len(caplog.records) == 1
    assert file.find_problems()
    file.remove_file()
    assert not file.find_problems()


def test_a_file_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = AdapterFile(tmp_path)
    file.write_adapter(some())
    monkeypatch.setattr(module, "MAX_ADAPTER_BYTES", 500)
    with pytest.raises(DamagedLibraryError):
        file.read_adapter()


def test_a_pickle_in_the_file_would_be_noticed() -> None:
    with pytest.raises(pytest.fail.Exception):
        pickle.loads(pickle.dumps(Boom()))


def test_a_full_disk_keeps_the_previous_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, old = AdapterFile(tmp_path), some(0)
    file.write_adapter(old)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LibraryError, match="No space left"):
        file.write_adapter(some(1))
    found = file.read_adapter()
    assert found is not None
    assert found.digest == old.digest
    assert [path.name for path in tmp_path.iterdir()] == ["adapter.npz"]


def test_the_digest_covers_everything() -> None:
    one = some()
    others = [
        some(1),
        replace(one, training_info=replace(TRAINED, rows=91)),
        replace(one, probe_vectors=-one.probe_vectors),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 4
