from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from vsearch.errors import DatasetError
from vsearch.evaluation import public_datasets
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
from vsearch.evaluation.public_datasets import READERS_BY_FORMAT, read_published
from vsearch.types import Span

MSRVTT_1KA = "key,vid_key,video_id,sentence\n"
MSVD_CSV = "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\n"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "below").mkdir(parents=True)
    for name in ("a.mp4", "b.webm", "below/c.mkv", "notes.txt", "-x_y_3_10.avi"):
        (folder / name).touch()
    return folder


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def list_items(dataset: CaptionDataset) -> list[tuple[str, str, Span | None]]:
    return [(item.video_path.name, item.caption, item.span) for item in dataset.items]


def test_msrvtt_1ka_has_one_sentence_per_video(tmp_path: Path, videos: Path) -> None:
    rows = 'ret0,msr1,a,a dog\nret1,msr2,c,"a cat, asleep"\nret2,msr3,gone,snow\n'
    dataset = read_published("msrvtt-1ka", write(tmp_path / "test.csv", MSRVTT_1KA + rows), videos)
    assert dataset == CaptionDataset(
        "msrvtt-1ka",
        (
            CaptionItem(videos / "a.mp4", "a dog"),
            CaptionItem(videos / "below" / "c.mkv", "a cat, asleep"),
        ),
        (videos / "gone",),
        "1k-A test",
    )


def test_msrvtt_has_every_sentence_of_the_test_split(tmp_path: Path, videos: Path) -> None:
    content = {
        "videos": [
            {"video_id": "a", "split": "test", "start time": 1.0, "end time": 9.0},
            {"video_id": "b", "split": "train"},
        ],
        "sentences": [
            {"video_id": "a", "caption": "one", "sen_id": 0},
            {"video_id": "b", "caption": "two", "sen_id": 1},
            {"video_id": "a", "caption": "three", "sen_id": 2},
        ],
    }
    dataset = read_published("msrvtt", write(tmp_path / "MSRVTT_data.json", content), videos)
    assert list_items(dataset) == [("a.mp4", "one", None), ("a.mp4", "three", None)]


def test_msvd_text_and_csv_are_equivalent(tmp_path: Path, videos: Path) -> None:
    write(tmp_path / "test_list.txt", "-x_y_3_10\ngone_0_5\n")
    text = "# the corpus\n\n-x_y_3_10 a man  runs\r\nb_1_2 not in the split\ngone_0_5 snow\n"
    table = (
        "-x_y,3,10,1,clean,5,English,a man runs\n-x_y,3,10,1,clean,5,German,ein Mann\n"
        "-x_y,3,10,1,clean,5,English,\nb,1,2,1,clean,5,English,not in the split\n"
        "gone,0,5,1,clean,5,English,snow\n"
    )
    dataset = read_published("msvd", write(tmp_path / "AllVideoDescriptions.txt", text), videos)
    assert list_items(dataset) == [("-x_y_3_10.avi", "a man runs", None)]
    assert dataset.missing_paths == (videos / "gone_0_5",)
    assert dataset == read_published(
        "msvd", write(tmp_path / "video_corpus.csv", MSVD_CSV + table), videos
    )


def test_msvd_needs_its_split(tmp_path: Path, videos: Path) -> None:
    with pytest.raises(DatasetError, match=r"test_list\.txt: cannot be read"):
        read_published("msvd", write(tmp_path / "all.txt", "a_1_2 words"), videos)


def make_didemo(video_id: str, text: str, *times: list[int], segments: int = 6) -> dict[str, Any]:
    common = {"video": video_id, "description": text, "num_segments": segments}
    return {**common, "times": list(times), "annotation_id": 1, "dl_link": ""}


def test_didemo_keeps_the_moments_of_each_annotator(tmp_path: Path, videos: Path) -> None:
    rows = [
        make_didemo("a.mov", "a dog", [0, 0], [0, 1], [0, 0]),
        make_didemo("b", "rain", [4, 5], segments=5),
        make_didemo("b", "snow", [5, 5], segments=5),
    ]
    dataset = read_published("didemo", write(tmp_path / "test_data.json", rows), videos)
    assert list_items(dataset) == [
        ("a.mp4", "a dog", Span(0, 5)),
        ("a.mp4", "a dog", Span(0, 10)),
        ("b.webm", "rain", Span(20, 25)),
        ("b.webm", "snow", None),
    ]


def test_didemo_paragraphs_join_the_sentences_of_a_video(tmp_path: Path, videos: Path) -> None:
    rows = [make_didemo("a", "a dog.", [0, 0]), make_didemo("b", "rain.", [1, 1])]
    rows.append(make_didemo("a", " it runs.", [2, 3]))
    dataset = read_published("didemo-paragraphs", write(tmp_path / "test_data.json", rows), videos)
    assert list_items(dataset) == [("a.mp4", "a dog. it runs.", None), ("b.webm", "rain.", None)]


