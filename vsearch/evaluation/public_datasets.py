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
              annotator. The standard protocol is Rank@1 and mIoU over the best three of four
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

Blank sentences are skipped. Windows are clipped to the duration of the video if the file has it; a
sentence whose windows are then empty counts for retrieval but not for moments.
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

MAX_FILE_BYTES = 256 << 20  # the largest file, MSRVTT_data.json, has about 30 MB
DIDEMO_CHUNK_SECONDS = 5.0  # unit of DiDeMo's annotations
_CHARADES_LINE = re.compile(r"(\S+)\s+(\S+)\s+(\S+?)\s*##(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class VideoCaption:
    """A caption of a video and its moments, if they are annotated."""

    video_id: str
    caption_text: str  # may be blank
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
    captions = [
        caption
        for caption in READERS_BY_FORMAT[format_name](annotation_path)
        if caption.caption_text
    ]
    if not captions:
        raise DatasetError(
            f"{annotation_path}: no captions in the format {format_name}; check format and file"
        )
    videos_by_stem = _index_by_stem(video_folder)
    paths_by_id = {
        caption.video_id: _find_video(caption.video_id, videos_by_stem) for caption in captions
    }
    caption_items = tuple(
        item for caption in captions for item in _iter_items(caption, paths_by_id[caption.video_id])
    )
    if not caption_items:
        raise DatasetError(f"{annotation_path}: none of its videos is in {video_folder}")
    missing_paths = tuple(
        video_folder.absolute() / video_id
        for video_id, video_path in paths_by_id.items()
        if video_path is None
    )
    return CaptionDataset(
        format_name,
        caption_items,
        missing_paths,
        SPLIT_NAMES.get(format_name, annotation_path.name),
    )


def _index_by_stem(video_folder: Path) -> dict[str, Path]:
    """Map file names without suffix to videos; the first one of several wins."""
    video_paths = [
        discovered_file.path
        for discovered_file in find_videos([video_folder])
        if discovered_file.error is None
    ]
    return {video_path.stem: video_path for video_path in reversed(video_paths)}


def _find_video(video_id: str, videos_by_stem: Mapping[str, Path]) -> Path | None:
    """Find the file of an id under one of its usual names.

    DiDeMo's ids have a suffix, which may differ from that of the file; ActivityNet's ids start with
    v_, which many mirrors drop.
    """
    id_path = PurePath(video_id)
    candidate_stems = [video_id, video_id.removeprefix("v_")]
    candidate_stems += [id_path.stem] if id_path.suffix.lower() in VIDEO_SUFFIXES else []
    return next(
        (
            videos_by_stem[candidate_stem]
            for candidate_stem in candidate_stems
            if candidate_stem in videos_by_stem
        ),
        None,
    )


def _iter_items(caption: VideoCaption, video_path: Path | None) -> Iterator[CaptionItem]:
    if video_path is not None:
        for span in caption.moment_spans or (None,):
            yield CaptionItem(video_path, caption.caption_text, span)


# One reader per format.


def _read_msrvtt_1ka(annotation_path: Path) -> Iterator[VideoCaption]:
    for location, record in _iter_csv_records(annotation_path, "video_id", "sentence"):
        yield _create_caption(location, record["video_id"], record["sentence"])


def _read_msrvtt(annotation_path: Path) -> Iterator[VideoCaption]:
    file_content = _check_record(
        str(annotation_path), _read_json(annotation_path), "videos", "sentences"
    )
    video_records = _iter_listed_records(
        f"{annotation_path}: videos", file_content["videos"], "video_id", "split"
    )
    test_ids = {
        _check_id(location, record["video_id"])
        for location, record in video_records
        if record["split"] == "test"
    }
    for location, record in _iter_listed_records(
        f"{annotation_path}: sentences", file_content["sentences"], "video_id", "caption"
    ):
        if _check_id(location, record["video_id"]) in test_ids:
            yield _create_caption(location, record["video_id"], record["caption"])


def _read_msvd(annotation_path: Path) -> Iterator[VideoCaption]:
    test_ids = {
        line_text for _, line_text in _iter_lines(annotation_path.with_name("test_list.txt"))
    }
    captions = (
        _read_msvd_csv(annotation_path)
        if annotation_path.suffix.lower() == ".csv"
        else _read_msvd_text(annotation_path)
    )
    return (caption for caption in captions if caption.video_id in test_ids)


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
        chunk_ranges = [
            _parse_pair(location, chunk_range)
            for chunk_range in _check_list(location, record["times"])
        ]
        time_windows = [
            [first_chunk * DIDEMO_CHUNK_SECONDS, (last_chunk + 1) * DIDEMO_CHUNK_SECONDS]
            for first_chunk, last_chunk in chunk_ranges
        ]
        video_duration = DIDEMO_CHUNK_SECONDS * _parse_number(location, record["num_segments"])
        yield _create_caption(
            location, record["video"], record["description"], time_windows, video_duration
        )


def _read_didemo_test(annotation_path: Path) -> Iterator[VideoCaption]:
    captions, split_path = _read_didemo(annotation_path), annotation_path.with_name("test_list.txt")
    if not split_path.exists():
        return captions
    test_ids = {line_text for _, line_text in _iter_lines(split_path)}
    return (caption for caption in captions if caption.video_id in test_ids)


def _read_activitynet(annotation_path: Path) -> Iterator[VideoCaption]:
    file_content = _read_json(annotation_path)
    for video_id, (location, record) in _iter_keyed_records(
        annotation_path, file_content, "duration", "timestamps", "sentences"
    ):
        sentences, time_windows = (
            _check_list(location, record[record_key]) for record_key in ("sentences", "timestamps")
        )
        if len(sentences) != len(time_windows):
            raise DatasetError(f"{location}: the numbers of timestamps and sentences differ")
        video_duration = _parse_number(location, record["duration"])
        for sentence, time_window in zip(sentences, time_windows, strict=True):
            yield _create_caption(location, video_id, sentence, [time_window], video_duration)


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
        time_windows, video_duration = (
            record.get("relevant_windows", []),
            _parse_number(location, record["duration"]),
        )
        yield _create_caption(
            location, record["vid"], record["query"], time_windows, video_duration
        )


def _read_youcook2(annotation_path: Path) -> Iterator[VideoCaption]:
    file_content = _check_record(str(annotation_path), _read_json(annotation_path), "database")[
        "database"
    ]
    for video_id, (location, record) in _iter_keyed_records(
        annotation_path, file_content, "duration", "subset", "annotations"
    ):
        if record["subset"] != "validation":
            continue
        video_duration = _parse_number(location, record["duration"])
        for step_location, step_record in _iter_listed_records(
            location, record["annotations"], "segment", "sentence"
        ):
            yield _create_caption(
                step_location,
                video_id,
                step_record["sentence"],
                [step_record["segment"]],
                video_duration,
            )


def _join_paragraphs(captions: Iterable[VideoCaption]) -> Iterator[VideoCaption]:
    """Join all sentences of a video, in file order, into one caption of the whole video."""
    texts_by_video: dict[str, list[str]] = {}
    for caption in captions:
        texts_by_video.setdefault(caption.video_id, []).append(caption.caption_text)
    for video_id, caption_texts in texts_by_video.items():
        yield VideoCaption(video_id, " ".join(filter(None, caption_texts)))


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
            content_bytes = binary_file.read(MAX_FILE_BYTES + 1)
        if len(content_bytes) > MAX_FILE_BYTES:
            raise OSError(f"larger than {MAX_FILE_BYTES} bytes")
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
    file_path: Path, file_content: Any, *required_keys: str
) -> Iterator[tuple[str, LocatedRecord]]:
    """Yield records by id."""
    if not isinstance(file_content, dict):
        raise DatasetError(f"{file_path}: expected an object with one record per video")
    for video_id, record in file_content.items():
        location = f"{file_path}: {video_id!r:.80}"
        yield video_id, (location, _check_record(location, record, *required_keys))


