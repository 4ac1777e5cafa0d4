"""Compare durations and frame times of damaged files with those of FFmpeg's decoder.

    python -m benchmarks.bench_damaged [--codec libx265] [--count N] [--seed S] [--keep FOLDER]
        [--json FILE]

Nothing is needed: the videos are generated and then damaged by seeded random numbers. FFmpeg's
decoder is reached through PyAV; where `ffprobe` is installed, its best-effort timestamps count,
too. A duration must be within half a second, a sampled time within one frame. Takes about 10
minutes for 1,000 files.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import subprocess
import tempfile
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError

from benchmarks.report import Claim, Report, add_json_option
from vsearch.errors import MediaError
from vsearch.media.container import get_codec_context, open_file
from vsearch.media.sampler import Sampler
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from vsearch.types import GrayImages, Times

SECONDS, FPS, FRAME_SIZE, GOP_SIZE = 20, 15, (96, 64), 30
CONTAINERS, B_FRAMES = ("mp4", "mkv", "ts", "avi"), (0, 3)
SAMPLES_PER_SECOND = 4
MAX_DURATION_ERROR = 0.5  # seconds
MAX_TIME_ERROR = 1 / FPS + 0.002  # seconds: one frame, and the rounding of Matroska
DEFAULT_COUNT, MAX_PRINTED = 1_000, 4  # files, differences per file


@dataclass(frozen=True)
class DecodedTimes:
    """Frame times as FFmpeg decodes them."""

    frame_times: list[float]  # as decoded, in seconds from what a player shows as 0:00
    end_times: list[float]  # seconds: end of the last frame decoded, and of the last one in time
    packet_times: list[float]  # ascending, seconds: decoding may start at any keyframe among them

    def list_steady_times(self) -> Iterator[list[float]]:
        """Yield the times without those that are too late, or without those that fall back."""
        not_late, not_early = self.frame_times[-1:], self.frame_times[:1]
        for time in reversed(self.frame_times):
            not_late += [time] * (time <= min(not_late[-2:]) + MAX_TIME_ERROR)
        for time in self.frame_times:
            not_early += [time] * (time >= not_early[-1])
        yield sorted(not_late)
        yield not_early


# Sources


def make_sources(folder: Path, codec: str = "libx264") -> list[Path]:
    """Encode one video per container, with and without B-frames."""
    return [
        make_source(folder / f"b{b_frames}.{suffix}", b_frames, codec)
        for suffix, b_frames in product(CONTAINERS, B_FRAMES)
        if not (codec == "libx265" and suffix == "avi")  # players do not support it
    ]


def make_source(path: Path, b_frames: int, codec: str) -> Path:
    """Encode a drifting pattern with a little noise."""
    width, height = FRAME_SIZE
    rng = np.random.default_rng(b_frames)
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size, stream.codec_context.max_b_frames = GOP_SIZE, b_frames
        stream.options = {"preset": "veryfast", "crf": "28"}
        if codec == "libx265":
            stream.options |= {"x265-params": f"log-level=none:scenecut=0:bframes={b_frames}"}
        else:
            stream.options |= {"sc_threshold": "0"}
        for index in range(SECONDS * FPS):
            wave = np.sin((columns + index) / 9) * np.cos((rows - index / 2) / 7)
            luma = 128 + 90 * wave + rng.normal(0, 4, (height, width))
            image = np.repeat(np.clip(luma, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


# Damage


def zero_ranges(path: Path, rng: random.Random) -> None:
    """Overwrite one to three ranges with zeros, as unreadable sectors do."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.randint(1, 3)):
        length = rng.choice((16, 200, 1_000, 4_000))
        start = rng.randrange(len(content))
        content[start : start + length] = bytes(len(content[start : start + length]))
    path.write_bytes(content)


