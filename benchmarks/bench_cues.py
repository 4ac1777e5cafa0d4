"""Measure recall of paraphrases in transcript search, and its latency with a million cues.

    python -m benchmarks.bench_cues [CUES]

The first part uses 60 handwritten pairs of a query and a paraphrase, among 300 unrelated lines.
"found" is a paraphrase that `said:` returns, "first" one that it ranks first; "false" counts
unrelated lines that it returns. The threshold was chosen with the first 40 pairs in view; the other
20 were written afterwards.

The second part searches the text of a library of CUES (1,000,000) lines, whose words are sampled by
their frequency in English. Times are CPU times of one core.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.support.spoken_words import make_transcript_catalog
from vsearch.catalog.catalog import Catalog
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.search.cue_embedding import embed_cues
from vsearch.search.semantic_cues import SemanticCueIndex
from vsearch.search.text import OCR_SOURCES, SPEECH_SOURCES, TranscriptSearch

if TYPE_CHECKING:
    from vsearch.search.text import TranscriptHit

PARAPHRASE_PAIRS = (
    ("thanks a lot", "thank you so much"),
    ("see you tomorrow", "we will meet again the next day"),
    ("I am hungry", "I could really eat something now"),
    ("the car broke down", "our vehicle stopped working on the road"),
    ("happy birthday", "all the best on your special day"),
    ("call the police", "somebody get the cops"),
    ("how much does it cost", "what is the price of this"),
    ("I lost my keys", "my keys are gone and I cannot find them"),
    ("it is raining outside", "it's pouring out there"),
    ("turn down the volume", "make the music quieter please"),
    ("the doctor will see you", "the physician is ready for you"),
    ("he died last year", "he passed away twelve months ago"),
    ("we won the game", "our team beat them in the match"),
    ("I love you", "you mean everything to me"),
    ("be quiet", "stop talking and hush"),
    ("she is pregnant", "she is expecting a baby"),
    ("open the window", "let some fresh air into the room"),
    ("the plane is late", "our flight has been delayed"),
    ("I quit my job", "I have handed in my resignation at work"),
    ("that is very expensive", "this costs a fortune"),
    ("the baby is crying", "the infant won't stop weeping"),
    ("good luck on your exam", "I hope you do well on the test"),
    ("can you help me", "could you give me a hand"),
    ("I am tired", "I'm exhausted and need some sleep"),
    ("the kitchen is on fire", "flames are coming out of the stove"),
    ("let's eat dinner", "it's time for our evening meal"),
    ("the dog ran away", "our puppy escaped from the yard"),
    ("the train leaves soon", "the railway departs in a few minutes"),
    ("who is at the door", "someone just knocked, go and look"),
    ("he broke his leg", "he fractured a bone below his knee"),
    ("the economy is growing", "gross domestic product went up this quarter"),
    ("school starts on Monday", "classes begin at the start of the week"),
    ("they got married", "they had their wedding"),
    ("the movie was boring", "that film was so dull I fell asleep"),
    ("my phone battery is dead", "my mobile ran out of power"),
    ("where is the bathroom", "can you tell me how to get to the toilet"),
    ("the water is too cold to swim", "the lake is freezing, I won't go in"),
    ("save money for retirement", "put something aside for when you are old"),
    ("plant the seeds in spring", "sow them in the garden when winter is over"),
    ("the patient needs surgery", "we have to operate on her"),
)
LATER_PAIRS = (
    ("I forgot my wallet", "I left my purse at home"),
    ("the meeting is cancelled", "we are not going to have that conference after all"),
    ("he is a good cook", "the food he makes is always delicious"),
    ("I have a headache", "my head hurts"),
    ("close your eyes", "don't look"),
    ("we are out of milk", "there is no milk left in the fridge"),
    ("the children are asleep", "the kids have gone to bed"),
    ("sorry for being late", "I apologize that I did not come on time"),
    ("she is my sister", "we have the same parents, she and I"),
    ("the computer crashed", "my laptop just froze and shut down"),
    ("how old are you", "what is your age"),
    ("I don't believe you", "you must be lying"),
    ("it was very funny", "we laughed until we cried"),
    ("the bridge collapsed", "the whole crossing fell into the river"),
    ("let's go for a walk", "shall we stroll in the park for a while"),
    ("the soldiers are coming", "troops are marching towards us"),
    ("I can't hear you", "speak up, please"),
    ("we are lost", "I have no idea where we are"),
    ("he drinks too much", "he has a problem with alcohol"),
    ("prices are rising", "everything gets more expensive"),
)
SUBJECTS = ("my neighbor", "the teacher", "our captain", "that lady", "his cousin")
UNRELATED_PHRASES = (
    "painted the fence green last weekend",
    "bought three tickets for the opera",
    "likes to collect old stamps",
    "walked along the river this morning",
    "knows a lot about astronomy",
    "is reading a long novel about whales",
    "carried the boxes up the stairs",
    "speaks four languages",
    "has forgotten the password again",
    "wrote a letter to the mayor",
    "grows tomatoes on the balcony",
    "fixed the bicycle with a piece of wire",
    "made a joke that puzzled the audience",
    "sold the piano to a museum",
    "measured the room twice",
    "found a coin under the carpet",
    "is learning to play chess",
    "took a picture of the old bridge",
    "counted the sheep on the hill",
    "ironed seven shirts before noon",
    "built a model of a ship",
    "ordered a coffee without sugar",
    "missed the last episode",
    "voted for the other candidate",
    "dreams of living on an island",
    "dropped the vase on the floor",
    "repaired the roof after the storm",
    "drew a map of the village",
    "explained how the engine works",
    "put the books back on the shelf",
    "ran the marathon in four hours",
    "cut the paper into small squares",
    "waited an hour in the queue",
    "signed the contract yesterday",
    "asked a question about history",
    "planted a tree by the gate",
    "washed the dishes in silence",
    "heard a strange noise in the attic",
    "lent the ladder to a friend",
    "moved to another city for work",
    "turned left at the second light",
    "baked bread for the whole street",
    "watches birds through a telescope",
    "folded the map the wrong way",
    "parked behind the library",
    "tuned the guitar before the concert",
    "translated the poem into Greek",
    "opened a shop for used records",
    "climbed the tower to see the sunset",
    "studied law for six years",
    "caught a fish as long as an arm",
    "changed the tyre in the rain",
    "sat on the bench and fed the pigeons",
    "switched to another channel",
    "printed the report in color",
    "borrowed an umbrella from the hotel",
    "solved the puzzle in a minute",
    "whistled an old tune on the way home",
    "photographed the comet from the roof",
    "tasted the soup and added salt",
)
COMMON_WORDS = (
    "the you and i to a it is that of what in me this we on no do my not have your for be was he "
    "so all like get know just here are about right can she there out up got oh if now good how go "
    "come her him they see want think one look time would back"
)
VOCABULARY_WORDS, CUES_PER_FILM = 60_000, 1_000


def main(cue_count: int = 1_000_000) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as folder:
        measure_paraphrases(Path(folder))
        measure_latency(Path(folder) / "many.sqlite3", cue_count)


def measure_paraphrases(folder: Path) -> None:
    """Measure recall of keyword and semantic search."""
    lines = [paraphrase for _, paraphrase in PARAPHRASE_PAIRS + LATER_PAIRS] + [
        f"{subject} {phrase}" for phrase in UNRELATED_PHRASES for subject in SUBJECTS
    ]
    encoder = BuiltinEncoder()
    with make_transcript_catalog(folder, lines, cue_interval=60, space=encoder.space) as catalog:
        start_time = time.process_time()
        embed_cues(catalog, lambda: encoder)
        line_seconds = (time.process_time() - start_time) / len(lines)
        print(f"{len(lines)} lines encoded in {1000 * line_seconds:.1f} ms each\n")
        print("                    found   first   false per query queries with false")
        for name, semantic_index in (
            ("keyword", None),
            ("and semantic", SemanticCueIndex(catalog, lambda: encoder)),
        ):
            for part, pairs in (("tuning", PARAPHRASE_PAIRS), ("test", LATER_PAIRS)):
                query_hits = [
                    TranscriptSearch(catalog, semantic_index).search(query) for query, _ in pairs
                ]
                _print_row(f"{name}, {part}", query_hits, [paraphrase for _, paraphrase in pairs])


def _print_row(name: str, query_hits: list[list[TranscriptHit]], expected_lines: list[str]) -> None:
    texts = [[hit.quote.text for hit in hit_texts] for hit_texts in query_hits]
    found = [
        expected in hit_texts for hit_texts, expected in zip(texts, expected_lines, strict=True)
    ]
    first = [
        hit_texts[:1] == [expected]
        for hit_texts, expected in zip(texts, expected_lines, strict=True)
    ]
    false = [
        len(set(hit_texts) - {expected})
        for hit_texts, expected in zip(texts, expected_lines, strict=True)
    ]
    print(
        f"{name:<22}{np.mean(found):5.0%}{np.mean(first):8.0%}{np.mean(false):16.2f}"
        f"{np.mean(np.array(false) > 0):21.0%}"
    )


def measure_latency(catalog_path: Path, cue_count: int) -> None:
    """Measure milliseconds per search, by kind of query."""
    vocabulary = [*COMMON_WORDS.split(), *(f"w{number:05}" for number in range(VOCABULARY_WORDS))][
        :VOCABULARY_WORDS
    ]
    shares = list(accumulate(1 / (rank + 2) for rank in range(VOCABULARY_WORDS)))
    _fill_catalog(catalog_path, cue_count, vocabulary, shares)
    draw = random.Random(1)
    query_texts = [
        "the",
        "the you and to",
        "want you to come back",
        "good time",
        "look here w00100",
    ]
    query_texts += [
        " ".join(draw.choices(vocabulary, cum_weights=shares, k=draw.randint(1, 6)))
        for _ in range(60)
    ]
    print(f"\n{cue_count} cues            p50    p95    max  (ms)")
    with Catalog.open(catalog_path) as catalog:
        transcript_search = TranscriptSearch(catalog)
        transcript_search.search("warm up")
        for name, exact, sources in (
            ("everywhere", False, SPEECH_SOURCES | OCR_SOURCES),
            ("in quotes", True, SPEECH_SOURCES | OCR_SOURCES),
            ("on-screen text", False, OCR_SOURCES),
        ):
            milliseconds = []
            for text in query_texts:
                start_time = time.process_time()
                transcript_search.search(text, exact_phrase=exact, cue_sources=sources)
                milliseconds.append(1000 * (time.process_time() - start_time))
            p50, p95, maximum = np.percentile(milliseconds, [50, 95, 100])
            print(f"{name:<18}{p50:9.0f}{p95:7.0f}{maximum:7.0f}")


def _fill_catalog(
    catalog_path: Path, cue_count: int, words: list[str], cumulative_shares: list[float]
) -> None:
    Catalog.open(catalog_path, create=True).close()
    rng = random.Random(0)
    connection = sqlite3.connect(catalog_path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    for video in range(1, cue_count // CUES_PER_FILM + 1):
        connection.execute(
            "INSERT INTO videos (id, path, fingerprint, size_bytes, mtime_ns, duration, fps, "
            "width, height, codec, sampled_frames, sample_fps, indexed_at, keyframes_only) "
            "VALUES (?, ?, '', 1, 1, 6000, 25, 10, 10, '', 6000, 1, '2026-01-01 00:00:00', 0)",
            (video, f"/films/{video}.mp4"),
        )
        source = "ocr" if video % 10 == 0 else "speech"
        connection.execute(
            "INSERT INTO transcripts (video_id, source, source_name, created_at) "
            "VALUES (?, ?, '', '2026-01-01 00:00:00')",
            (video, source),
        )
        rows = (
            (video, source, 6.0 * at, 6.0 * at + 4,
             " ".join(rng.choices(words, cum_weights=cumulative_shares, k=rng.randint(3, 12))))
            for at in range(CUES_PER_FILM)
        )  # fmt: skip
        connection.executemany(
            'INSERT INTO cues (video_id, source, start, "end", text) VALUES (?, ?, ?, ?, ?)', rows
        )
    connection.execute("COMMIT")
    connection.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
