"""Published sets of captioned videos, read from the files that their authors ship.

Videos are looked up by id in a folder and what is below it: an id is a file's name without suffix.

msrvtt-1ka    MSRVTT_JSFUSION_test.csv: key, vid_key, video_id, sentence. Yu et al., A joint
              sequence fusion model, ECCV 2018; as in github.com/ArrowLuo/CLIP4Clip (msrvtt_data).
              Usual: 1,000 videos, one sentence each, text → video and back.
msrvtt        MSRVTT_data.json: videos [{video_id, split}], sentences [{video_id, caption}]. Xu et
              al., MSR-VTT, CVPR 2016. The split "test": 2,990 videos, 20 sentences each, every one
              of them a query.
msvd          AllVideoDescriptions.txt ("ID words" a line) or video_corpus.csv (VideoID, Start, End,
              Language, Description), and beside it test_list.txt, an id a line. Chen and Dolan, ACL
              2011, cs.utexas.edu/~ml/clamp/videoDescription; the split of Venugopalan et al. 2015
              as in CLIP4Clip (msvd_data). 670 videos, all English captions, every one a query. An
              id is VideoID_Start_End. raw-captions.pkl is not read: a pickle can run anything.
didemo        test_data.json: [{video, description, times, num_segments}]. Hendricks et al., ICCV
              2017, github.com/LisaAnne/LocalizingMoments. Times are first and last chunk of 5 s, by
              annotators; usual is Rank@1 and mIoU over the best three of four of them, where here
              the one that fits best counts.
didemo-paragraphs
              The same file; all sentences of a video are one query. The usual retrieval: those
              1,004 of the 1,037 videos that test_list.txt names, an id a line, where it lies beside
              the file (github.com/albanie/collaborative-experts, misc/datasets/didemo).
activitynet   val_1.json: {id: {duration, timestamps, sentences}}. Krishna et al., ICCV 2017,
              cs.stanford.edu/people/ranjaykrishna/densevid. Usual: R1@tIoU of moments in the video;
              val_2.json is other sentences on the same videos. Ids are v_…, file names often not.
activitynet-paragraphs
              The same file; all sentences of a video are one query (Zhang et al., ECCV 2018). The
              usual retrieval: 4,917 videos.
charades-sta  charades_sta_test.txt: "ID start end##sentence" a line. Gao et al., TALL, ICCV 2017,
              github.com/jiyanggao/TALL. Usual: R1@tIoU of moments in the video.
qvhighlights  highlight_val_release.jsonl: qid, query, duration, vid, relevant_windows. Lei et al.,
              NeurIPS 2021, github.com/jayleicn/moment_detr. Usual: R1@tIoU 0.5 and 0.7 by the best
              of several windows. The test file has no windows, and so no moments.
youcook2      youcookii_annotations_trainval.json: {database: {id: {duration, subset, annotations:
              [{segment, sentence}]}}}. Zhou et al., AAAI 2018, youcook2.eecs.umich.edu. The subset
              "validation". Usual retrieval is among clips that are cut out; here it is among whole
              videos, and moments in them.

Blank sentences are left out. Windows are cut to the length of the video where the file tells it; a
sentence whose windows are empty then counts for retrieval and not for moments.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeAlias

from vsearch.errors import DatasetError
from vsearch.evaluation.datasets import Dataset, Item
from vsearch.media.discovery import SUFFIXES, find_videos
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

LIMIT = 256 * 1024 * 1024  # bytes of a file; the largest of these, MSRVTT_data.json, has some 30 MB
CHUNK = 5.0  # seconds that DiDeMo's annotators chose by

_CHARADES = re.compile(r"(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said of a video, and the moments that it is right for, if they are known."""

    video: str  # id
    text: str  # may be blank
    spans: tuple[Span, ...] = ()


Reader: TypeAlias = "Callable[[Path], Iterable[Caption]]"
Row: TypeAlias = "tuple[str, dict[str, Any]]"  # where it stands, for messages; what it holds


def read(name: str, annotations: Path, videos: Path) -> Dataset:
    """Read a file in the format `name`, one of FORMATS, with the videos of a folder.

    A sentence with several right moments is several items of equal path and caption. Videos that
    are not there are told in `missing`. Raises DatasetError, with line or key where there is one,
    for what is not as it should be, and if no video is there.
    """
    if name not in FORMATS:
        raise DatasetError(f"{name}: is no known format; there are {', '.join(FORMATS)}")
    captions = [caption for caption in FORMATS[name](annotations) if caption.text]
    if not captions:
        raise DatasetError(f"{annotations}: holds no caption of {name}; check format and file")
    index = _by_stem(videos)
    paths = {caption.video: _path(caption.video, index) for caption in captions}
    items = tuple(item for caption in captions for item in _items(caption, paths[caption.video]))
    if not items:
        raise DatasetError(f"{annotations}: none of the videos that it names is in {videos}")
    missing = tuple(videos.absolute() / video for video, path in paths.items() if path is None)
    return Dataset(name, items, missing, SPLITS.get(name, annotations.name))


