"""The confidence of a moment depends on the moment, the query and the library alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.support.fakes import NAMED_COLORS, FakeEncoder
from tests.support.video_factory import ColorScene, make_video
from vsearch import Library
from vsearch.search.calibration import MAX_CONFIDENCE
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vsearch.types import Moment

SCENES = {
    "one": ("red", "blue", "green"),
    "two": ("green", "white", "orange"),
    "three": ("purple", "cyan"),
    "four": ("black", "yellow"),
}
MomentKey = tuple[str, Span]


@pytest.fixture(scope="module")
def videos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four videos of two or three scenes."""
    folder = tmp_path_factory.mktemp("videos")
    for name, colors in SCENES.items():
        scenes = [ColorScene(NAMED_COLORS[color], 4) for color in colors]
        make_video(folder / f"{name}.mp4", scenes)
    return folder


@pytest.fixture
def library(videos_folder: Path, tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as opened:
        list(opened.index([videos_folder]))
        yield opened


def key_of(moment: Moment) -> MomentKey:
    return moment.video.path.stem, moment.span


def rate(library: Library, query: str, *, k: int = 20) -> dict[MomentKey, float]:
    """Search, and return the confidence of every moment."""
    found = library.search(query, k=k, per_video=3, include_duplicates=True)
    confidences = {
        key_of(moment): moment.confidence for moment in found if moment.confidence is not None
    }
    assert len(confidences) == len(found) > 0
    return confidences


def assert_agree(
    some: Mapping[MomentKey, float], others: Mapping[MomentKey, float], *, at_least: int = 1
) -> None:
    """Check that moments found by both searches have equal confidences."""
    common_keys = some.keys() & others.keys()
    assert len(common_keys) >= at_least
    for key in common_keys:
        assert others[key] == pytest.approx(some[key], abs=1e-4), key


@pytest.mark.parametrize("path_filter", ["path:one.mp4", "path:two.mp4", "path:four.mp4"])
def test_filters_do_not_change_the_confidence(library: Library, path_filter: str) -> None:
    assert_agree(rate(library, "red"), rate(library, f"red {path_filter}"), at_least=2)


def test_relevance_feedback_on_another_result_does_not_change_the_confidence(
    library: Library,
) -> None:
    before = rate(library, "green")
    found = library.search("green", k=20, per_video=3, include_duplicates=True)
    library.feedback.add("green", [found[-1]], relevant=False)
    after = rate(library, "green")
    assert library.search("green").feedback_count == 1
    assert_agree(before, after, at_least=3)


@pytest.mark.parametrize("excluded", ["-blue", "-0.3:cyan", "-said:hello"])
def test_excluded_terms_do_not_change_the_confidence(library: Library, excluded: str) -> None:
    assert_agree(rate(library, "orange"), rate(library, f"orange {excluded}"), at_least=3)


def test_said_terms_do_not_change_the_visual_confidence(library: Library) -> None:
    [video] = library.videos(["one.mp4"])
    with library._catalog.begin() as change:
        change.replace_cues(
            video.id, "subtitles", [Cue(Span(0, 12), "hello")], source_name="by hand"
        )
    [first, *_] = library.search("red said:hello")
    assert first.confidence is not None
    assert first.confidence >= max(rate(library, "red").values()) - 1e-4


@pytest.mark.parametrize(
    "terms", [("red", "blue"), ("green", "white"), ("purple", "nothing known"), ("cyan", "red")]
)
def test_a_composed_query_is_at_most_as_sure_as_its_least_sure_term(
    library: Library, terms: tuple[str, str]
) -> None:
    composed = rate(library, " ".join(f'text:"{term}"' for term in terms))
    for term in terms:
        alone = rate(library, term)
        for key in composed.keys() & alone.keys():
            assert composed[key] <= alone[key] + 1e-4
        assert max(composed.values()) <= max(alone.values()) + 1e-4


def test_a_text_and_an_image_are_each_compared_with_their_own_null_queries(
    library: Library, tmp_path: Path
) -> None:
    image_path = tmp_path / "red.png"
    Image.new("RGB", (64, 48), NAMED_COLORS["red"]).save(image_path)
    composed = max(rate(library, f"red image:{image_path}").values())
    by_text = max(rate(library, "red").values())
    by_image = max(rate(library, f"image:{image_path}").values())
    assert composed <= min(by_text, by_image) + 1e-4


def test_a_sequence_is_as_sure_as_its_weakest_step(library: Library) -> None:
    [found, *_] = library.search("red then: blue", k=1)
    step_confidences = [
        max(rate(library, f"{color} path:one.mp4").values()) for color in ("red", "blue")
    ]
    assert found.confidence == pytest.approx(min(step_confidences), abs=1e-4)


def test_the_number_of_results_does_not_change_the_confidence(library: Library) -> None:
    """The best score of other videos counts, even if no moment of them is returned."""
    for query in ("red", "green", "yellow"):
        assert_agree(rate(library, query), rate(library, query, k=1))


def test_a_copy_has_the_maximum_confidence(
    library: Library, videos_folder: Path, tmp_path: Path
) -> None:
    copy_path = tmp_path / "copy.mp4"
    copy_path.write_bytes((videos_folder / "one.mp4").read_bytes())
    found = library.search(f"clip:{copy_path}")
    assert found[0].explanation.is_copy
    assert found[0].confidence == MAX_CONFIDENCE


def test_only_excluded_visual_terms_leave_the_confidence_to_the_transcript(
    library: Library,
) -> None:
    [video] = library.videos(["one.mp4"])
    with library._catalog.begin() as change:
        change.replace_cues(
            video.id, "subtitles", [Cue(Span(0, 4), "hello")], source_name="by hand"
        )
    found = library.search("said:hello -green")
    assert [moment.video.path.stem for moment in found] == ["one"]
