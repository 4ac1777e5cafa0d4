from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from taught import COUNT, MISREAD, PICTURES, Taught, captions, library, video
from vsearch import Library
from vsearch.encoders.adapter import Map
from vsearch.errors import DatasetError, SpaceMismatchError
from vsearch.evaluation.adapting import Verdict, align, gain, install, judge
from vsearch.evaluation.datasets import Dataset, Item
from vsearch.evaluation.metrics import Measure
from vsearch.evaluation.sample import sample
from vsearch.types import Features, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.evaluation.sample import Sample

FILE = "adapter.npz"


@pytest.fixture
def taught(tmp_path: Path) -> Iterator[Library]:
    with library(tmp_path) as made:
        yield made


def drawn(made: Library, dataset: Dataset, seed: int = 0) -> Sample:
    return sample(made, Taught(), dataset, seed)


def right(made: Library) -> int:
    """How many of all scenes come first."""
    found = (made.search(f"scene {n}", k=1)[0].video.path.stem == str(n) for n in range(COUNT))
    return sum(found)


def test_what_can_be_learnt_is_installed_and_finds_more(tmp_path: Path, taught: Library) -> None:
    before, space, image = right(taught), taught.space, PICTURES[3]
    alignment = align(taught, captions(tmp_path))
    assert alignment.verdict.better
    assert alignment.verdict.gain.value > 0.1
    assert alignment.verdict.answers == COUNT
    assert not (taught.path / FILE).exists()
    assert install(taught, alignment)
    after = right(taught)
    assert after > before + 20
    assert taught.space == space
    np.testing.assert_allclose(taught.segments(taught.videos()[0])[1].shape, (1, len(image)))
    with Library.open(taught.path, encoder=Taught()) as again:
        assert right(again) == after
        assert again.adapter is not None
        assert again.adapter.digest == alignment.adapter.digest


def test_what_fits_every_query_is_pushed_back_as_in_a_search(
    tmp_path: Path, taught: Library
) -> None:
    rows, nothing = drawn(taught, captions(tmp_path)), Map.nothing(PICTURES.shape[1])
    bank = Taught().encode_texts([f"scene {n}" for n in range(0, COUNT, 10)])
    pushed = judge(rows, nothing, bank=bank)
    assert pushed.before == pushed.after
    assert pushed.before != judge(rows, nothing).before


def test_noise_is_refused_and_nothing_is_written(tmp_path: Path, taught: Library) -> None:
    alignment = align(taught, captions(tmp_path, "noise"))
    assert not alignment.verdict.better
    assert not install(taught, alignment)
    assert not (taught.path / FILE).exists()
    assert taught.adapter is None


def test_force_installs_what_is_no_better_and_notes_it(tmp_path: Path, taught: Library) -> None:
    assert install(taught, align(taught, captions(tmp_path, "noise")), force=True)
    assert taught.adapter is not None
    assert taught.adapter.trained.forced


def test_the_same_rows_and_seed_give_the_same_adapter(tmp_path: Path, taught: Library) -> None:
    one, other = (align(taught, captions(tmp_path), seed=3) for _ in range(2))
    assert one.adapter.digest == other.adapter.digest
    assert one.verdict == other.verdict
    assert align(taught, captions(tmp_path), seed=4).adapter.digest != one.adapter.digest


def test_progress_is_told_up_to_the_end(tmp_path: Path, taught: Library) -> None:
    told: list[tuple[int, int]] = []
    align(taught, captions(tmp_path), progress=lambda *each: told.append(each))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] > 0


def test_an_adapter_is_judged_against_the_model_as_it_is(tmp_path: Path, taught: Library) -> None:
    first = align(taught, captions(tmp_path))
    install(taught, first)
    again = align(taught, captions(tmp_path))
    assert again.verdict.before == first.verdict.before
    assert again.verdict.present == first.verdict.after
    assert again.adapter.digest == first.adapter.digest
    assert install(taught, again)