def flip_bits(path: Path, rng: random.Random) -> None:
    """Flip 1 to 64 bits."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 4, 16, 64))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, rng: random.Random) -> None:
    """Drop the end, as an interrupted copy does."""
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) // 5, len(content))])


def cut_bytes(path: Path, rng: random.Random) -> None:
    """Remove a range of bytes."""
    content = path.read_bytes()
    start = rng.randrange(len(content) // 20, len(content))
    path.write_bytes(content[:start] + content[start + rng.choice((188, 1_000, 6_000)) :])


def drop_packets(path: Path, rng: random.Random) -> None:
    """Leave out up to a tenth of the packets."""
    share = rng.choice((0.005, 0.02, 0.1))
    _remux(path, lambda packets: [packet for packet in packets if rng.random() >= share])


def duplicate_packets(path: Path, rng: random.Random) -> None:
    """Write some packets twice in a row."""
    share = rng.choice((0.005, 0.02, 0.1))
    _remux(
        path,
        lambda packets: [packet for packet in packets for _ in range(1 + (rng.random() < share))],
    )


DAMAGE_KINDS = (
    zero_ranges, flip_bits, truncate, cut_bytes, drop_packets, duplicate_packets,
)  # fmt: skip


def _remux(
    path: Path, change: Callable[[list[Packet[VideoStream]]], list[Packet[VideoStream]]]
) -> None:
    changed_path = path.with_stem(f"{path.stem}_changed")
    with av.open(str(path)) as source, av.open(str(changed_path), "w") as target:
        source_stream = source.streams.video[0]
        stream = target.add_stream_from_template(source_stream)
        is_timeless = source.format.name == "avi"  # numbers its packets
        last_dts = None
        for index, packet in enumerate(change([p for p in source.demux(source_stream) if p.size])):
            pts, dts, time_base = packet.pts, packet.dts, packet.time_base
            copy = av.Packet(bytes(packet))
            copy.is_keyframe, copy.time_base = packet.is_keyframe, time_base
            if is_timeless:
                copy.pts = copy.dts = index
            else:
                shown, decoded = pts or 0, dts if dts is not None else pts or 0
                if last_dts is not None and decoded <= last_dts:
                    shown, decoded = shown + last_dts + 1 - decoded, last_dts + 1
                copy.pts, copy.dts, last_dts = max(shown, decoded), decoded, decoded
            copy.stream = stream
            target.mux(copy)
    changed_path.replace(path)


def make_damaged(source: Path, path: Path, seed: int) -> str:
    """Copy a source and damage the copy; return the name of the damage."""
    rng = random.Random(seed)
    damage = DAMAGE_KINDS[rng.randrange(len(DAMAGE_KINDS))]
    shutil.copyfile(source, path)
    damage(path, rng)
    return damage.__name__


# Reference


def decode_times(path: Path, *, with_corrupt: bool = False) -> DecodedTimes | None:
    """Decode everything in one thread, with FFmpeg's guess of timestamps; None if unreadable.

    An AVI file has decoding timestamps only. Behind a damaged HEVC keyframe FFmpeg outputs frames
    only by request (`with_corrupt`, for HEVC only), as they are gray.
    """
    try:
        container = open_file(path)
    except (FFmpegError, OSError, ValueError, OverflowError):
        return None
    with container:
        if not container.streams.video or get_codec_context(container.streams.video[0]) is None:
            return None
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        if with_corrupt:
            if stream.codec_context.name != "hevc":
                return None
            stream.codec_context.flags |= Flags.output_corrupt
        time_base = Fraction(stream.time_base or Fraction(1, av.time_base))
        origin = Fraction(container.start_time or 0, av.time_base)
        step = 1 / Fraction(stream.guessed_rate or FPS)
        has_pts = container.format.name != "avi"
        packet_timestamps: list[int] = []
        times = list(
            _guess_times(container, stream, time_base, step, packet_timestamps, has_pts=has_pts)
        )
    if not times:
        return None
    shifted = [float(time - origin) for time in times]
    end_times = [time + float(step) for time in (shifted[-1], max(shifted))]
    packets = [float(pts * time_base - origin) for pts in packet_timestamps]
    return DecodedTimes(shifted, end_times, sorted(packets))


def _guess_times(
    container: InputContainer,
    stream: VideoStream,
    time_base: Fraction,
    step: Fraction,
    packet_timestamps: list[int],
    *,
    has_pts: bool,
) -> Iterator[Fraction]:
    """Yield best-effort times in seconds, as `guess_correct_pts` of libavcodec chooses them."""
    last_pts = last_dts = float("-inf")
    faulty_pts = faulty_dts = 0
    last_time = -step
    for frame in _decode_all(container, stream, packet_timestamps):
        pts, dts = frame.pts if has_pts else None, frame.dts
        if dts is not None:
            faulty_dts += dts <= last_dts
            last_dts = dts
        elif pts is not None:
            last_dts = pts
        if pts is not None:
            faulty_pts += pts <= last_pts
            last_pts = pts
        elif dts is not None:
            last_pts = dts
        best = pts if pts is not None and (faulty_pts <= faulty_dts or dts is None) else dts
        last_time = best * time_base if best is not None else last_time + step
        yield last_time


def _decode_all(
    container: InputContainer, stream: VideoStream, packet_timestamps: list[int]
) -> Iterator[av.VideoFrame]:
    packets = container.demux(stream)
    for _ in range(100):  # retries of failed reads
        try:
            for packet in packets:
                if packet.pts is not None:
                    packet_timestamps.append(packet.pts)
                yield from _decode(stream, packet)
        except (FFmpegError, ValueError):
            packets = container.demux(stream)
            continue
        except IndexError:
            pass
        return


def _decode(stream: VideoStream, packet: Packet[VideoStream]) -> list[av.VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except (FFmpegError, ValueError):
        return []


def probe_times(path: Path) -> DecodedTimes | None:
    """Return the times that `ffprobe` prints; None without it or without frames."""
    command = ["ffprobe", "-v", "quiet", "-select_streams", "V:0", "-of", "flat", "-show_entries"]
    entries = "frame=best_effort_timestamp_time:format=start_time"
    printed = subprocess.run([*command, entries, str(path)], capture_output=True, check=False)
    values: dict[str, str] = dict(
        re.findall(r'^(\S+_time)="(.*)"$', printed.stdout.decode("utf-8", "replace"), re.MULTILINE)
    )
    origin = values.pop("format.start_time", "").replace("N/A", "")
    stamps = [value for key, value in values.items() if key.endswith("best_effort_timestamp_time")]
    known = [float(stamp) - float(origin or 0) for stamp in stamps if stamp != "N/A"]
    if not known:
        return None
    times = known + [known[-1] + (n + 1) / FPS for n in range(len(stamps) - len(known))]
    return DecodedTimes(times, [time + 1 / FPS for time in (times[-1], max(times))], [])


# Comparison


class FrameWatcher:
    """A `ShotDetector` that makes a sampler decode all frames, and finds nothing."""

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        assert len(luma_thumbnails) == len(frame_times)

    def cuts(self) -> Times:
        return np.zeros(0)


def find_mismatches(path: Path, references: Sequence[DecodedTimes]) -> list[str]:
    """Describe each difference between vsearch and all references.

    Args:
        path: The damaged file.
        references: Times of FFmpeg's decoder; empty if it decodes nothing.

    Returns:
        One line per difference.
    """
    mismatches = []
    middle = references[0].end_times[0] / 2 if references else 1.0
    samplers = {
        "sampled": _sample(path),
        "with shots": _sample(path, shots=True),
        "keyframes": _sample(path, keyframes_only=True),
        "span": _sample(path, span=Span(middle, middle + 3)),
    }
    for mode, sampler in samplers.items():
        try:
            times = [float(time) for batch in sampler for time in batch.frame_times]
        except MediaError as error:
            mismatches += [f"{mode}: {error} (FFmpeg decodes it)"] * bool(references)
            continue
        if not references:
            mismatches.append(f"{mode}: decoded, but FFmpeg decodes nothing")
            continue
        if mode == "span":
            times = times[1:]  # the first has the span's start
        else:
            mismatches += _compare_ends(sampler.end_time, references, mode)
        mismatches += _compare_times(times, references, mode)
        if mode in ("sampled", "with shots"):
            mismatches += _compare_instants(times, sampler.end_time, references, mode)
    return mismatches


def _sample(
    path: Path, *, shots: bool = False, keyframes_only: bool = False, span: Span | None = None
) -> Sampler:
    return Sampler(
        path,
        fps=SAMPLES_PER_SECOND,
        short_side=16,
        shot_detector=FrameWatcher() if shots else None,
        keyframes_only=keyframes_only,
        span=span,
    )


def _compare_ends(end_time: float, references: Sequence[DecodedTimes], mode: str) -> Iterator[str]:
    ends = [
        end
        for reference in references
        for end in reference.end_times + reference.packet_times[-1:] * (mode == "keyframes")
    ]
    if all(abs(end_time - end) > MAX_DURATION_ERROR for end in ends):
        yield f"{mode}: ends at {end_time:.3f} instead of {ends}"


def _compare_times(
    times: list[float], references: Sequence[DecodedTimes], mode: str
) -> Iterator[str]:
    """Describe times that no frame has; a decoder that starts later may output other frames."""
    known_times = sorted(
        time
        for reference in references
        for time in reference.frame_times + reference.packet_times * (mode in ("span", "keyframes"))
    )
    for time in times:
        position = bisect_right(known_times, time)
        neighbors = known_times[max(0, position - 1) : position + 1]
        if all(abs(time - near) > MAX_TIME_ERROR for near in neighbors):
            yield f"{mode}: no frame at {time:.3f}"


def _compare_instants(
    times: list[float], end_time: float, references: Sequence[DecodedTimes], mode: str
) -> Iterator[str]:
    """Describe instants at which another frame is displayed."""
    steady_times = [times for each in references for times in each.list_steady_times()]
    for index in range(int(end_time * SAMPLES_PER_SECOND)):
        instant = index / SAMPLES_PER_SECOND + 0.001
        displayed = [_find_displayed(reference_times, instant) for reference_times in steady_times]
        sampled = _find_displayed(times, instant)
        if all(abs(sampled - time) > MAX_TIME_ERROR for time in displayed):
            yield f"{mode}: at {instant:.2f} the frame of {sampled:.3f} instead of {displayed}"


def _find_displayed(times: list[float], instant: float) -> float:
    """Return the last time up to an instant, else the first one."""
    return times[max(0, bisect_right(times, instant) - 1)]


def compare_file(path: Path) -> list[str]:
    """Describe each difference between vsearch and FFmpeg's decoder, and `ffprobe` if installed."""
    references = [decode_times(path), decode_times(path, with_corrupt=True)]
    if shutil.which("ffprobe"):
        references.append(probe_times(path))
    return find_mismatches(path, [reference for reference in references if reference])


