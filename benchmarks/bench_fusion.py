"""Compare fused ranking of images and transcripts with either alone and reciprocal rank fusion.

    python -m benchmarks.bench_fusion CLIPS [--library INDEXED]

Every clip of CLIPS (with `clips.jsonl` next to the folder: path and caption) gets a random
transcript: two sentences of everyday talk, and half of the caption of another clip. The queries are
the captions, parts of which are spoken in the wrong clip; the sentences, which no image shows; two
or three words of them; and a caption with a sentence as `said:`. A transcript is never relevant to
a caption, so what captions lose is the price of searching both.
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
I left my keys on the kitchen table again|You should have told me about the meeting yesterday
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
Our neighbours are selling their house|He broke his arm when he was nine
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
My favourite season is autumn|She refused to answer the question
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
    parser.add_argument("--gain", type=float, default=fusion.TEXT_BOOST)
    parser.add_argument("--sharpness", type=float, default=fusion.TEXT_SCORE_EXPONENT)
    arguments = parser.parse_args()
    fusion.TEXT_BOOST, fusion.TEXT_SCORE_EXPONENT = arguments.gain, arguments.sharpness
    with tempfile.TemporaryDirectory() as folder:
        if arguments.library:
            shutil.copytree(arguments.library, folder, dirs_exist_ok=True)
        with Library.open(folder) as library:
            list(library.index([arguments.clips]))
            measure_rankings(library, arguments.clips, random.Random(arguments.seed))


def measure_rankings(library: Library, clips_folder: Path, rng: random.Random) -> None:
    lines = clips_folder.with_name("clips.jsonl").read_text("utf-8").splitlines()
    captions = {Path(one["path"]).name: one["caption"] for one in map(json.loads, lines)}
    videos = {video.path.name: video for video in library.videos()}
    said: list[tuple[str, Video]] = []
    bank = [sentence for sentence in SPOKEN_SENTENCES if sentence]
    rng.shuffle(bank)
    with_words: dict[str, list[Cue]] = {}
    for number, (name, video) in enumerate(sorted(videos.items())):
        own = [bank[(2 * number + i) % len(bank)] for i in range(2)]
        begins = sorted(rng.uniform(0, max(0.1, video.duration - 3)) for _ in own)
        with_words[name] = [
            Cue(Span(at, at + 2.5), text, "speech") for at, text in zip(begins, own, strict=True)
        ]
        said += [(text, video) for text in own]
        other = captions[rng.choice([each for each in captions if each != name])].split()
        half = rng.randrange(len(other) - len(other) // 2)
        stray = " ".join(other[half : half + len(other) // 2])
        with_words[name].append(Cue(Span(0, min(2.0, video.duration)), stray, "speech"))
    answers: dict[str, list[tuple[Query, set[int]]]] = {name: [] for name in QUERY_KINDS}
    for name, caption in captions.items():
        if name not in videos:
            continue
        right = {videos[name].id}
        answers["captions"].append((Query((Term("text", caption),)), right))
        spoken = Term("said", rng.choice(with_words[name][:2]).text)
        answers["caption said:sentence"].append((Query((Term("text", caption), spoken)), right))
    for text in sorted({text for text, _ in said}):
        right = {video.id for other, video in said if other == text}
        few = [word for word in text.lower().replace(",", "").split() if word not in STOP_WORDS]
        answers["sentences"].append((Query((Term("text", text),)), right))
        words = " ".join(rng.sample(few, min(len(few), rng.choice((2, 3)))))
        answers["a few words"].append((Query((Term("text", words),)), right))
    pictures = {name: rank_videos(library, asked) for name, asked in answers.items()}
    with library._catalog.begin() as change:
        for name, cues in with_words.items():
            change.replace_cues(videos[name].id, "speech", cues, source_name="drawn at random")
    list(library.index([clips_folder]))  # reads what the words mean
    both = {name: rank_videos(library, asked) for name, asked in answers.items()}
    heard = {
        name: rank_videos(library, [(keep_speech_terms(query), right) for query, right in asked])
        for name, asked in answers.items()
    }
    print(f"{len(videos)} clips, {len(said)} sentences\n")
    print_row("R@1 / MRR", *QUERY_KINDS)
    print_row(
        "pictures alone", *(format_metrics(pictures[name], answers[name]) for name in QUERY_KINDS)
    )
    print_row("words alone", *(format_metrics(heard[name], answers[name]) for name in QUERY_KINDS))
    joined = {
        name: list(map(fuse_reciprocal_ranks, pictures[name], heard[name])) for name in QUERY_KINDS
    }
    print_row(
        "reciprocal ranks", *(format_metrics(joined[name], answers[name]) for name in QUERY_KINDS)
    )
    print_row("vsearch", *(format_metrics(both[name], answers[name]) for name in QUERY_KINDS))


def keep_speech_terms(query: Query) -> Query:
    return Query(tuple(Term("said", term.value) for term in query.terms[-1:]))


def rank_videos(
    library: Library, judged_queries: Sequence[tuple[Query, set[int]]]
) -> list[list[int]]:
    """Rank the videos for each query, best first."""
    found = []
    for query, _ in judged_queries:
        moments = library.search(query, k=30, per_video=1, include_duplicates=True)
        found.append([moment.video.id for moment in moments])
    return found


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
        next((rank for rank, video in enumerate(videos, 1) if video in right), None)
        for videos, (_, right) in zip(rankings, judged_queries, strict=True)
    ]
    first = 100 * sum(rank == 1 for rank in ranks) / len(ranks)
    mrr = 100 * sum(1 / rank for rank in ranks if rank) / len(ranks)
    return f"{first:.1f} / {mrr:.1f}"


def print_row(row_name: str, *cells: str) -> None:
    print(f"{row_name:18}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