def test_what_finds_less_than_the_one_in_use_is_refused() -> None:
    high, low = Measure("MRR", 0.9, 0.8, 1.0), Measure("MRR", 0.7, 0.6, 0.8)
    verdict = Verdict(9, (low,), (low,), None, Measure("MRR gained", 0.1, 0.05, 0.2))
    assert verdict.better
    assert not replace(verdict, present=(high,)).better
    assert replace(verdict, present=(low,)).better


@pytest.mark.parametrize(("value", "low"), [(0.0, 0.0), (0.1, 0.0), (0.1, -0.01), (-0.1, -0.2)])
def test_a_tie_and_what_may_be_chance_are_refused(value: float, low: float) -> None:
    some = Measure("MRR", 0.7, 0.6, 0.8)
    verdict = Verdict(9, (some,), (some,), None, Measure("MRR gained", value, low, 0.3))
    assert not verdict.better


def test_the_interval_of_a_gain_takes_rows_of_one_video_as_one() -> None:
    values = np.repeat([0.5, -0.1, -0.1, 0.1], 50)
    alone, together = gain(values, np.arange(200)), gain(values, np.repeat(np.arange(4), 50))
    assert alone.value == together.value == pytest.approx(0.1)
    assert alone.low > 0 > together.low


def test_whole_videos_and_groups_are_held_out(tmp_path: Path, taught: Library) -> None:
    rows = [
        Item(video(tmp_path, n), f"scene {n} {k}", Span(k, k + 1), f"group {n // 2}")
        for n in range(COUNT)
        for k in range(2)
    ]
    found = drawn(taught, Dataset("rows", tuple(rows), ()))
    held = found.examples[found.held]
    kept = found.examples[~found.held]
    assert not set(held.videos.tolist()) & set(kept.videos.tolist())
    assert not set(held.groups.tolist()) & set(kept.groups.tolist())
    assert 0.2 <= found.held.mean() <= 0.25
    assert (drawn(taught, Dataset("rows", tuple(rows), ()), 1).held != found.held).any()


def test_videos_that_groups_join_by_steps_stay_together(tmp_path: Path, taught: Library) -> None:
    chained = [Item(video(tmp_path, n), "a", None, f"{n + k}") for n in range(9) for k in (0, 1)]
    others = captions(tmp_path).items[9:]
    found = drawn(taught, Dataset("rows", (*chained, *others), ())).examples
    assert len(set(found.folds[:18].tolist())) == 1
    assert len(set(found.folds.tolist())) == 1 + len(others)


def test_which_are_held_out_mostly_stays_when_rows_are_added(
    tmp_path: Path, taught: Library
) -> None:
    few, many = (drawn(taught, captions(tmp_path, count=count)) for count in (100, COUNT))
    assert (few.held != many.held[:100]).mean() < 0.1


def test_the_picture_of_a_row_is_the_mean_of_the_frames_in_its_span(
    tmp_path: Path, taught: Library
) -> None:
    first = taught.videos([str(video(tmp_path, 0))])[0]
    frames = np.stack([PICTURES[1], PICTURES[2]])
    taught._features.save(first.id, Features(Taught().space, frames, np.array([2.0, 7.0])))
    spans = (Span(0, 5), Span(6, 9), None)
    rows = [Item(video(tmp_path, 0), "a", span) for span in spans]
    found = drawn(taught, Dataset("rows", (*rows, *captions(tmp_path).items[1:]), ())).examples
    mean = PICTURES[1] + PICTURES[2]
    expected = np.stack([PICTURES[1], PICTURES[2], mean / np.linalg.norm(mean)])
    np.testing.assert_allclose(found.pictures[:3], expected, atol=1e-3)


