"""Words in transcripts and names: PostgreSQL finds what SQLite's FTS5 finds."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.catalog_rows import add_video
from tests.support.random_library import WORDS, random_phrases, random_text
from vsearch.catalog.catalog import Catalog
from vsearch.catalog.names import find_named
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.postgresql_server import PostgresqlServer
    from vsearch.catalog.transaction import Transaction

pytestmark = pytest.mark.cluster
Catalogs = tuple[Catalog, Catalog]
ALL = 100_000  # results
TEXTS = [
    *("Hello world", "héllo wörld", "Straße STRASSE strasse", "ẞ ß ss", "ﬁne ﬂow ﬃ ff ﬀ"),
    *("İstanbul ISTANBUL istanbul ıstanbul", "e\u0301te\u0301 été", "\u0301 alone a\u0301\u0301b"),
    *("naïve co-operate re-entry", "user@example.com mail", "https://example.com/a_b?c=1&d=2#e"),
    *("snake_case_name x_1", "3.14 1,000 10% ½ ² Ⅷ Ⅻ ⅻ", "ABCabc123 123abc", "don't isn’t"),
    *("北京 东京 你好世界", "日本語のテスト", "こんにちは", "한국어 테스트", "ไทย ภาษา"),
    *("नमस्ते हिन्दी", "مرحبا مَرْحَبًا", "שלום שָׁלוֹם", "١٢٣ 123", "Привет ПРИВЕТ ё е"),
    *(
        "Ωμέγα ωμεγα ΩΜΕΓΑ ς σ Σ",
        "😀 smile 😃😄 🅰 a",
        "👩\u200d👩\u200d👧 family",
        "x\u200dy x\u00ady",
    ),
    *(
        "",
        "   ",
        "!!!",
        "\u00a0nbsp\u00a0",
        "tab\tnew",
        "nul\0byte",
        "ａｂｃ ＡＢＣ １２３",
        "K kelvin",
    ),
    *("Å Å å", "ǆ ǅ Ǆ", "\U00010400 \U00010428", "𝐀𝐁𝐂", "\ue000private \uf8ff", "ſ long s"),
    *("a'b \\ \"q\" 'x':1 & | ! <-> :* (y) % %s ? ;--", "\\'", "a b a b c", "NEAR(a b) AND OR NOT"),
    *(
        "x " * 200,
        "y" * 3_000,
        "y" * 2_999 + "z tail",
        "é" * 1_500,
        "w " * 200 + "end",
        "\ufeffbom",
    ),
]
LETTERS = "abcdeéßİ ı-_.@/1 2 北京😀ά ς'\"\\\u0301ﬁ  "


@pytest.fixture
def catalogs(tmp_path: Path, postgresql_server: PostgresqlServer) -> Iterator[Catalogs]:
    with (
        Catalog.open(tmp_path / "catalog.sqlite3", create=True) as file_catalog,
        Catalog.open(postgresql_server.create_database(), create=True) as database_catalog,
    ):
        yield file_catalog, database_catalog


def add_cues(transaction: Transaction, path: str, texts: Sequence[str]) -> int:
    """Add a video with a cue for each text."""
    video_id = add_video(transaction, path, fingerprint=path).id
    cues = [Cue(Span(index, index + 1), text, "speech") for index, text in enumerate(texts)]
    transaction.replace_cues(video_id, "speech", cues, source_name="a test")
    return video_id


def find(catalog: Catalog, phrase_groups: Sequence[Sequence[str]]) -> list[int]:
    return list(map(int, catalog.cue_index.search(phrase_groups, max_results=ALL)))


def test_hostile_texts_are_found_by_the_same_queries(catalogs: Catalogs) -> None:
    chance = random.Random(0)
    random_texts = ["".join(chance.choices(LETTERS, k=chance.randint(1, 30))) for _ in range(300)]
    texts = [*TEXTS, *random_texts, *(random_text(chance) for _ in range(100))]
    for catalog in catalogs:
        with catalog.begin() as transaction:
            add_cues(transaction, "/a.mp4", texts)
    words = sorted({word for text in texts for word in text.split() if len(word) < 1_900})
    queries: list[Sequence[Sequence[str]]] = [[[text]] for text in TEXTS]
    queries += [[[word]] for word in words] + [[[f"{word[:2]}*"]] for word in words]
    for _ in range(500):
        text = chance.choice(texts)
        start = chance.randint(0, len(text))
        part = text[start : start + chance.randint(1, 12)]
        others = [chance.choice(words), f"{chance.choice(words)}*", part, f"{part}*"]
        queries.append([chance.sample([part, *others], k=chance.randint(1, 3)) for _ in "ab"])
        queries.append([[part, chance.choice(words)]])
    found_count = 0
    for query in queries:
        expected, found = (find(catalog, query) for catalog in catalogs)
        assert found == expected, query
        found_count += bool(expected)
    assert found_count > len(queries) / 2


def test_the_index_follows_every_change(catalogs: Catalogs) -> None:
    def assert_same() -> None:
        chance = random.Random(1)
        for query in [*([[word]] for word in WORDS), *(random_phrases(chance) for _ in range(50))]:
            assert find(catalogs[0], query) == find(catalogs[1], query)
            assert sorted(find_named(catalogs[0], query[0])) == sorted(
                find_named(catalogs[1], query[0])
            )

    for catalog in catalogs:
        chance = random.Random(2)
        with catalog.begin() as transaction:
            first, second, third = (
                add_cues(transaction, f"/{word}/dog.mp4", [random_text(chance) for _ in range(40)])
                for word in ("beach", "café", "holiday")
            )
    assert_same()
    assert find(catalogs[1], [["dog"]])
    for catalog in catalogs:
        with catalog.begin() as transaction:
            cues = [Cue(Span(0, 1), "istanbul dog", "speech")]
            transaction.replace_cues(first, "speech", cues, source_name="a test")
            transaction.move_video(first, Path("/beach/cafe IMG.mp4"), 1, 1)
            transaction.remove_videos([second])
            new_id = add_video(transaction, "/new.mp4", fingerprint="new").id
            transaction.move_annotations(new_id, third)
    assert_same()
    for catalog in catalogs:
        with catalog.begin() as transaction:
            transaction.rebuild_fts()
        assert not [text for text in catalog.find_problems() if "full-text" in text]
    assert_same()
    assert find_named(catalogs[1], ["img"]) == [first]


def test_a_missing_row_of_the_index_is_reported_and_rebuilt(
    catalogs: Catalogs, postgresql_server: PostgresqlServer
) -> None:
    catalog = catalogs[1]
    with catalog.begin() as transaction:
        add_cues(transaction, "/a.mp4", ["dog", "cat"])
    [[database]] = catalog.read_rows("SELECT current_database()")
    postgresql_server.run_sql(database, "DELETE FROM cues_fts", "DELETE FROM names_fts")
    problems = " ".join(catalog.find_problems())
    assert "does not match the transcripts: run `vsearch rebuild`" in problems
    assert "does not match the names of the videos" in problems
    with catalog.begin() as transaction:
        transaction.rebuild_fts()
    assert "full-text" not in " ".join(catalog.find_problems())
    assert len(find(catalog, [["cat"]])) == 1