def _by_stem(videos: Path) -> dict[str, Path]:
    """Videos by their names without suffix; of several with one name the first."""
    found = [each.path for each in find_videos([videos]) if each.error is None]
    return {path.stem: path for path in reversed(found)}


def _path(video: str, index: Mapping[str, Path]) -> Path | None:
    """The file of an id, under one of the names that are usual for it.

    DiDeMo's ids have a suffix, which need not be that of the file; ActivityNet's begin with v_,
    which many of those who hand the videos on leave out.
    """
    bare = PurePath(video)
    names = [video, video.removeprefix("v_")]
    names += [bare.stem] if bare.suffix.lower() in SUFFIXES else []
    return next((index[name] for name in names if name in index), None)


def _items(caption: Caption, path: Path | None) -> Iterator[Item]:
    if path is not None:
        for span in caption.spans or (None,):
            yield Item(path, caption.text, span)


# One reader a format.


def _msrvtt_1ka(path: Path) -> Iterator[Caption]:
    for where, row in _csv(path, "video_id", "sentence"):
        yield _caption(where, row["video_id"], row["sentence"])


def _msrvtt(path: Path) -> Iterator[Caption]:
    data = _record(str(path), _json(path), "videos", "sentences")
    videos = _listed(f"{path}: videos", data["videos"], "video_id", "split")
    test = {_id(where, row["video_id"]) for where, row in videos if row["split"] == "test"}
    for where, row in _listed(f"{path}: sentences", data["sentences"], "video_id", "caption"):
        if _id(where, row["video_id"]) in test:
            yield _caption(where, row["video_id"], row["caption"])


def _msvd(path: Path) -> Iterator[Caption]:
    test = {line for _, line in _lines(path.with_name("test_list.txt"))}
    captions = _msvd_csv(path) if path.suffix.lower() == ".csv" else _msvd_text(path)
    return (caption for caption in captions if caption.video in test)


def _msvd_csv(path: Path) -> Iterator[Caption]:
    for where, row in _csv(path, "VideoID", "Start", "End", "Language", "Description"):
        if row["Language"] == "English":
            video = f"{row['VideoID']}_{row['Start']}_{row['End']}"
            yield _caption(where, video, row["Description"])


def _msvd_text(path: Path) -> Iterator[Caption]:
    for where, line in _lines(path):
        if line.startswith("#"):
            continue
        video, _, text = line.partition(" ")
        if not text:
            raise DatasetError(f"{where}: needs an id and a description")
        yield _caption(where, video, text)


def _didemo(path: Path) -> Iterator[Caption]:
    keys = ("video", "description", "times", "num_segments")
    for where, row in _listed(str(path), _json(path), *keys):
        chunks = [_pair(where, pair) for pair in _list(where, row["times"])]
        windows = [[first * CHUNK, (last + 1) * CHUNK] for first, last in chunks]
        length = CHUNK * _number(where, row["num_segments"])
        yield _caption(where, row["video"], row["description"], windows, length)


def _didemo_retrieval(path: Path) -> Iterator[Caption]:
    captions, split = _didemo(path), path.with_name("test_list.txt")
    if not split.exists():
        return captions
    test = {line for _, line in _lines(split)}
    return (caption for caption in captions if caption.video in test)


def _activitynet(path: Path) -> Iterator[Caption]:
    data = _json(path)
    for video, (where, row) in _keyed(path, data, "duration", "timestamps", "sentences"):
        sentences, windows = (_list(where, row[key]) for key in ("sentences", "timestamps"))
        if len(sentences) != len(windows):
            raise DatasetError(f"{where}: needs as many timestamps as sentences")
        length = _number(where, row["duration"])
        for sentence, window in zip(sentences, windows, strict=True):
            yield _caption(where, video, sentence, [window], length)


def _charades(path: Path) -> Iterator[Caption]:
    for where, line in _lines(path):
        found = _CHARADES.fullmatch(line)
        if not found:
            raise DatasetError(f"{where}: is not of the form ID start end##sentence")
        video, start, end, sentence = found.groups()
        yield _caption(where, video, sentence, [[start, end]])


def _qvhighlights(path: Path) -> Iterator[Caption]:
    for where, line in _lines(path):
        row = _record(where, _parsed(where, line), "vid", "query", "duration")
        windows, length = row.get("relevant_windows", []), _number(where, row["duration"])
        yield _caption(where, row["vid"], row["query"], windows, length)


