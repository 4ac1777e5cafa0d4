from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.crafted_index import CRAFTED, write
from tests.support.random_walks import DIM, FIRST_ID, make_source, never_cancel, random_walk_vectors
from vsearch.errors import DamagedLibraryError
from vsearch.index import ivf_sq8
from vsearch.index.cache import IndexCache, SavedIndex
from vsearch.index.exact import ExactIndex
from vsearch.index.ground_truth import GroundTruth, perturb_queries
from vsearch.index.ivf_sq8 import IvfIndex, Sq8Index
from vsearch.index.rescoring import RescoringIndex
from vsearch.protocols import RebuildableIndex
from vsearch.storage.atomic_files import damage_as_error
from vsearch.types import Space

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.index.inverted_lists import InvertedLists
    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Matrix

COUNT = 6_000
VECTORS = random_walk_vectors(COUNT)
IDS = FIRST_ID + 3 * np.arange(COUNT)
MORE = random_walk_vectors(1_200, seed=1)
MORE_IDS = IDS[-1] + 1 + np.arange(len(MORE))


@pytest.fixture(params=[Sq8Index, IvfIndex])
def cls(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def index(cls: Any) -> Any:
    return built(cls)


def built(cls: Any, vectors: Matrix = VECTORS, ids: Ids = IDS) -> Any:
    return cls.build(
        DIM, make_source(vectors, ids), single_list=False, check_cancelled=never_cancel
    )


def referee(vectors: Matrix = VECTORS, ids: Ids = IDS) -> ExactIndex:
    exact = ExactIndex(DIM)
    exact.upsert(ids, vectors)
    return exact


def recall(index: VectorIndex, exact: ExactIndex, among: Ids | None = None) -> float:
    """Return recall@10 of 100 queries, rescored with the exact vectors."""
    ids, vectors = exact.ids_and_vectors()
    rescored = RescoringIndex(index, lambda some: (some, vectors[np.searchsorted(ids, some)]))
    questions = perturb_queries(vectors, 100)
    truth = GroundTruth(questions)
    chosen = np.isin(ids, ids if among is None else among)
    truth.add(ids[chosen], vectors[chosen])
    return truth.measure_recall([rescored.search(one, 10, among)[0].tolist() for one in questions])


def is_refused(cls: Any, path: Path) -> bool:
    """Return whether loading a file raises an error that damage_as_error reports."""
    try:
        with damage_as_error(path, ""):
            cls.load(path)
    except DamagedLibraryError as error:
        return "is damaged" in str(error) or "cannot be read" in str(error)
    return False


def parts(folder: Path) -> list[str]:
    """Return the names of all files."""
    return sorted(path.name for path in folder.iterdir())


def test_it_has_the_recall_of_exact_search(index: Any) -> None:
    assert len(index) == COUNT
    assert recall(index, referee()) >= 0.99


def test_scores_approximate_inner_products(index: Any) -> None:
    found, scores = index.search(VECTORS[7], 5)
    exact = VECTORS[np.searchsorted(IDS, found)] @ VECTORS[7]
    assert scores == pytest.approx(exact, abs=0.02)
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    assert (np.diff(scores) <= 0).all()


def test_only_some_lists_are_probed() -> None:
    shelf = built(IvfIndex)._view.inverted_lists
    assert len(shelf.centroids) == 155
    looked = [
        sum(run.stop - run.start for run in shelf.probed_ranges(one)) for one in VECTORS[::100]
    ]
    assert 0 < np.mean(looked) < COUNT / 2
    wider = [
        sum(run.stop - run.start for run in shelf.probed_ranges(one, 2)) for one in VECTORS[::100]
    ]
    assert np.mean(wider) > np.mean(looked)


def test_unclustered_vectors_are_scanned_completely() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(COUNT, DIM)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    index = built(IvfIndex, noise)
    assert recall(index, referee(noise)) >= 0.99
    assert index._view.inverted_lists.probed_ranges(np.zeros(DIM, np.float32)) == [slice(0, COUNT)]
    assert not index.needs_rebuild


def test_added_vectors_are_found_and_removed_ones_are_not(
    index: Any, tmp_path: Path, cls: Any
) -> None:
    index.upsert(MORE_IDS[:100], MORE[:100])
    index.upsert(IDS[:50], VECTORS[100:150])  # other vectors
    index.remove(np.concatenate([IDS[100:200], MORE_IDS[50:100], IDS[:1] - 1]))
    gone = {*IDS[100:200].tolist(), *MORE_IDS[50:100].tolist()}
    index.save(tmp_path / "index")
    for one in (index, cls.load(tmp_path / "index")):
        assert len(one) == COUNT - 100 + 50
        assert MORE_IDS[7] in one.search(MORE[7], 3)[0]
        assert IDS[20] in one.search(VECTORS[120], 3)[0], "it has another's vector now"
        for row in (100, 150, 199):
            assert not gone & set(one.search(VECTORS[row], 500)[0].tolist())
        left = one.search(VECTORS[0], COUNT * 2)[0]
        assert len(left) == len(set(left.tolist())) == len(one), "all that there are"
        assert not gone & set(one.search(VECTORS[150], 20, allowed_ids=IDS[90:210])[0].tolist())
        assert not len(one.search(VECTORS[150], 20, allowed_ids=IDS[100:200])[0])


def test_the_last_of_equal_ids_wins(index: Any) -> None:
    index.upsert(np.array([5, 5]), MORE[[0, 500]])
    assert 5 in index.search(MORE[500], 3)[0]
    assert index.search(MORE[0], 1, allowed_ids=np.array([5]))[1] < 0.9
    assert len(index) == COUNT + 1


def test_a_removed_id_may_be_added_again(index: Any) -> None:
    index.remove(IDS[:10])
    index.upsert(IDS[3:4], VECTORS[3:4])
    assert IDS[3] in index.search(VECTORS[3], 3)[0]
    assert IDS[4] not in index.search(VECTORS[4], 100)[0]
    assert len(index) == COUNT - 9


@pytest.mark.parametrize("share", [0.002, 0.01, 0.2, 0.7])
@pytest.mark.parametrize("few", [4, 10**9])
@pytest.mark.parametrize("together", [1, 20])  # segments, or whole videos
def test_a_filter_does_not_reduce_recall(
    index: Any, share: float, few: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ivf_sq8, "SPARSE_FILTER_RATIO", few)
    monkeypatch.setattr(ivf_sq8, "MIN_QUANTIZED", 0)
    index.upsert(MORE_IDS, MORE)
    ids, vectors = np.concatenate([IDS, MORE_IDS]), np.concatenate([VECTORS, MORE])
    left = np.random.default_rng(1).random(len(ids)) < share
    chosen = np.flatnonzero(left[np.arange(len(ids)) // together])
    assert recall(index, referee(vectors, ids), among=ids[chosen]) >= 0.99
    found, _ = index.search(VECTORS[0], 10, allowed_ids=ids[chosen][::-1])  # in any order
    assert np.isin(found, ids[chosen]).all()


def test_a_filter_may_allow_a_single_video(index: Any) -> None:
    assert sorted(index.search(VECTORS[5000], 50, allowed_ids=IDS[40:60])[0]) == IDS[40:60].tolist()
    assert not len(index.search(VECTORS[0], 5, allowed_ids=IDS[:0])[0])
    assert not len(index.search(VECTORS[0], 5, allowed_ids=np.array([1, 2, 2**62]))[0])


def test_it_needs_a_rebuild_when_a_tenth_has_changed(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ivf_sq8, "MIN_QUANTIZED", 10)
    assert not index.needs_rebuild
    index.remove(IDS[:300])
    index.upsert(MORE_IDS[:250], MORE[:250])
    assert not index.needs_rebuild
    index.upsert(MORE_IDS, MORE)
    assert index.needs_rebuild


def test_a_single_list_index_answers_until_it_is_rebuilt() -> None:
    made = make_source(VECTORS, IDS)
    quick = IvfIndex.build(DIM, made, single_list=True, check_cancelled=never_cancel)
    assert quick.needs_rebuild
    assert recall(quick, referee()) >= 0.99
    assert not Sq8Index.build(
        DIM, made, single_list=True, check_cancelled=never_cancel
    ).needs_rebuild


def test_few_vectors_are_compared_exactly(cls: Any) -> None:
    few = built(cls, VECTORS[:500], IDS[:500])
    assert not few.needs_rebuild
    found, scores = few.search(VECTORS[3], 7)
    expected = referee(VECTORS[:500], IDS[:500]).search(VECTORS[3], 7)
    assert (found.tolist(), scores.tolist()) == (expected[0].tolist(), expected[1].tolist())
    few.upsert(IDS, VECTORS)
    assert few.needs_rebuild


def test_building_can_be_cancelled(cls: Any) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cls.build(DIM, make_source(VECTORS, IDS), single_list=False, check_cancelled=stop)


def test_the_base_segment_is_written_once(index: Any, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    [shelf] = index.companion_files
    assert parts(tmp_path) == ["index", shelf]
    before = (tmp_path / shelf).stat()
    index.upsert(MORE_IDS[:5], MORE[:5])
    index.save(tmp_path / "index")
    assert parts(tmp_path) == ["index", shelf]
    assert (tmp_path / shelf).stat() == before
    assert (tmp_path / "index").stat().st_size < before.st_size / 10
    (tmp_path / shelf).unlink()
    index.save(tmp_path / "index")
    assert index.companion_files != {shelf}
    assert len(type(index).load(tmp_path / "index")) == COUNT + 5


def test_a_saved_index_is_memory_mapped(index: Any, cls: Any, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    shelf = cls.load(tmp_path / "index")._view.inverted_lists
    for array in (shelf.codes, shelf.ids, shelf.row_of_id, shelf.id_of_row):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_a_new_base_segment_replaces_the_old_one(cls: Any, tmp_path: Path) -> None:
    space = Space("here", DIM, supports_text=True)
    cache = IndexCache(tmp_path, "kind", cls)
    for vectors, ids in ((VECTORS, IDS), (MORE[:1_000], MORE_IDS[:1_000]), (VECTORS, IDS)):
        cache.save(space, SavedIndex(built(cls, vectors, ids), 3, ids))
        found = cache.load(space)
        assert found is not None
        assert len(found.index) == len(ids)
        assert isinstance(found.index, RebuildableIndex)
        names = {"here.kind", "here.kind.npz", *found.index.companion_files}
        assert set(parts(tmp_path)) == names
    assert found is not None
    cache.save(space, found)  # a loaded index keeps its base segment
    assert set(parts(tmp_path)) == names


def test_a_disk_that_fills_up_during_a_save_keeps_the_previous_index(
    cls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    space = Space("here", DIM, supports_text=True)
    cache = IndexCache(tmp_path, "kind", cls)
    cache.save(space, SavedIndex(built(cls), 3, IDS))
    before = parts(tmp_path)
    again = built(cls)
    with monkeypatch.context() as patched:
        patched.setattr(ivf_sq8, "save_npy_sequence", full)
        cache.save(space, SavedIndex(again, 4, IDS))
    assert parts(tmp_path) == before
    found = cache.load(space)
    assert found is not None
    assert found.revision == 3
    cache.save(space, SavedIndex(again, 4, IDS))
    found = cache.load(space)
    assert found is not None
    assert found.revision == 4


@pytest.mark.parametrize("name", CRAFTED)
def test_a_malformed_base_segment_is_refused(
    index: Any, cls: Any, tmp_path: Path, name: str
) -> None:
    index.save(tmp_path / "index")
    write(tmp_path / next(iter(index.companion_files)), name)
    assert is_refused(cls, tmp_path / "index")


def test_a_missing_or_truncated_base_segment_is_refused(
    index: Any, cls: Any, tmp_path: Path
) -> None:
    index.save(tmp_path / "index")
    shelf = tmp_path / next(iter(index.companion_files))
    whole = shelf.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 100):
        shelf.write_bytes(whole[:length])
        assert is_refused(cls, tmp_path / "index")
    shelf.unlink()
    assert is_refused(cls, tmp_path / "index")


def forged(shelf: InvertedLists, name: str, value: object) -> InvertedLists:
    """Replace an array without validation."""
    object.__setattr__(shelf, name, value)
    return shelf


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("list_starts", lambda old: old + 1),
        ("list_starts", lambda old: old[::-1].copy()),
        ("list_starts", lambda old: old[:-1]),
        ("list_starts", lambda old: np.insert(old, 1, 2**62)),
        ("list_starts", lambda old: np.insert(old, 1, -5)),
        ("centroids", lambda old: np.full_like(old, np.nan)),
        ("centroids", lambda old: old[:, :-1]),
        ("probe_margin", lambda _: np.inf),
        ("probe_margin", lambda _: np.nan),
        ("ids", lambda old: old[::-1].copy()),
        ("ids", lambda old: old[:-1]),
        ("row_of_id", lambda old: np.full_like(old, COUNT)),
        ("id_of_row", lambda old: np.full_like(old, -1)),
        ("id_of_row", lambda old: old[:-1]),
        ("codes", lambda old: old[:-1]),
        ("codes", lambda old: old[:, :-1]),
        ("codes", lambda old: old.ravel()),
        ("codes", np.asfortranarray),
        ("codes", lambda old: old.astype(np.float32)),
    ],
)
def test_a_forged_base_segment_is_refused_before_it_is_searched(
    tmp_path: Path, name: str, change: Any
) -> None:
    index = built(IvfIndex)
    index.save(tmp_path / "index")
    shelf = index._view.inverted_lists
    path = tmp_path / next(iter(index.companion_files))
    if name == "codes" and change is np.asfortranarray:
        with path.open("wb") as file:
            for array in (
                np.array([1]), np.array([0.5], np.float32),
                np.stack([shelf.quantizer.range_min, shelf.quantizer.step_size]),
                shelf.centroids, shelf.list_starts, shelf.ids, shelf.row_of_id, shelf.id_of_row,
                np.asfortranarray(shelf.codes),
            ):  # fmt: skip
                np.save(file, array)
    else:
        forged(shelf, name, change(getattr(shelf, name))).save(path)
    assert is_refused(IvfIndex, tmp_path / "index")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_invalid_quantizer_ranges_are_refused(tmp_path: Path, value: float) -> None:
    index = built(Sq8Index)
    index.save(tmp_path / "index")
    quantizer = index._view.inverted_lists.quantizer
    object.__setattr__(quantizer, "step_size", np.full_like(quantizer.step_size, value))
    index._view.inverted_lists.save(tmp_path / next(iter(index.companion_files)))
    assert is_refused(Sq8Index, tmp_path / "index")


@pytest.mark.parametrize("name", ["../index", "/etc/passwd", "..", "\x00", "other"])
def test_a_companion_name_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    index = built(Sq8Index)
    index.save(tmp_path / "index")
    index._save_lists_beside = lambda *_: name
    index.save(tmp_path / "index")
    assert is_refused(Sq8Index, tmp_path / "index")


@pytest.mark.slow
def test_no_damaged_header_byte_crashes(cls: Any, tmp_path: Path) -> None:
    index = built(cls)
    index.upsert(MORE_IDS[:2], MORE[:2])
    index.remove(IDS[:9])
    index.save(tmp_path / "index")
    shelf = tmp_path / next(iter(index.companion_files))
    gc.collect()
    refused = 0
    for path in (tmp_path / "index", shelf):
        whole = path.read_bytes()
        spots = [*range(0, 1_200, 3), *range(1_200, len(whole), len(whole) // 200)]
        for place in spots:
            damaged = bytearray(whole)
            damaged[min(place, len(whole) - 1)] ^= 0x88
            path.unlink()  # keeps the mapped file
            path.write_bytes(damaged)
            try:
                found = cls.load(path.with_name("index"))
            except Exception:  # of any type
                refused += 1
                continue
            found.search(np.ones(found._exact_index.ids_and_vectors()[1].shape[1], np.float32), 30)
        path.unlink()
        path.write_bytes(whole)
    assert refused > 100
    assert len(cls.load(tmp_path / "index")) == COUNT - 7, "as it was"


def test_a_query_of_another_dimension_never_reaches_native_code(index: Any) -> None:
    for wrong in (np.ones(DIM - 1), np.ones(DIM + 1), np.ones((1, DIM))):
        with pytest.raises(ValueError, match="query"):
            index.search(wrong.astype(np.float32), 3)
    index.search(np.full(DIM, np.nan, np.float32), 3)
    with pytest.raises(ValueError, match="vectors"):
        index.upsert(IDS[:2], VECTORS[:3])
