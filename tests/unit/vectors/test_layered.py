from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from crafted import CRAFTED, write
from wandering import DIM, FIRST, go_on, source, wandering

from vsearch.errors import DamagedLibraryError
from vsearch.files import usable
from vsearch.types import Space
from vsearch.vectors import layered
from vsearch.vectors.cache import Cached, IndexCache
from vsearch.vectors.exact import ExactIndex
from vsearch.vectors.layered import IvfIndex, Sq8Index
from vsearch.vectors.rescored import Rescored
from vsearch.vectors.truth import Truth, perturbed

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Matrix
    from vsearch.vectors.shelf import Shelf

COUNT = 6_000
VECTORS = wandering(COUNT)
IDS = FIRST + 3 * np.arange(COUNT)
MORE = wandering(1_200, seed=1)
MORE_IDS = IDS[-1] + 1 + np.arange(len(MORE))


@pytest.fixture(params=[Sq8Index, IvfIndex])
def cls(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def index(cls: Any) -> Any:
    return built(cls)


def built(cls: Any, vectors: Matrix = VECTORS, ids: Ids = IDS) -> Any:
    return cls.built(DIM, source(vectors, ids), quick=False, stop=go_on)


def referee(vectors: Matrix = VECTORS, ids: Ids = IDS) -> ExactIndex:
    exact = ExactIndex(DIM)
    exact.upsert(ids, vectors)
    return exact


def recall(index: VectorIndex, exact: ExactIndex, among: Ids | None = None) -> float:
    """Of the ten nearest of 100 questions, rescored by the exact vectors."""
    ids, vectors = exact.rows()
    rescored = Rescored(index, lambda some: (some, vectors[np.searchsorted(ids, some)]))
    questions = perturbed(vectors, 100)
    truth = Truth(questions)
    chosen = np.isin(ids, ids if among is None else among)
    truth.see(ids[chosen], vectors[chosen])
    return truth.recall([rescored.search(one, 10, among)[0].tolist() for one in questions])


def is_refused(cls: Any, path: Path) -> bool:
    """Whether a file is no index, told as damage; any other error is no refusal."""
    try:
        with usable(path, ""):
            cls.load(path)
    except DamagedLibraryError as error:
        return "is damaged" in str(error) or "cannot be read" in str(error)
    return False


def parts(folder: Path) -> list[str]:
    """The names of all files."""
    return sorted(path.name for path in folder.iterdir())


def test_it_finds_what_the_exact_one_finds(index: Any) -> None:
    assert len(index) == COUNT
    assert recall(index, referee()) >= 0.99


def test_its_own_scores_are_nearly_inner_products(index: Any) -> None:
    found, scores = index.search(VECTORS[7], 5)
    exact = VECTORS[np.searchsorted(IDS, found)] @ VECTORS[7]
    assert scores == pytest.approx(exact, abs=0.02)
    assert (scores.dtype, found.dtype) == (np.float32, np.int64)
    assert (np.diff(scores) <= 0).all()


def test_many_groups_are_passed_over() -> None:
    shelf = built(IvfIndex)._state.shelf
    assert len(shelf.centres) == 155
    looked = [sum(run.stop - run.start for run in shelf.runs(one)) for one in VECTORS[::100]]
    assert 0 < np.mean(looked) < COUNT / 2
    wider = [sum(run.stop - run.start for run in shelf.runs(one, 2)) for one in VECTORS[::100]]
    assert np.mean(wider) > np.mean(looked)


def test_vectors_without_groups_are_all_looked_through() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(size=(COUNT, DIM)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    index = built(IvfIndex, noise)
    assert recall(index, referee(noise)) >= 0.99
    assert index._state.shelf.runs(np.zeros(DIM, np.float32)) == [slice(0, COUNT)]
    assert not index.overdue


def test_what_is_added_is_found_at_once_and_what_is_removed_never_again(
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
        assert not gone & set(one.search(VECTORS[150], 20, among=IDS[90:210])[0].tolist())
        assert not len(one.search(VECTORS[150], 20, among=IDS[100:200])[0])


def test_of_equal_ids_in_one_call_the_last_vector_counts(index: Any) -> None:
    index.upsert(np.array([5, 5]), MORE[[0, 500]])
    assert 5 in index.search(MORE[500], 3)[0]
    assert index.search(MORE[0], 1, among=np.array([5]))[1] < 0.9
    assert len(index) == COUNT + 1


def test_one_that_was_removed_may_come_again(index: Any) -> None:
    index.remove(IDS[:10])
    index.upsert(IDS[3:4], VECTORS[3:4])
    assert IDS[3] in index.search(VECTORS[3], 3)[0]
    assert IDS[4] not in index.search(VECTORS[4], 100)[0]
    assert len(index) == COUNT - 9


@pytest.mark.parametrize("share", [0.002, 0.01, 0.2, 0.7])
@pytest.mark.parametrize("few", [4, 10**9])
@pytest.mark.parametrize("together", [1, 20])  # segments, or whole videos
def test_a_filter_does_not_ruin_recall(
    index: Any, share: float, few: int, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layered, "FEW", few)
    monkeypatch.setattr(layered, "LEAST", 0)
    index.upsert(MORE_IDS, MORE)
    ids, vectors = np.concatenate([IDS, MORE_IDS]), np.concatenate([VECTORS, MORE])
    left = np.random.default_rng(1).random(len(ids)) < share
    chosen = np.flatnonzero(left[np.arange(len(ids)) // together])
    assert recall(index, referee(vectors, ids), among=ids[chosen]) >= 0.99
    found, _ = index.search(VECTORS[0], 10, among=ids[chosen][::-1])  # in whatever order
    assert np.isin(found, ids[chosen]).all()


def test_a_filter_may_leave_one_video_only(index: Any) -> None:
    assert sorted(index.search(VECTORS[5000], 50, among=IDS[40:60])[0]) == IDS[40:60].tolist()
    assert not len(index.search(VECTORS[0], 5, among=IDS[:0])[0])
    assert not len(index.search(VECTORS[0], 5, among=np.array([1, 2, 2**62]))[0])


def test_it_is_overdue_when_a_tenth_has_changed(
    index: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layered, "LEAST", 10)
    assert not index.overdue
    index.remove(IDS[:300])
    index.upsert(MORE_IDS[:250], MORE[:250])
    assert not index.overdue
    index.upsert(MORE_IDS, MORE)
    assert index.overdue


def test_one_that_is_quickly_made_answers_until_it_is_grouped() -> None:
    made = source(VECTORS, IDS)
    quick = IvfIndex.built(DIM, made, quick=True, stop=go_on)
    assert quick.overdue
    assert recall(quick, referee()) >= 0.99
    assert not Sq8Index.built(DIM, made, quick=True, stop=go_on).overdue


def test_few_vectors_are_compared_exactly(cls: Any) -> None:
    few = built(cls, VECTORS[:500], IDS[:500])
    assert not few.overdue
    found, scores = few.search(VECTORS[3], 7)
    expected = referee(VECTORS[:500], IDS[:500]).search(VECTORS[3], 7)
    assert (found.tolist(), scores.tolist()) == (expected[0].tolist(), expected[1].tolist())
    few.upsert(IDS, VECTORS)
    assert few.overdue


def test_building_can_be_stopped(cls: Any) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        cls.built(DIM, source(VECTORS, IDS), quick=False, stop=stop)


def test_what_seldom_changes_is_written_once(index: Any, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    [shelf] = index.parts
    assert parts(tmp_path) == ["index", shelf]
    before = (tmp_path / shelf).stat()
    index.upsert(MORE_IDS[:5], MORE[:5])
    index.save(tmp_path / "index")
    assert parts(tmp_path) == ["index", shelf]
    assert (tmp_path / shelf).stat() == before
    assert (tmp_path / "index").stat().st_size < before.st_size / 10
    (tmp_path / shelf).unlink()
    index.save(tmp_path / "index")
    assert index.parts != {shelf}
    assert len(type(index).load(tmp_path / "index")) == COUNT + 5


def test_a_saved_one_is_mapped_and_not_read(index: Any, cls: Any, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    shelf = cls.load(tmp_path / "index")._state.shelf
    for array in (shelf.codes, shelf.ids, shelf.rows, shelf.places):
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable


def test_a_new_shelf_takes_the_place_of_the_old_one(cls: Any, tmp_path: Path) -> None:
    space = Space("here", DIM, speaks_text=True)
    cache = IndexCache(tmp_path, "kind", cls)
    for vectors, ids in ((VECTORS, IDS), (MORE[:1_000], MORE_IDS[:1_000]), (VECTORS, IDS)):
        cache.store(space, Cached(built(cls, vectors, ids), 3, ids))
        found = cache.load(space)
        assert found is not None
        assert len(found.index) == len(ids)
        names = {"here.kind", "here.kind.npz", *getattr(found.index, "parts", ())}
        assert set(parts(tmp_path)) == names
    assert found is not None
    cache.store(space, found)  # a loaded one keeps its shelf
    assert set(parts(tmp_path)) == names


def test_a_disk_that_fills_up_behind_the_shelf_keeps_what_was_saved_and_nothing_else(
    cls: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    space = Space("here", DIM, speaks_text=True)
    cache = IndexCache(tmp_path, "kind", cls)
    cache.store(space, Cached(built(cls), 3, IDS))
    before = parts(tmp_path)
    again = built(cls)
    with monkeypatch.context() as patched:
        patched.setattr(layered, "save_stack", full)
        cache.store(space, Cached(again, 4, IDS))
    assert parts(tmp_path) == before
    found = cache.load(space)
    assert found is not None
    assert found.revision == 3
    cache.store(space, Cached(again, 4, IDS))
    found = cache.load(space)
    assert found is not None
    assert found.revision == 4


@pytest.mark.parametrize("name", CRAFTED)
def test_a_shelf_of_another_kind_is_refused(
    index: Any, cls: Any, tmp_path: Path, name: str
) -> None:
    index.save(tmp_path / "index")
    write(tmp_path / next(iter(index.parts)), name)
    assert is_refused(cls, tmp_path / "index")


def test_a_missing_or_cut_shelf_is_refused(index: Any, cls: Any, tmp_path: Path) -> None:
    index.save(tmp_path / "index")
    shelf = tmp_path / next(iter(index.parts))
    whole = shelf.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 100):
        shelf.write_bytes(whole[:length])
        assert is_refused(cls, tmp_path / "index")
    shelf.unlink()
    assert is_refused(cls, tmp_path / "index")


def forged(shelf: Shelf, name: str, value: object) -> Shelf:
    """The same with another array, whatever is right."""
    object.__setattr__(shelf, name, value)
    return shelf


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("starts", lambda old: old + 1),
        ("starts", lambda old: old[::-1].copy()),
        ("starts", lambda old: old[:-1]),
        ("starts", lambda old: np.insert(old, 1, 2**62)),
        ("starts", lambda old: np.insert(old, 1, -5)),
        ("centres", lambda old: np.full_like(old, np.nan)),
        ("centres", lambda old: old[:, :-1]),
        ("reach", lambda _: np.inf),
        ("reach", lambda _: np.nan),
        ("ids", lambda old: old[::-1].copy()),
        ("ids", lambda old: old[:-1]),
        ("rows", lambda old: np.full_like(old, COUNT)),
        ("places", lambda old: np.full_like(old, -1)),
        ("places", lambda old: old[:-1]),
        ("codes", lambda old: old[:-1]),
        ("codes", lambda old: old[:, :-1]),
        ("codes", lambda old: old.ravel()),
        ("codes", np.asfortranarray),
        ("codes", lambda old: old.astype(np.float32)),
    ],
)
def test_a_forged_shelf_is_refused_before_it_is_searched(
    tmp_path: Path, name: str, change: Any
) -> None:
    index = built(IvfIndex)
    index.save(tmp_path / "index")
    shelf = index._state.shelf
    path = tmp_path / next(iter(index.parts))
    if name == "codes" and change is np.asfortranarray:
        with path.open("wb") as file:
            for array in (
                np.array([1]), np.array([0.5], np.float32),
                np.stack([shelf.codec.low, shelf.codec.step]), shelf.centres, shelf.starts,
                shelf.ids, shelf.rows, shelf.places, np.asfortranarray(shelf.codes),
            ):  # fmt: skip
                np.save(file, array)
    else:
        forged(shelf, name, change(getattr(shelf, name))).save(path)
    assert is_refused(IvfIndex, tmp_path / "index")


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_ranges_that_make_no_sense_are_refused(tmp_path: Path, value: float) -> None:
    index = built(Sq8Index)
    index.save(tmp_path / "index")
    codec = index._state.shelf.codec
    object.__setattr__(codec, "step", np.full_like(codec.step, value))
    index._state.shelf.save(tmp_path / next(iter(index.parts)))
    assert is_refused(Sq8Index, tmp_path / "index")


@pytest.mark.parametrize("name", ["../index", "/etc/passwd", "..", "\x00", "other"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    index = built(Sq8Index)
    index.save(tmp_path / "index")
    index._kept_beside = lambda *_: name
    index.save(tmp_path / "index")
    assert is_refused(Sq8Index, tmp_path / "index")


def test_no_damaged_byte_of_what_tells_the_shape_crashes(cls: Any, tmp_path: Path) -> None:
    index = built(cls)
    index.upsert(MORE_IDS[:2], MORE[:2])
    index.remove(IDS[:9])
    index.save(tmp_path / "index")
    shelf = tmp_path / next(iter(index.parts))
    gc.collect()
    refused = 0
    for path in (tmp_path / "index", shelf):
        whole = path.read_bytes()
        spots = [*range(0, 1_200, 3), *range(1_200, len(whole), len(whole) // 200)]
        for place in spots:
            damaged = bytearray(whole)
            damaged[min(place, len(whole) - 1)] ^= 0x88
            path.unlink()  # what is mapped stays as it is
            path.write_bytes(damaged)
            try:
                found = cls.load(path.with_name("index"))
            except Exception:  # any will do
                refused += 1
                continue
            found.search(np.ones(found._small.rows()[1].shape[1], np.float32), 30)
        path.unlink()
        path.write_bytes(whole)
    assert refused > 100
    assert len(cls.load(tmp_path / "index")) == COUNT - 7, "as it was"


def test_a_query_of_another_size_never_reaches_native_code(index: Any) -> None:
    for wrong in (np.ones(DIM - 1), np.ones(DIM + 1), np.ones((1, DIM))):
        with pytest.raises(ValueError, match="query"):
            index.search(wrong.astype(np.float32), 3)
    index.search(np.full(DIM, np.nan, np.float32), 3)
    with pytest.raises(ValueError, match="vectors"):
        index.upsert(IDS[:2], VECTORS[:3])
