from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.fakes import FakeEncoder
from vsearch import Library, Outcome

if TYPE_CHECKING:
    from pathlib import Path


def test_every_broken_file_is_indexed_or_reported_in_one_line(
    broken_media: Path, tmp_path: Path
) -> None:
    files = sorted(path for path in broken_media.iterdir() if path.is_file())
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        found = list(library.index(files))
        assert [one.path for one in found] == files
        for one in found:
            if one.outcome is Outcome.FAILED:
                assert one.error
                assert one.path.name in one.error
                assert "\n" not in one.error
                assert "unexpected" not in one.error
            else:
                assert one.video is not None
                assert one.video.sampled_frames >= 1
        assert library.doctor() == []
        again = {one.outcome for one in library.index(files)}
        assert again <= {Outcome.UNCHANGED, Outcome.DUPLICATE, Outcome.FAILED}
        outcomes = [one.outcome for one in found]
        print({outcome: outcomes.count(outcome) for outcome in set(outcomes)})