def test_what_would_be_right_as_well_is_no_mistake(tmp_path: Path, taught: Library) -> None:
    rows = [
        Item(video(tmp_path, 0), "a dog", Span(0, 4), "g"),
        Item(video(tmp_path, 0), "a cat", Span(3, 6)),
        Item(video(tmp_path, 0), "a cow", Span(6, 9)),
        Item(video(tmp_path, 1), "A  Dog"),
        Item(video(tmp_path, 2), "a fox", None, "g"),
    ]
    found = drawn(taught, Dataset("rows", (*rows, *captions(tmp_path).items[3:]), ())).examples
    alike = found.alike(found)[:5, :5]
    assert alike[0].tolist() == [True, True, False, True, True]
    assert alike[1].tolist() == [True, True, False, False, False]
    assert (alike == alike.T).all()


def test_too_few_rows_or_videos_are_refused(tmp_path: Path, taught: Library) -> None:
    with pytest.raises(DatasetError, match="49 rows of 49 videos"):
        align(taught, captions(tmp_path, count=49))
    many = [Item(video(tmp_path, n % 9), f"scene {n}") for n in range(90)]
    with pytest.raises(DatasetError, match="90 rows of 9 videos"):
        align(taught, Dataset("rows", tuple(many), ()))


def test_what_cannot_be_used_is_counted(tmp_path: Path, taught: Library) -> None:
    absent = (Item(tmp_path / "x.mp4", "a"), Item(tmp_path / "x.mp4", "b"))
    late = (Item(video(tmp_path, 3), "later", Span(11, 12)),)
    dataset = Dataset("rows", (*captions(tmp_path).items, *absent, *late), (tmp_path / "y.mp4",))
    gone = taught.videos([str(video(tmp_path, 5))])[0]
    taught._features.remove(gone.id)
    found = drawn(taught, dataset)
    assert len(found.examples) == COUNT - 1
    assert found.left_out[0] == "videos that are not in the library: 2"
    assert f"{gone.id}.npz" in found.left_out[1]
    assert found.left_out[2] == "rows that begin after the end of their video: 1"


def test_subtitles_beside_the_videos_are_learnt_from(tmp_path: Path, taught: Library) -> None:
    for number in range(COUNT):
        cue = f"1\n00:00:01,000 --> 00:00:03,000\nthis is what happens {number}\n"
        video(tmp_path, number).with_suffix(".srt").write_text(cue)
    found = sample(taught, Taught(), None, 0)
    assert len(found.examples) == COUNT
    assert found.examples.spans[0].tolist() == [1, 3]


def test_an_adapter_of_another_space_is_not_installed(tmp_path: Path, taught: Library) -> None:
    found = align(taught, captions(tmp_path)).adapter
    strange = replace(found, trained=replace(found.trained, space="elsewhere"))
    with pytest.raises(SpaceMismatchError, match="train it anew"):
        taught.adapt(strange)
    assert not (taught.path / FILE).exists()


def test_killed_while_it_is_installed_the_old_one_stays(tmp_path: Path, taught: Library) -> None:
    old = align(taught, captions(tmp_path))
    install(taught, old)
    code = (
        "import os, sys; os.fsync = lambda _: os._exit(9)\n"
        "from dataclasses import replace; from pathlib import Path; from taught import *\n"
        f"made = Library.open({str(taught.path)!r}, encoder=Taught())\n"
        "old = made.adapter; made.adapt(replace(old, trained=replace(old.trained, rows=1)))\n"
    )
    tests = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", code], cwd=tests, check=False)
    assert done.returncode == 9
    assert list(taught.path.glob("*.part"))
    with Library.open(taught.path, encoder=Taught()) as again:
        assert again.adapter is not None
        assert again.adapter.digest == old.adapter.digest
        install(again, old)
    assert not list(taught.path.glob("*.part"))


def test_the_world_of_these_tests_can_be_learnt() -> None:
    texts = Taught().encode_texts([f"scene {n}" for n in range(COUNT)])
    back = np.linalg.inv(MISREAD) - np.eye(len(MISREAD))
    found = Map(back.astype(np.float32), np.zeros(len(back), np.float32))(texts)
    assert ((found @ PICTURES.T).argmax(axis=1) == np.arange(COUNT)).mean() > 0.9
