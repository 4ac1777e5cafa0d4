"""Compare fused ranking of images and transcripts with either alone and reciprocal rank fusion.

    python -m benchmarks.bench_fusion CLIPS [--library INDEXED]

CLIPS holds `clips.jsonl` with a path and a caption per line. Every clip gets a random transcript:
two sentences of everyday talk, and half of the caption of another clip. The queries are the
captions, parts of which are spoken in the wrong clip; the sentences, which no image shows; two or
three words of them; and a caption with a sentence as `said:`. A transcript is never relevant to a
caption, so a loss of the caption queries is the price of searching both.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch import Library
from vsearch.query.model import Query, Term
from vsearch.search import fusion
from vsearch.types import Cue, Span, Video

if TYPE_CHECKING:
    from collections.abc import Sequence

RRF_CONSTANT = 60  # of reciprocal rank fusion (Cormack et al. 2009)
SPOKEN_SENTENCES = """
I left my keys on the kitchen table again|You should have informed me about the meeting yesterday
We are going to be late for the train|Nobody knows what happened to the money
My grandmother used to live in this village|The doctor said it is nothing serious
Turn the volume down, the baby is asleep|I have never been so proud of you
He promised to call back before dinner|That restaurant closed about two years ago
Can you lend me twenty dollars until Friday|The results of the election surprised everybody
She studied chemistry at the university|Welcome back to another episode of our show
Please subscribe and leave a comment below|Today we are talking about interest rates
The company lost half of its customers|It was raining the whole time we were there
I think the password is written on the back|They got married in a small church
Let me explain how this machine works|The second chapter is much harder to read
You will need a sharp knife and some patience|Add a pinch of salt and stir it slowly
The flight has been delayed by three hours|I forgot to water the plants
Our neighbors are selling their house|He broke his arm when he was nine
That was the best concert of my life|Do not touch the red button
We ran out of milk this morning|The witness could not remember his face
There is a shortcut behind the library|The teacher gave us far too much homework
I would rather walk than take the bus|Somebody stole my bicycle last night
The museum is free on Sundays|We have to talk about your grades
The battery lasts for about ten hours|Press and hold the power switch
I do not believe a single word of it|The first prize is a holiday in Spain
My brother is allergic to peanuts|He speaks four languages fluently
The bridge was built in the nineteenth century|She has been working there since April
We should invite your parents for lunch|The judge dismissed the case
They discovered a new kind of bacteria|It costs less than a cup of coffee
The lake freezes over every winter|I need a signature on this form
He scored in the very last minute|Our guest tonight is a famous writer
The recipe comes from my aunt|There were no survivors of the crash
I will send you the invoice tomorrow|The battle lasted for six days
You have to restart the computer first|The price of oil went up again
My favorite season is autumn|She refused to answer the question
The package arrived without a label|We met at a conference in Lisbon
The soup is still too hot|He was fired for stealing from his boss
I dreamed about my old school|The exam starts at nine in the morning
They are planning to build a tunnel|The vaccine was tested for a year
Give my regards to your sister|The king had no children
We could hear the thunder far away|I have an appointment with the dentist
The warranty expires next month|Someone must have made a mistake
The orchestra rehearses on Wednesdays|Her novel was translated into twenty languages
I ordered the blue one by accident|The pipes froze and the cellar was flooded
We drove through the desert all night|The strike is now in its third week
Thank you all so much for coming|The treaty was signed in Vienna
""".replace("\n", "|").split("|")  # fmt: skip
STOP_WORDS = {
    "i",
    "you",
    "we",
    "he",
    "she",
    "it",
    "the",
    "a",
    "an",
    "of",
    "to",
    "in",
    "on",
    "for",
    "and",
    "my",
    "your",
    "our",
    "is",
    "are",
    "was",
    "were",
}
QUERY_KINDS = ("captions", "sentences", "a few words", "caption said:sentence")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--library", type=Path, help="library in which the clips are indexed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text-boost", type=float, default=fusion.TEXT_BOOST)
    parser.add_argument("--text-exponent", type=float, default=fusion.TEXT_SCORE_EXPONENT)
    arguments = parser.parse_args()
    fusion.TEXT_BOOST, fusion.TEXT_SCORE_EXPONENT = arguments.text_boost, arguments.text_exponent
    with tempfile.TemporaryDirectory() as folder:
        if arguments.library:
            shutil.copytree(arguments.library, folder, dirs_exist_ok=True)
        with Library.open(folder) as library:
            list(library.index(read_captions(arguments.clips)))
            measure_rankings(library, arguments.clips, random.Random(arguments.seed))


def read_captions(clips_folder: Path) -> dict[Path, str]:
    """Return the caption of each clip in `clips.jsonl`."""
    lines = (clips_folder / "clips.jsonl").read_text("utf-8").splitlines()
    return {clips_folder / row["path"]: row["caption"] for row in map(json.loads, lines)}


def measure_rankings(library: Library, clips_folder: Path, rng: random.Random) -> None:
    captions = {path.name: caption for path, caption in read_captions(clips_folder).items()}
    videos = {video.path.name: video for video in library.videos()}
    spoken_sentences: list[tuple[str, Video]] = []
    bank = [sentence for sentence in SPOKEN_SENTENCES if sentence]
    rng.shuffle(bank)
    cues_by_clip: dict[str, list[Cue]] = {}
    for number, (name, video) in enumerate(sorted(videos.items())):
        sentences = [bank[(2 * number + i) % len(bank)] for i in range(2)]
        start_times = sorted(rng.uniform(0, max(0.1, video.duration - 3)) for _ in sentences)
        cues_by_clip[name] = [
            Cue(Span(at, at + 2.5), text, "speech")
            for at, text in zip(start_times, sentences, strict=True)
        ]
        spoken_sentences += [(text, video) for text in sentences]
        other_words = captions[rng.choice([clip for clip in captions if clip != name])].split()
        start = rng.randrange(len(other_words) - len(other_words) // 2)
        misleading_text = " ".join(other_words[start : start + len(other_words) // 2])
        cues_by_clip[name].append(Cue(Span(0, min(2.0, video.duration)), misleading_text, "speech"))
    queries_by_kind: dict[str, list[tuple[Query, set[int]]]] = {name: [] for name in QUERY_KINDS}
    for name, caption in captions.items():
        if name not in videos:
            continue
        relevant_ids = {videos[name].id}
        queries_by_kind["captions"].append((Query((Term("text", caption),)), relevant_ids))
        speech_term = Term("said", rng.choice(cues_by_clip[name][:2]).text)
        queries_by_kind["caption said:sentence"].append(
            (Query((Term("text", caption), speech_term)), relevant_ids)
        )
    for text in sorted({text for text, _ in spoken_sentences}):
        relevant_ids = {video.id for other, video in spoken_sentences if other == text}
        content_words = [
            word for word in text.lower().replace(",", "").split() if word not in STOP_WORDS
        ]
        queries_by_kind["sentences"].append((Query((Term("text", text),)), relevant_ids))
        words = " ".join(rng.sample(content_words, min(len(content_words), rng.choice((2, 3)))))
        queries_by_kind["a few words"].append((Query((Term("text", words),)), relevant_ids))
    visual_rankings = {
        name: rank_videos(library, queries) for name, queries in queries_by_kind.items()
    }
    with library._catalog.begin() as change:
        for name, cues in cues_by_clip.items():
            change.replace_cues(videos[name].id, "speech", cues, source_name="drawn at random")
    list(library.index(read_captions(clips_folder)))  # encodes the new cues
    fused_rankings = {
        name: rank_videos(library, queries) for name, queries in queries_by_kind.items()
    }
    speech_rankings = {
        name: rank_videos(
            library, [(keep_speech_terms(query), relevant) for query, relevant in queries]
        )
        for name, queries in queries_by_kind.items()
    }
    print(f"{len(videos)} clips, {len(spoken_sentences)} sentences\n")
    print_row("R@1 / MRR", *QUERY_KINDS)
    print_row(
        "visual only",
        *(format_metrics(visual_rankings[name], queries_by_kind[name]) for name in QUERY_KINDS),
    )
    print_row(
        "speech only",
        *(format_metrics(speech_rankings[name], queries_by_kind[name]) for name in QUERY_KINDS),
    )
    reciprocal_rankings = {
        name: list(map(fuse_reciprocal_ranks, visual_rankings[name], speech_rankings[name]))
        for name in QUERY_KINDS
    }
    print_row(
        "reciprocal ranks",
        *(format_metrics(reciprocal_rankings[name], queries_by_kind[name]) for name in QUERY_KINDS),
    )
    print_row(
        "vsearch",
        *(format_metrics(fused_rankings[name], queries_by_kind[name]) for name in QUERY_KINDS),
    )


def keep_speech_terms(query: Query) -> Query:
    return Query(tuple(Term("said", term.value) for term in query.terms[-1:]))


def rank_videos(
    library: Library, judged_queries: Sequence[tuple[Query, set[int]]]
) -> list[list[int]]:
    """Rank the videos for each query, best first."""
    rankings = []
    for query, _ in judged_queries:
        moments = library.search(query, k=30, per_video=1, include_duplicates=True)
        rankings.append([moment.video.id for moment in moments])
    return rankings


def fuse_reciprocal_ranks(first_ranking: Sequence[int], second_ranking: Sequence[int]) -> list[int]:
    score: dict[int, float] = {}
    for ranks in (first_ranking, second_ranking):
        for rank, video in enumerate(ranks, 1):
            score[video] = score.get(video, 0.0) + 1 / (RRF_CONSTANT + rank)
    return sorted(score, key=lambda video: -score[video])


def format_metrics(
    rankings: Sequence[Sequence[int]], judged_queries: Sequence[tuple[Query, set[int]]]
) -> str:
    ranks = [
        next((rank for rank, video in enumerate(videos, 1) if video in relevant_ids), None)
        for videos, (_, relevant_ids) in zip(rankings, judged_queries, strict=True)
    ]
    first_percent = 100 * sum(rank == 1 for rank in ranks) / len(ranks)
    mrr = 100 * sum(1 / rank for rank in ranks if rank) / len(ranks)
    return f"{first_percent:.1f} / {mrr:.1f}"


def print_row(row_name: str, *cells: str) -> None:
    print(f"{row_name:18}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
