"""`vsearch train pooler`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from moving import library
from vsearch.pooler import own
from vsearch.temporal.weights import PRESETS, TransformerConfig

if TYPE_CHECKING:
    from pathlib import Path

    from running import Vsearch

pytestmark = pytest.mark.usefixtures("fake_model")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = TransformerConfig(hidden=16, layers=1, heads=2, mlp=32, dropout=0.1)
    monkeypatch.setitem(PRESETS, "small", tiny)
    monkeypatch.setattr("vsearch.temporal.robust.BATCH", 4)
    monkeypatch.setattr("vsearch.training.pooler.JUNK", 14)
    monkeypatch.setattr("vsearch.evaluation.gate.PICTURES", 14)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with library(tmp_path, count=48) as made:
        made.rebuild()
        folder = made.path
    monkeypatch.setenv("VSEARCH_LIBRARY", str(folder))
    return folder


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that nothing passes, but which might have been."""
    monkeypatch.setattr("vsearch.evaluation.gate.GAINED", 2.0)
    monkeypatch.setattr("vsearch.training.pooler.hopeless", lambda case: None)


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that everything passes."""
    monkeypatch.setattr("vsearch.evaluation.gate.GAINED", -2.0)
    monkeypatch.setattr("vsearch.evaluation.gate.LOST", 2.0)


@pytest.mark.usefixtures("strict")
def test_what_does_not_pass_is_told_and_not_installed(vsearch: Vsearch, place: Path) -> None:
    done = vsearch("train", "pooler", "--steps", "1", code=1)
    assert "learnt   from 37 videos" in done.stdout
    assert "judged   11 queries among 11 clips" in done.stdout
    assert "with junk" in done.stdout
    assert "not passed" in done.stdout
    assert "Not installed" in done.stderr
    assert not own(place)
    assert "pooled by mean" in vsearch("info").stdout


@pytest.mark.usefixtures("strict")
def test_force_installs_it_loudly_and_remove_takes_it_away(vsearch: Vsearch, place: Path) -> None:
    done = vsearch("train", "pooler", "--steps", "1", "--force")
    assert "WARNING" in done.stderr
    assert "NOT pass" in done.stderr
    assert "pooled by transformer-" in vsearch("info").stdout
    vsearch("doctor")
    assert "by mean again" in vsearch("train", "pooler", "--remove").stderr
    assert "pooled by mean" in vsearch("info").stdout
    assert "no pooler to remove" in vsearch("train", "pooler", "--remove", code=1).stderr


@pytest.mark.usefixtures("lenient")
def test_what_passes_is_installed_and_told_as_json(vsearch: Vsearch, place: Path) -> None:
    told = json.loads(vsearch("train", "pooler", "--steps", "1", "--json").stdout)
    assert told["installed"] is True
    assert told["gate"]["passed"] is True
    assert told["pooler"] in vsearch("info").stdout
    assert (place / "training" / "pooler" / "log.csv").exists()


@pytest.mark.usefixtures("lenient")
def test_a_dry_run_installs_nothing(vsearch: Vsearch, place: Path) -> None:
    assert "--dry-run" in vsearch("train", "pooler", "--steps", "1", "--dry-run").stderr
    assert not own(place)


def test_a_damaged_pooler_is_named_by_doctor_and_search_goes_on(
    vsearch: Vsearch, place: Path
) -> None:
    vsearch("train", "pooler", "--steps", "1", "--force")
    path = own(place)[0]
    path.write_bytes(path.read_bytes()[:100])
    assert path.name in vsearch("doctor", code=1).stdout
    assert "best at" in vsearch("search", "red").stdout  # words need no pooler
    vsearch("train", "pooler", "--remove")
    vsearch("doctor")


@pytest.mark.parametrize(
    "words", [("--remove", "--force"), ("--dry-run", "--force"), ("--steps", "0")]
)
def test_wrong_usage_is_refused(vsearch: Vsearch, place: Path, words: tuple[str, ...]) -> None:
    assert vsearch("train", "pooler", *words, code=2).stderr


def test_a_file_that_is_no_pretrained_one_says_so(vsearch: Vsearch, place: Path) -> None:
    np.save(place / "odd.npy", np.zeros(3))
    done = vsearch("train", "pooler", "--from", place / "odd.npy", code=1)
    assert "train pretrain" in done.stderr
