"""A catalog with random content of all kinds, and random queries that fit it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.support.catalog_rows import SPACE, unit_vectors
from vsearch.types import Cue, FileIdentity, Location, SoundSpan, Space, Span, Tag, Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.transaction import Transaction

CUE_SPACE = Space("cues", 8, supports_text=True)
WORDS = [  # letters that fold, separators within words, several scripts
    *("dog", "dogs", "Dogs", "café", "cafe", "CAFÉ", "straße", "Strasse", "beach", "Holiday"),
    *("IMG", "2024", "re-entry", "snake_case", "Ωμέγα", "привет", "Привет", "北京", "東京"),
    *("日本語", "😀", "ﬁne", "fine", "e\u0301te\u0301", "été", "İstanbul", "istanbul", "don't"),
    *("user@example.com", "https://example.com/a?b=1", "100%", "3.14", "a", "b", "c"),
    *("मस्ते", "ไทย", "مرحبا", "the", "the", "the"),
]
LABELS = ("Snow", "snow", "dog", "Ärger", "ärger", "a%b", "o'hara", "zebra", "_", "?")
CAMERAS = ("Apple iPhone 13", "Canon EOS R5", "apple", "Ökam %s", None)
CODECS = ("h264", "H264", "hevc", "av1", "vp9")
LANGUAGES = ("de", "en", "EN_us", "pt-BR,de", "eng", None)
FOLDERS = ("/films", "/films/Beach Holiday", "/Films/ä", "/other/%s", "/other/o'hara", "/z\\x41")


def random_text(chance: random.Random, max_words: int = 12) -> str:
    """Return words with separators of several kinds."""
    separators = (" ", " ", " ", "-", ", ", "_", "\u00a0", ". ")
    words = chance.choices(WORDS, k=chance.randint(0, max_words))
    return "".join(f"{word}{chance.choice(separators)}" for word in words).strip() or "…"


def fill_randomly(catalog: Catalog, seed: int, video_count: int) -> None:
    """Add videos with everything that a catalog holds."""
    chance = random.Random(seed)
    for video_number in range(video_count):
        with catalog.begin() as transaction:
            _add_video(transaction, chance, video_number)
    with catalog.begin() as transaction:
        for search_name in ("b", "B", "ä", "a", "a"):
            transaction.save_search(search_name, random_text(chance))
        last_id = catalog.cue_index.estimate_size()
        cue_ids = sorted(chance.sample(range(1, last_id + 1), last_id // 2))
        transaction.add_cue_vectors(cue_ids, unit_vectors(len(cue_ids), dim=8), CUE_SPACE)


def _add_video(transaction: Transaction, chance: random.Random, video_number: int) -> None:
    def maybe(value: Any) -> Any:
        return value if chance.random() < 0.6 else None

    path = f"{chance.choice(FOLDERS)}/{random_text(chance, 3).replace('/', ' ')} {video_number}.mp4"
    path = path.replace("\0", "") + ("\udcff" if video_number % 10 == 7 else "")
    recorded_at = datetime(2024, 5, 1, tzinfo=UTC) + timedelta(
        hours=chance.randint(0, 3_000), microseconds=chance.choice((0, 0, 5, 250_000, 999_999))
    )
    duration = chance.choice((5.0, 60.5, 600.0))
    video = transaction.add_video(
        video_path=Path(path),
        fingerprint=f"f{video_number % 7}",
        size_bytes=chance.randint(0, 2**40),
        mtime_ns=chance.choice(
            (0, -1, 1_714_521_600_000_000_000, chance.randint(10**18, 18 * 10**17))
        ),
        duration=duration,
        fps=chance.choice((0.0, 23.976, 25.0, 59.94)),
        width=chance.choice((1080, 1920, 3840)),
        height=chance.choice((1080, 1600, 2160)),
        codec=chance.choice(CODECS),
        sampled_frames=chance.randint(0, 600),
        warning=maybe("100 % damaged: 'x'"),
        sample_fps=1.0,
        recorded_at=maybe(recorded_at),
        keyframes_only=chance.random() < 0.3,
        max_keyframe_gap=maybe(1.5),
        is_photo=chance.random() < 0.2,
        utc_offset_minutes=chance.choice((None, 0, 120, -570)),
        location=maybe(Location(chance.uniform(-89, 89), chance.uniform(-180, 180))),
        camera=chance.choice(CAMERAS),
        source_url=maybe("https://example.com/?a=%20"),
    )
    segment_count = chance.randint(0, 12)
    seconds = duration / max(1, segment_count)
    segment_spans = [Span(index * seconds, (index + 1) * seconds) for index in range(segment_count)]
    vectors = unit_vectors(segment_count, seed=video_number)
    transaction.add_segments(video.id, segment_spans, vectors, SPACE)
    if chance.random() < 0.9:
        model = chance.choice(("builtin", "builtin:fast", "other"))
        transaction.add_features(video.id, SPACE, model, maybe(7))
    if chance.random() < 0.5:
        identity = FileIdentity(5, 6, maybe(7), maybe("8:9"), maybe("d"))
        suffix = "\udcfe" if video_number % 5 == 0 else ""
        for copy_number in range(chance.randint(1, 2)):
            duplicate_path = Path(f"/copies/{video_number} {copy_number}{suffix}.mp4")
            transaction.set_duplicate_file(duplicate_path, identity, maybe(video.id))
    transaction.add_tags(_random_tags(chance, video.id, duration))
    for source in ("subtitles", "speech", "ocr"):
        if chance.random() < 0.5:
            transaction.replace_cues(
                video.id,
                source,
                [
                    Cue(
                        Span(start, start + chance.choice((0.0, 2.5))),
                        random_text(chance),
                        source,
                        (Word("dog", Span(start, start + 0.5)),) if source == "speech" else (),
                    )
                    for start in np.linspace(0, duration, chance.randint(0, 20)).tolist()
                ],
                source_name="a test",
                source_digest=maybe("d"),
                language=chance.choice(LANGUAGES),
            )
    sounds = [
        SoundSpan(kind, Span(start, start + chance.choice((0.3, 4.0))))
        for kind in ("speech", "music", "singing")
        for start in chance.sample((0.0, 1.0, 4.9, 20.0, 50.25), chance.randint(0, 2))
    ]
    if sounds or chance.random() < 0.5:
        transaction.replace_sounds(video.id, sounds, model_name="a test")
    for _ in range(chance.randint(0, 2)):
        transaction.add_relevance_label(
            chance.choice(("dog", "Dog")), video.id, Span(1, 2), chance.random() < 0.5
        )


def _random_tags(chance: random.Random, video_id: int, duration: float) -> list[Tag]:
    return [
        Tag(
            video_id,
            chance.choice(LABELS),
            chance.choice((0.0, 0.5, 0.5, 1.0)),
            chance.choice((None, Span(1, 3), Span(0, duration), Span(2, 2))),
            "by hand",
            chance.choice((None, "builtin")),
            datetime(2024, 1, 1, tzinfo=UTC),
        )
        for _ in range(chance.randint(0, 4))
    ]


def random_filters(chance: random.Random) -> str:
    """Return one to four filters, some of them excluded, as query text."""
    kinds = (
        ("tag", LABELS[:8]),
        ("name", ("beach", "IMG", "cafe", "straße", "20", "ω", "北", "dog")),
        ("path", ("/films", "holiday", "*.mp4", "ä", "copies", "/other/*")),
        ("model", ("builtin", "other", "b*")),
        ("has", ("speech", "subtitles", "screen", "tags", "music", "singing")),
        ("is", ("wide", "vertical", "square", "4k", "photo", "video")),
        ("after", ("2024-05-20", "2024", "1960-01-01")),
        ("before", ("2024-06-01", "2024-05-01", "2025")),
        ("longer", ("5s", "60s", "2m")),
        ("shorter", ("60s", "61s", "20m")),
        ("at", ("0:00-0:03", "0:02-1:00", "1:00-2:00")),
        ("camera", ("apple", "canon", "ökam")),
        ("codec", ("h264", "hevc")),
        ("fps", ("25", ">=50", "0-30")),
        ("lang", ("de", "en", "pt")),
        ("time", ("morning", "night", "8-12", "22:30-6:15")),
        ("weekday", ("monday", "weekend", "tuesday")),
        ("near", ("0,0,9000km", "45,90,4000km")),
    )
    filters = []
    for field, values in chance.choices(kinds, k=chance.randint(1, 4)):
        sign = "-" if chance.random() < 0.3 else ""
        filters.append(f'{sign}{field}:"{chance.choice(values)}"')
    return " ".join(filters)


def random_phrases(chance: random.Random) -> Sequence[Sequence[str]]:
    """Return groups of phrases for a full-text query."""
    return [
        [
            " ".join(chance.choices(WORDS, k=chance.choice((1, 1, 1, 2))))
            + chance.choice(("", "", "*"))
            for _ in range(chance.randint(1, 3))
        ]
        for _ in range(chance.randint(1, 2))
    ]