def test_didemo_paragraphs_are_limited_to_the_split_next_to_the_file(
    tmp_path: Path, videos: Path
) -> None:
    rows = [make_didemo("a.mov", "a dog.", [0, 0]), make_didemo("b", "rain.", [1, 1])]
    file = write(tmp_path / "test_data.json", rows)
    write(tmp_path / "test_list.txt", "a.mov\n")
    assert list_items(read_published("didemo-paragraphs", file, videos)) == [
        ("a.mp4", "a dog.", None)
    ]
    assert len(list_items(read_published("didemo", file, videos))) == 2


def test_activitynet_files_may_lack_the_id_prefix(tmp_path: Path, videos: Path) -> None:
    content = {"v_a": {"duration": 9, "timestamps": [[0, 3]], "sentences": ["Snow."]}}
    dataset = read_published("activitynet", write(tmp_path / "val_2.json", content), videos)
    assert list_items(dataset) == [("a.mp4", "Snow.", Span(0, 3))]
    assert dataset.split_name == "val_2.json"


ACTIVITYNET = {
    "a": {
        "duration": 20.5,
        "timestamps": [[0, 4.5], [4, 30], [9, 8], [0, 1]],
        "sentences": ["A man runs.", " He rests.", "He waves.", " "],
    },
    "gone": {"duration": 3, "timestamps": [[0, 3]], "sentences": ["Snow."]},
}


def test_activitynet_times_are_clipped_to_the_duration(tmp_path: Path, videos: Path) -> None:
    dataset = read_published("activitynet", write(tmp_path / "val_1.json", ACTIVITYNET), videos)
    assert list_items(dataset) == [
        ("a.mp4", "A man runs.", Span(0, 4.5)),
        ("a.mp4", "He rests.", Span(4, 20.5)),
        ("a.mp4", "He waves.", None),
    ]
    assert dataset.missing_paths == (videos / "gone",)


def test_activitynet_paragraphs_are_one_query_per_video(tmp_path: Path, videos: Path) -> None:
    file = write(tmp_path / "val_1.json", ACTIVITYNET)
    dataset = read_published("activitynet-paragraphs", file, videos)
    assert list_items(dataset) == [("a.mp4", "A man runs. He rests. He waves.", None)]


def test_charades_has_one_moment_per_line(tmp_path: Path, videos: Path) -> None:
    text = "a 24.3 30.4##person turn a light on.\nb 0.0 5##he says ## twice\n"
    dataset = read_published(
        "charades-sta", write(tmp_path / "charades_sta_test.txt", text), videos
    )
    assert list_items(dataset) == [
        ("a.mp4", "person turn a light on.", Span(24.3, 30.4)),
        ("b.webm", "he says ## twice", Span(0, 5)),
    ]


def test_qvhighlights_has_several_windows_or_none_in_the_test_file(
    tmp_path: Path, videos: Path
) -> None:
    (videos / "bP5KfdFJzC4_660.0_810.0.mp4").touch()
    row = {"qid": 1, "query": "a dog\u2028runs", "duration": 150, "vid": "bP5KfdFJzC4_660.0_810.0"}
    rows = [{**row, "relevant_windows": [[0, 16], [20, 30]]}, {**row, "query": "rain"}]
    text = "\n".join(json.dumps(record, ensure_ascii=False) for record in rows)
    file = write(tmp_path / "highlight_val_release.jsonl", text)
    assert list_items(read_published("qvhighlights", file, videos)) == [
        ("bP5KfdFJzC4_660.0_810.0.mp4", "a dog runs", Span(0, 16)),
        ("bP5KfdFJzC4_660.0_810.0.mp4", "a dog runs", Span(20, 30)),
        ("bP5KfdFJzC4_660.0_810.0.mp4", "rain", None),
    ]


def test_youcook2_has_the_validation_subset(tmp_path: Path, videos: Path) -> None:
    steps = [{"id": 0, "segment": [9, 30], "sentence": "cut the onion"}]
    common = {"duration": 28.5, "annotations": steps, "recipe_type": "113"}
    base = {"a": {**common, "subset": "validation"}, "b": {**common, "subset": "training"}}
    dataset = read_published("youcook2", write(tmp_path / "y.json", {"database": base}), videos)
    assert list_items(dataset) == [("a.mp4", "cut the onion", Span(9, 28.5))]


@pytest.mark.parametrize(
    "video_id",
    ["../../etc/passwd", "..", ".", "", "/etc/passwd", "..\\x", "C:x", "a\0", "a\n", "\ud800", 3],
)
def test_an_invalid_id_is_rejected(tmp_path: Path, videos: Path, video_id: Any) -> None:
    (tmp_path / "secret.mp4").touch()
    file = write(tmp_path / "test_data.json", [make_didemo(video_id, "x", [0, 0])])
    with pytest.raises(DatasetError, match=r"test_data\.json\[0\]: .* is not a valid video id"):
        read_published("didemo", file, videos)