def compare_files(
    first_seed: int, count: int, kept_folder: Path | None, codec: str = "libx264"
) -> Report:
    """Damage and compare files, one per seed; print each difference."""
    totals: Counter[str] = Counter()
    differing: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        sources = make_sources(Path(temporary), codec)
        for seed in range(first_seed, first_seed + count):
            source = sources[seed % len(sources)]
            path = Path(temporary) / f"{seed}_{source.name}"
            kind = f"{source.name} {make_damaged(source, path, seed)}"
            mismatches = compare_file(path)
            totals[kind] += 1
            differing[kind] += bool(mismatches)
            for mismatch in mismatches[:MAX_PRINTED]:
                print(f"{path.name} ({kind}): {mismatch}", flush=True)
            if mismatches and kept_folder:
                kept_folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept_folder / path.name)
            path.unlink()
    rows = [
        {"damage": kind, "files": total, "differing": differing[kind]}
        for kind, total in sorted(totals.items())
    ]
    codec_name, flag = ("HEVC", " --codec libx265") if codec == "libx265" else ("H.264", "")
    claim = Claim(
        f"durations and times of {count:,} damaged {codec_name} files, compared with FFmpeg's "
        "decoder",
        f"{sum(differing.values())} files differ by over {MAX_DURATION_ERROR} s or one frame",
        f"python -m benchmarks.bench_damaged --count {count}{flag}",
    )
    return Report("damaged", rows, [claim])


def main() -> None:
    """Print each file with a difference, then the numbers per kind of damage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, help="number of files")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first file")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep differing files here")
    parser.add_argument(
        "--codec", choices=("libx264", "libx265"), default="libx264", help="encoder of the videos"
    )
    options = add_json_option(parser).parse_args()
    report = compare_files(options.seed, options.count, options.keep, options.codec)
    report.print_and_write(options.json)


if __name__ == "__main__":
    main()