def _youcook2(path: Path) -> Iterator[Caption]:
    data = _record(str(path), _json(path), "database")["database"]
    for video, (where, row) in _keyed(path, data, "duration", "subset", "annotations"):
        if row["subset"] != "validation":
            continue
        length = _number(where, row["duration"])
        for here, step in _listed(where, row["annotations"], "segment", "sentence"):
            yield _caption(here, video, step["sentence"], [step["segment"]], length)


def _paragraphs(captions: Iterable[Caption]) -> Iterator[Caption]:
    """All that is said of a video, in the order of the file, as one caption of the whole."""
    said: dict[str, list[str]] = {}
    for caption in captions:
        said.setdefault(caption.video, []).append(caption.text)
    for video, texts in said.items():
        yield Caption(video, " ".join(filter(None, texts)))


FORMATS: dict[str, Reader] = {
    "msrvtt-1ka": _msrvtt_1ka,
    "msrvtt": _msrvtt,
    "msvd": _msvd,
    "didemo": _didemo,
    "didemo-paragraphs": lambda path: _paragraphs(_didemo_retrieval(path)),
    "activitynet": _activitynet,
    "activitynet-paragraphs": lambda path: _paragraphs(_activitynet(path)),
    "charades-sta": _charades,
    "qvhighlights": _qvhighlights,
    "youcook2": _youcook2,
}
# What is measured; in the other formats the file itself is the split.
SPLITS = {"msrvtt-1ka": "1k-A test", "msrvtt": "test", "msvd": "test", "youcook2": "validation"}


# Files and what they hold, checked.


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise OSError("there is no such file")
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
        if len(content) > LIMIT:
            raise OSError(f"more than {LIMIT} bytes")
        return content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Where each line stands, and what it says; blank ones are passed over."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line.strip()


def _csv(path: Path, *keys: str) -> Iterator[Row]:
    rows = csv.DictReader(io.StringIO(_text(path), newline=""))
    try:
        for row in rows:
            where = f"{path}:{rows.line_num}"
            yield where, _record(where, row, *keys)
    except csv.Error as error:
        raise DatasetError(f"{path}:{rows.line_num}: is no line of CSV ({error})") from error


def _json(path: Path) -> Any:
    return _parsed(str(path), _text(path))


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: is no JSON ({error})") from error


def _keyed(path: Path, rows: Any, *keys: str) -> Iterator[tuple[str, Row]]:
    """Records by id."""
    if not isinstance(rows, dict):
        raise DatasetError(f"{path}: needs an object with a record for every video")
    for video, row in rows.items():
        where = f"{path}: {video!r:.80}"
        yield video, (where, _record(where, row, *keys))


def _listed(where: str, rows: Any, *keys: str) -> Iterator[Row]:
    for number, row in enumerate(_list(where, rows)):
        yield f"{where}[{number}]", _record(f"{where}[{number}]", row, *keys)


def _record(where: str, row: Any, *keys: str) -> dict[str, Any]:
    if not isinstance(row, dict) or any(row.get(key) is None for key in keys):
        raise DatasetError(f"{where}: needs {', '.join(keys)}")
    return row


def _list(where: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise DatasetError(f"{where}: needs a list, not {value!r:.80}")
    return value


def _caption(
    where: str, video: Any, text: Any, windows: Any = None, length: float = math.inf
) -> Caption:
    if not isinstance(text, str):
        raise DatasetError(f"{where}: needs words, not {text!r:.80}")
    words = " ".join(
        text.encode("utf-8", "replace").decode().split()
    )  # half a surrogate is no text
    return Caption(_id(where, video), words, _spans(where, windows, length))


def _id(where: str, video: Any) -> str:
    """An id names a file, on any system, and never a folder."""
    if (
        not isinstance(video, str)
        or not video.isprintable()
        or video in ("", "..")
        or PureWindowsPath(video).name != video
    ):
        raise DatasetError(f"{where}: {video!r:.80} is no video id")
    return video


def _spans(where: str, windows: Any, length: float) -> tuple[Span, ...]:
    """Windows within the length of the video, each once; those that are empty then are dropped."""
    spans = []
    for window in _list(where, [] if windows is None else windows):
        start, end = _pair(where, window)
        start, end = max(start, 0.0), min(end, length)
        if start < end:
            spans.append(Span(start, end))
    return tuple(dict.fromkeys(spans))


def _pair(where: str, window: Any) -> tuple[float, float]:
    if not isinstance(window, list) or len(window) != 2:
        raise DatasetError(f"{where}: needs a start and an end, not {window!r:.80}")
    return _number(where, window[0]), _number(where, window[1])


def _number(where: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{where}: needs a number, not {value!r:.80}")
    return number