def test_an_id_cannot_leave_the_folder(tmp_path: Path, videos: Path) -> None:
    (tmp_path / "secret.mp4").touch()
    for video_id in ("../secret", "secret"):
        file = write(tmp_path / "test.csv", f"{MSRVTT_1KA}r,m,{video_id},x\n")
        with pytest.raises(DatasetError):
            read_published("msrvtt-1ka", file, videos)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("msrvtt-1ka", "a,b\n1,2\n", ":2: missing video_id, sentence"),
        ("msrvtt-1ka", f"{MSRVTT_1KA}r,m,a,x\nr,m\n", ":3: missing"),
        ("msrvtt-1ka", f"{MSRVTT_1KA}r,m,a,{'x' * 200_000}\n", "invalid CSV"),
        ("msrvtt-1ka", "", "no captions in the format"),
        ("msrvtt", {"videos": []}, "missing videos, sentences"),
        ("msrvtt", {"videos": {}, "sentences": []}, "videos: expected a list"),
        (
            "msrvtt",
            {"videos": [{"video_id": [], "split": "test"}], "sentences": []},
            "not a valid video id",
        ),
        ("msrvtt", {"videos": [], "sentences": [[]]}, r"sentences\[0\]: missing video_id"),
        ("didemo", "{", "invalid JSON"),
        ("didemo", "[" * 100_000, "invalid JSON"),
        ("didemo", "9" * 5_000, "invalid JSON"),
        ("didemo", {}, "expected a list"),
        ("didemo", [make_didemo("a", "x", [0])], "a start and an end"),
        ("didemo", [{**make_didemo("a", "x"), "times": 3}], "expected a list"),
        (
            "didemo",
            [{**make_didemo("a", "x"), "num_segments": 10**400}],
            "expected a number",
        ),
        ("activitynet", [], "expected an object"),
        ("activitynet", {"a": {"duration": 3}}, ": 'a': missing duration, timestamps"),
        (
            "activitynet",
            {"a": {"duration": 3, "timestamps": [], "sentences": ["x"]}},
            ": 'a': the numbers of timestamps and sentences differ",
        ),
        (
            "activitynet",
            {"a": {"duration": 3, "timestamps": [[0, float("nan")]], "sentences": ["x"]}},
            ": 'a': expected a number",
        ),
        (
            "activitynet",
            {"a": {"duration": 3, "timestamps": [[0, 1]], "sentences": [3]}},
            ": 'a': expected text",
        ),
        ("charades-sta", "a 1 2##x\na 1##x", ":2: expected the form"),
        ("charades-sta", "a one 2##x", ":1: expected a number"),
        ("qvhighlights", '{"vid": "a", "query": "x", "duration": 3}\n{', ":2: invalid JSON"),
        ("qvhighlights", '{"vid": "a"}', ":1: missing vid, query, duration"),
        ("youcook2", {"data": {}}, "missing database"),
        (
            "youcook2",
            {"database": {"a": {"duration": 3, "subset": "validation", "annotations": [{}]}}},
            r"'a'\[0\]: missing segment, sentence",
        ),
        ("no-such", "", "unknown format 'no-such'; choose from msrvtt-1ka"),
    ],
)
def test_errors_name_the_invalid_record(
    tmp_path: Path, videos: Path, name: str, content: Any, message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        read_published(name, write(tmp_path / "file", content), videos)


@pytest.mark.parametrize("name", READERS_BY_FORMAT)
def test_every_reader_rejects_other_formats_and_bytes(
    tmp_path: Path, videos: Path, name: str
) -> None:
    write(tmp_path / "test_list.txt", "a")
    contents = ["", "null", "[null]", '{"a": null}', '{"database": {"a": [1]}}', "a", "\ud800"]
    for content in contents:
        (tmp_path / "file").write_bytes(content.encode("utf-8", "surrogatepass"))
        with pytest.raises(DatasetError):
            read_published(name, tmp_path / "file", videos)


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("pickled"),)


def test_a_pickle_is_not_opened(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "test_list.txt", "a")
    (tmp_path / "raw-captions.pkl").write_bytes(pickle.dumps({"a": Bomb()}))
    with pytest.raises(DatasetError, match="cannot be read"):
        read_published("msvd", tmp_path / "raw-captions.pkl", videos)
    assert not Path("pickled").exists()


def test_missing_and_oversized_files_are_rejected(
    tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nowhere", "pipe", "videos"):
        with pytest.raises(DatasetError, match="no such file"):
            read_published("didemo", tmp_path / name, videos)
    monkeypatch.setattr(public_datasets, "MAX_ANNOTATION_FILE_BYTES", 10)
    with pytest.raises(DatasetError, match="larger than 10 bytes"):
        read_published("didemo", write(tmp_path / "file", " " * 11), videos)


def test_a_dataset_without_videos_is_rejected(tmp_path: Path, videos: Path) -> None:
    file = write(tmp_path / "test.csv", f"{MSRVTT_1KA}r,m,gone,x\nr,m,notes,x\n")
    for folder in (videos, tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match="none of its videos is in"):
            read_published("msrvtt-1ka", file, folder)
