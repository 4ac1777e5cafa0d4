"""Readers of public video-text datasets, in the file formats of their authors.

Videos are found by id in a folder and its subfolders; an id is a file name without suffix.

msrvtt-1ka    MSRVTT_JSFUSION_test.csv: key, vid_key, video_id, sentence. Yu et al., A joint
              sequence fusion model, ECCV 2018; as in github.com/ArrowLuo/CLIP4Clip (msrvtt_data).
              Standard protocol: 1,000 videos, one sentence each, text → video and back.
msrvtt        MSRVTT_data.json: videos [{video_id, split}], sentences [{video_id, caption}]. Xu et
              al., MSR-VTT, CVPR 2016. The split "test" is read: 2,990 videos, 20 sentences
              each, each a query.
msvd          AllVideoDescriptions.txt ("ID words" per line) or video_corpus.csv (VideoID, Start,
              End, Language, Description), and next to it test_list.txt, one id per line. Chen and
              Dolan, ACL 2011, cs.utexas.edu/~ml/clamp/videoDescription; the split of Venugopalan
              et al. 2015 as in CLIP4Clip (msvd_data). 670 videos, all English captions, each a
              query. An id is VideoID_Start_End. raw-captions.pkl is not read: unpickling can
              execute code.
didemo        test_data.json: [{video, description, times, num_segments}]. Hendricks et al., ICCV
              2017, github.com/LisaAnne/LocalizingMoments. Times are first and last chunk of 5 s per
              annotator. Standard protocol: Rank@1 and mIoU over the best three of four
              annotators; here the best match counts.
didemo-paragraphs
              The same file; all sentences of a video are one query. Standard retrieval: the 1,004
              of 1,037 videos in test_list.txt, one id per line, if it is next to the file
              (github.com/albanie/collaborative-experts, misc/datasets/didemo).
activitynet   val_1.json: {id: {duration, timestamps, sentences}}. Krishna et al., ICCV 2017,
              cs.stanford.edu/people/ranjaykrishna/densevid. Standard protocol: R1@tIoU of moments
              in the video; val_2.json has other sentences for the same videos. Ids start with v_,
              file names often do not.
activitynet-paragraphs
              The same file; all sentences of a video are one query (Zhang et al., ECCV 2018).
              Standard retrieval: 4,917 videos.
charades-sta  charades_sta_test.txt: "ID start end##sentence" per line. Gao et al., TALL, ICCV 2017,
              github.com/jiyanggao/TALL. Standard protocol: R1@tIoU of moments in the video.
qvhighlights  highlight_val_release.jsonl: qid, query, duration, vid, relevant_windows. Lei et al.,
              NeurIPS 2021, github.com/jayleicn/moment_detr. Standard protocol: R1@tIoU 0.5 and
              0.7 by the best of several windows. The test file has no windows, so no moments.
youcook2      youcookii_annotations_trainval.json: {database: {id: {duration, subset, annotations:
              [{segment, sentence}]}}}. Zhou et al., AAAI 2018, youcook2.eecs.umich.edu. The subset
              "validation" is read. Standard retrieval is among trimmed clips; here it is among
              whole videos and moments in them.

Blank sentences are skipped. Windows are clipped to the duration of the video if the file contains
it; a sentence whose windows are then empty counts for retrieval but not for moments.
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
from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
from vsearch.media.discovery import VIDEO_SUFFIXES, find_videos
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

MAX_ANNOTATION_FILE_BYTES = 256 << 20  # MSRVTT_data.json, the largest one, has about 30 MB
DIDEMO_CHUNK_SECONDS = 5.0  # unit of DiDeMo's annotations
_CHARADES_LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class VideoCaption:
    """A caption of a video and its moments, if they are annotated."""

    video_id: str
    text: str  # may be blank
    moment_spans: tuple[Span, ...] = ()


CaptionReader: TypeAlias = "Callable[[Path], Iterable[VideoCaption]]"
LocatedRecord: TypeAlias = "tuple[str, dict[str, Any]]"  # location for messages; content


def read_published(format_name: str, annotation_path: Path, video_folder: Path) -> CaptionDataset:
    """Read an annotation file of a public dataset.

    A sentence with several correct moments becomes several items with equal path and caption.

    Args:
        format_name: A key of READERS_BY_FORMAT.
        annotation_path: File of the dataset's authors.
        video_folder: Folder of the videos.

    Returns:
        The dataset; videos that are not in the folder are listed in `missing_paths`.

    Raises:
        DatasetError: If the format is unknown, the file is invalid (the message has the line or the
            key), or no video is in the folder.
    """
    if format_name not in READERS_BY_FORMAT:
        raise DatasetError(
            f"unknown format {format_name!r}; choose from {', '.join(READERS_BY_FORMAT)}"
        )
    captions = [each for each in READERS_BY_FORMAT[format_name](annotation_path) if each.text]
    if not captions:
        raise DatasetError(
            f"{annotation_path}: no captions in the format {format_name}; check format and file"
        )
    videos_by_stem = _index_by_stem(video_folder)
    paths_by_id = {each.video_id: _find_video(each.video_id, videos_by_stem) for each in captions}
    caption_items = tuple(
        CaptionItem(video_path, caption.text, span)
        for caption in captions
        if (video_path := paths_by_id[caption.video_id]) is not None
        for span in caption.moment_spans or (None,)
    )
    if not caption_items:
        raise DatasetError(f"{annotation_path}: none of its videos is in {video_folder}")
    missing_ids = [video_id for video_id, video_path in paths_by_id.items() if video_path is None]
    return CaptionDataset(
        format_name,
        caption_items,
        tuple(video_folder.absolute() / video_id for video_id in missing_ids),
        SPLIT_NAMES.get(format_name, annotation_path.name),
    )


def _index_by_stem(video_folder: Path) -> dict[str, Path]:
    """Map file names without suffix to videos; the first one of several wins."""
    video_paths = [found.path for found in find_videos([video_folder]) if found.error is None]
    return {video_path.stem: video_path for video_path in reversed(video_paths)}


def _find_video(video_id: str, videos_by_stem: Mapping[str, Path]) -> Path | None:
    """Find the file of an id under one of its usual names."""
    stems = [video_id, video_id.removeprefix("v_")]  # mirrors of ActivityNet drop the prefix
    if (id_path := PurePath(video_id)).suffix.lower() in VIDEO_SUFFIXES:
        stems.append(id_path.stem)  # ids of DiDeMo have a suffix, often not the suffix of the file
    return next((videos_by_stem[stem] for stem in stems if stem in videos_by_stem), None)


# One reader per format.


def _read_msrvtt_1ka(annotation_path: Path) -> Iterator[VideoCaption]:
    for location, record in _iter_csv_records(annotation_path, "video_id", "sentence"):
        yield _create_caption(location, record["video_id"], record["sentence"])


def _read_msrvtt(annotation_path: Path) -> Iterator[VideoCaption]:
    content = _check_record(
        str(annotation_path), _read_json(annotation_path), "videos", "sentences"
    )
    videos = _iter_listed_records(
        f"{annotation_path}: videos", content["videos"], "video_id", "split"
    )
    sentences = _iter_listed_records(
        f"{annotation_path}: sentences", content["sentences"], "video_id", "caption"
    )
    test_ids = {
        _check_id(location, record["video_id"])
        for location, record in videos
        if record["split"] == "test"
    }
    for location, record in sentences:
        if _check_id(location, record["video_id"]) in test_ids:
            yield _create_caption(location, record["video_id"], record["caption"])


def _read_msvd(annotation_path: Path) -> Iterator[VideoCaption]:
    is_csv = annotation_path.suffix.lower() == ".csv"
    captions = (_read_msvd_csv if is_csv else _read_msvd_text)(annotation_path)
    return _select_split(captions, annotation_path.with_name("test_list.txt"))


def _select_split(captions: Iterable[VideoCaption], split_path: Path) -> Iterator[VideoCaption]:
    """Keep the captions of the videos in a list of ids, one per line."""
    split_ids = {line_text for _, line_text in _iter_lines(split_path)}
    return (caption for caption in captions if caption.video_id in split_ids)


def _read_msvd_csv(annotation_path: Path) -> Iterator[VideoCaption]:
    for location, record in _iter_csv_records(
        annotation_path, "VideoID", "Start", "End", "Language", "Description"
    ):
        if record["Language"] == "English":
            video_id = f"{record['VideoID']}_{record['Start']}_{record['End']}"
            yield _create_caption(location, video_id, record["Description"])


def _read_msvd_text(annotation_path: Path) -> Iterator[VideoCaption]:
    for location, line_text in _iter_lines(annotation_path):
        if line_text.startswith("#"):
            continue
        video_id, _, caption_text = line_text.partition(" ")
        if not caption_text:
            raise DatasetError(f"{location}: an id and a description are required")
        yield _create_caption(location, video_id, caption_text)


def _read_didemo(annotation_path: Path) -> Iterator[VideoCaption]:
    required_keys = ("video", "description", "times", "num_segments")
    for location, record in _iter_listed_records(
        str(annotation_path), _read_json(annotation_path), *required_keys
    ):
        chunks = [_parse_pair(location, times) for times in _check_list(location, record["times"])]
        windows = [
            [first * DIDEMO_CHUNK_SECONDS, (last + 1) * DIDEMO_CHUNK_SECONDS]
            for first, last in chunks
        ]
        duration = DIDEMO_CHUNK_SECONDS * _parse_number(location, record["num_segments"])
        yield _create_caption(location, record["video"], record["description"], windows, duration)


def _read_didemo_test(annotation_path: Path) -> Iterator[VideoCaption]:
    captions, split_path = _read_didemo(annotation_path), annotation_path.with_name("test_list.txt")
    return _select_split(captions, split_path) if split_path.exists() else captions


def _read_activitynet(annotation_path: Path) -> Iterator[VideoCaption]:
    content = _read_json(annotation_path)
    for video_id, (location, record) in _iter_keyed_records(
        annotation_path, content, "duration", "timestamps", "sentences"
    ):
        sentences = _check_list(location, record["sentences"])
        windows = _check_list(location, record["timestamps"])
        if len(sentences) != len(windows):
            raise DatasetError(f"{location}: the numbers of timestamps and sentences differ")
        duration = _parse_number(location, record["duration"])
        for sentence, window in zip(sentences, windows, strict=True):
            yield _create_caption(location, video_id, sentence, [window], duration)


def _read_charades(annotation_path: Path) -> Iterator[VideoCaption]:
    for location, line_text in _iter_lines(annotation_path):
        line_match = _CHARADES_LINE.fullmatch(line_text)
        if not line_match:
            raise DatasetError(f"{location}: expected the form ID start end##sentence")
        video_id, start_text, end_text, sentence = line_match.groups()
        yield _create_caption(location, video_id, sentence, [[start_text, end_text]])


def _read_qvhighlights(annotation_path: Path) -> Iterator[VideoCaption]:
    for location, line_text in _iter_lines(annotation_path):
        record = _check_record(
            location, _parse_json(location, line_text), "vid", "query", "duration"
        )
        windows = record.get("relevant_windows")  # absent in the test file
        duration = _parse_number(location, record["duration"])
        yield _create_caption(location, record["vid"], record["query"], windows, duration)


def _read_youcook2(annotation_path: Path) -> Iterator[VideoCaption]:
    content = _check_record(str(annotation_path), _read_json(annotation_path), "database")
    for video_id, (location, record) in _iter_keyed_records(
        annotation_path, content["database"], "duration", "subset", "annotations"
    ):
        if record["subset"] != "validation":
            continue
        duration = _parse_number(location, record["duration"])
        steps = _iter_listed_records(location, record["annotations"], "segment", "sentence")
        for step_location, step in steps:
            yield _create_caption(
                step_location, video_id, step["sentence"], [step["segment"]], duration
            )


def _join_paragraphs(captions: Iterable[VideoCaption]) -> Iterator[VideoCaption]:
    """Join all sentences of a video, in file order, into one caption of the whole video."""
    texts_by_id: dict[str, list[str]] = {}
    for caption in captions:
        texts_by_id.setdefault(caption.video_id, []).append(caption.text)
    for video_id, texts in texts_by_id.items():
        yield VideoCaption(video_id, " ".join(filter(None, texts)))


READERS_BY_FORMAT: dict[str, CaptionReader] = {
    "msrvtt-1ka": _read_msrvtt_1ka,
    "msrvtt": _read_msrvtt,
    "msvd": _read_msvd,
    "didemo": _read_didemo,
    "didemo-paragraphs": lambda path: _join_paragraphs(_read_didemo_test(path)),
    "activitynet": _read_activitynet,
    "activitynet-paragraphs": lambda path: _join_paragraphs(_read_activitynet(path)),
    "charades-sta": _read_charades,
    "qvhighlights": _read_qvhighlights,
    "youcook2": _read_youcook2,
}
# Splits; in the other formats the file itself is the split.
SPLIT_NAMES = {
    "msrvtt-1ka": "1k-A test",
    "msrvtt": "test",
    "msvd": "test",
    "youcook2": "validation",
}


# Validated parsing of files.


def _read_text(file_path: Path) -> str:
    try:
        if not file_path.is_file():  # opening a pipe would block forever
            raise OSError("no such file")
        with file_path.open("rb") as binary_file:
            content_bytes = binary_file.read(MAX_ANNOTATION_FILE_BYTES + 1)
        if len(content_bytes) > MAX_ANNOTATION_FILE_BYTES:
            raise OSError(f"larger than {MAX_ANNOTATION_FILE_BYTES} bytes")
        return content_bytes.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file_path}: cannot be read ({error})") from error


def _iter_lines(file_path: Path) -> Iterator[tuple[str, str]]:
    """Yield the location and text of each line that is not blank."""
    for line_number, line_text in enumerate(_read_text(file_path).split("\n"), 1):
        if line_text.strip():
            yield f"{file_path}:{line_number}", line_text.strip()


def _iter_csv_records(file_path: Path, *required_keys: str) -> Iterator[LocatedRecord]:
    csv_reader = csv.DictReader(io.StringIO(_read_text(file_path), newline=""))
    try:
        for record in csv_reader:
            location = f"{file_path}:{csv_reader.line_num}"
            yield location, _check_record(location, record, *required_keys)
    except csv.Error as error:
        raise DatasetError(f"{file_path}:{csv_reader.line_num}: invalid CSV ({error})") from error


def _read_json(file_path: Path) -> Any:
    return _parse_json(str(file_path), _read_text(file_path))


def _parse_json(location: str, json_text: str) -> Any:
    try:
        return json.loads(json_text)
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{location}: invalid JSON ({error})") from error


def _iter_keyed_records(
    file_path: Path, content: Any, *required_keys: str
) -> Iterator[tuple[str, LocatedRecord]]:
    """Yield records by id."""
    if not isinstance(content, dict):
        raise DatasetError(f"{file_path}: expected an object with one record per video")
    for video_id, record in content.items():
        location = f"{file_path}: {video_id!r:.80}"
        yield video_id, (location, _check_record(location, record, *required_keys))


def _iter_listed_records(
    location: str, content: Any, *required_keys: str
) -> Iterator[LocatedRecord]:
    for index, record in enumerate(_check_list(location, content)):
        record_location = f"{location}[{index}]"
        yield record_location, _check_record(record_location, record, *required_keys)


def _check_record(location: str, record: Any, *required_keys: str) -> dict[str, Any]:
    if not isinstance(record, dict) or any(record.get(key) is None for key in required_keys):
        raise DatasetError(f"{location}: missing {', '.join(required_keys)}")
    return record


def _check_list(location: str, raw_value: Any) -> list[Any]:
    if not isinstance(raw_value, list):
        raise DatasetError(f"{location}: expected a list, not {raw_value!r:.80}")
    return raw_value


def _create_caption(
    location: str,
    video_id: Any,
    caption: Any,
    windows: Any = None,
    duration: float = math.inf,
) -> VideoCaption:
    if not isinstance(caption, str):
        raise DatasetError(f"{location}: expected text, not {caption!r:.80}")
    text = " ".join(caption.encode("utf-8", "replace").decode().split())  # no lone surrogates
    return VideoCaption(
        _check_id(location, video_id), text, _parse_spans(location, windows, duration)
    )


def _check_id(location: str, video_id: Any) -> str:
    """Return an id if it is a valid file name on every system."""
    if (
        not isinstance(video_id, str)
        or not video_id.isprintable()
        or video_id in ("", "..")
        or PureWindowsPath(video_id).name != video_id
    ):
        raise DatasetError(f"{location}: {video_id!r:.80} is not a valid video id")
    return video_id


def _parse_spans(location: str, windows: Any, duration: float) -> tuple[Span, ...]:
    """Clip windows to the duration of the video; drop empty ones and duplicates."""
    spans = []
    for window in _check_list(location, [] if windows is None else windows):
        start, end = _parse_pair(location, window)
        start, end = max(start, 0.0), min(end, duration)
        if start < end:
            spans.append(Span(start, end))
    return tuple(dict.fromkeys(spans))


def _parse_pair(location: str, window: Any) -> tuple[float, float]:
    if not isinstance(window, list) or len(window) != 2:
        raise DatasetError(f"{location}: expected a start and an end, not {window!r:.80}")
    return _parse_number(location, window[0]), _parse_number(location, window[1])


def _parse_number(location: str, raw_value: Any) -> float:
    try:
        number = float(raw_value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DatasetError(f"{location}: expected a number, not {raw_value!r:.80}")
    return number