def _iter_listed_records(
    location: str, listed_content: Any, *required_keys: str
) -> Iterator[LocatedRecord]:
    for record_index, record in enumerate(_check_list(location, listed_content)):
        yield (
            f"{location}[{record_index}]",
            _check_record(f"{location}[{record_index}]", record, *required_keys),
        )


def _check_record(location: str, record: Any, *required_keys: str) -> dict[str, Any]:
    if not isinstance(record, dict) or any(
        record.get(required_key) is None for required_key in required_keys
    ):
        raise DatasetError(f"{location}: missing {', '.join(required_keys)}")
    return record


def _check_list(location: str, raw_value: Any) -> list[Any]:
    if not isinstance(raw_value, list):
        raise DatasetError(f"{location}: expected a list, not {raw_value!r:.80}")
    return raw_value


def _create_caption(
    location: str,
    video_id: Any,
    caption_text: Any,
    time_windows: Any = None,
    video_duration: float = math.inf,
) -> VideoCaption:
    if not isinstance(caption_text, str):
        raise DatasetError(f"{location}: expected text, not {caption_text!r:.80}")
    # replace lone surrogates
    clean_text = " ".join(caption_text.encode("utf-8", "replace").decode().split())
    return VideoCaption(
        _check_id(location, video_id),
        clean_text,
        _parse_spans(location, time_windows, video_duration),
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


def _parse_spans(location: str, time_windows: Any, video_duration: float) -> tuple[Span, ...]:
    """Clip windows to the duration of the video; drop empty ones and duplicates."""
    moment_spans = []
    for time_window in _check_list(location, [] if time_windows is None else time_windows):
        start_time, end_time = _parse_pair(location, time_window)
        start_time, end_time = max(start_time, 0.0), min(end_time, video_duration)
        if start_time < end_time:
            moment_spans.append(Span(start_time, end_time))
    return tuple(dict.fromkeys(moment_spans))


def _parse_pair(location: str, time_window: Any) -> tuple[float, float]:
    if not isinstance(time_window, list) or len(time_window) != 2:
        raise DatasetError(f"{location}: expected a start and an end, not {time_window!r:.80}")
    return _parse_number(location, time_window[0]), _parse_number(location, time_window[1])


def _parse_number(location: str, raw_value: Any) -> float:
    try:
        parsed_number = float(raw_value)
    except (TypeError, ValueError, OverflowError):
        parsed_number = math.nan
    if not math.isfinite(parsed_number):
        raise DatasetError(f"{location}: expected a number, not {raw_value!r:.80}")
    return parsed_number
