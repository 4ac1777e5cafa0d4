"""Films with known shot boundaries, cut together from parts of real clips.

Every kind of film puts its own difficulty at the boundaries (a moving camera, a gradual transition)
or between them (a flash, a lamp, a passing object). Camera movement is an animated crop of the
clip, which is continued beyond its edges by reflection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from vsearch.errors import MediaError
from vsearch.media.sampler import Sampler
from vsearch.types import Images, Span, Times

if TYPE_CHECKING:
    from pathlib import Path

FILM_SIZE = (256, 144)  # width, height
_CLIP_SIZE = (384, 216)  # of the loaded clips, half as large again as the crop
_CLIP_SECONDS = 6
_MIN_CLIP_FRAMES = 20
CLIPS_WITH_CUTS = ("bikes", "demo_demo", "sample_demo_3", "media_cat", "opossum", "vggsound_3")
_FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames of one clip without a cut."""

    name: str
    images: Images  # uint8 (N, 216, 384, 3)
    frame_times: Times  # float64 (N,) seconds


@dataclass(frozen=True, slots=True)
class Film:
    """Film with its true boundaries; those of a cut coincide."""

    images: Images  # uint8 (N, 144, 256, 3)
    fps: int
    transitions: list[Span]  # from the last frame of one shot to the first of the next


@dataclass(slots=True)
class Shot:
    """Frames of one shot."""

    images: Images  # uint8 (N, 144, 256, 3)


# Camera paths: center of the crop in pixels (N, 2), from the center of the clip, and zoom (N,)

CameraPath = tuple[_FloatArray, _FloatArray]
CameraFunction = Callable[[int, int, np.random.Generator], CameraPath]


def hold_still(frame_count: int, fps: int, rng: np.random.Generator) -> CameraPath:
    """Hold the camera still."""
    return np.zeros((frame_count, 2)), np.ones(frame_count)


def pan(frame_count: int, fps: int, rng: np.random.Generator) -> CameraPath:
    """Pan evenly by 30 to 80 % of the width of the image per second."""
    speed = rng.uniform(0.3, 0.8) * FILM_SIZE[0] / fps
    direction = rng.choice([-1, 1]) * np.array(
        [np.cos(tilt := rng.uniform(-0.5, 0.5)), np.sin(tilt)]
    )
    return _centered(np.arange(frame_count)[:, None] * speed * direction), np.ones(frame_count)


def whip_pan_at_ends(frame_count: int, fps: int, rng: np.random.Generator) -> CameraPath:
    """Start and end in a whip pan, the picture moving by 6 to 15 % of its width per frame."""
    whip_frames = min(round(0.25 * fps), frame_count // 3)
    speeds = np.zeros(frame_count)
    ramp = np.linspace(1, 0, whip_frames)
    speeds[:whip_frames] = ramp
    speeds[-whip_frames:] += ramp[::-1]
    speeds *= rng.uniform(0.06, 0.15) * FILM_SIZE[0] * 25 / fps
    offsets = np.cumsum(speeds) * rng.choice([-1, 1])
    return _centered(np.stack([offsets, np.zeros(frame_count)], axis=1)), np.ones(frame_count)


def whip_pan_within(frame_count: int, fps: int, rng: np.random.Generator) -> CameraPath:
    """Whip once in the middle of the shot, or shake all along."""
    if rng.random() < 0.4:
        return shake(frame_count, fps, rng)
    whip_frames = round(rng.uniform(0.3, 0.5) * fps)
    if frame_count < 2 * whip_frames:
        return hold_still(frame_count, fps, rng)
    speeds = np.zeros(frame_count)
    first_frame = (frame_count - whip_frames) // 2
    speeds[first_frame : first_frame + whip_frames] = np.hanning(whip_frames + 2)[1:-1]
    speeds *= rng.uniform(0.06, 0.15) * FILM_SIZE[0] * 25 / fps
    offsets = np.cumsum(speeds) * rng.choice([-1, 1])
    return _centered(np.stack([offsets, np.zeros(frame_count)], axis=1)), np.ones(frame_count)


def shake(frame_count: int, fps: int, rng: np.random.Generator) -> CameraPath:
    """Shake by up to 8 % of the width of the image."""
    seconds = np.arange(frame_count) / fps
    offsets = np.zeros((frame_count, 2))
    for frequency in rng.uniform(1, 7, 4):
        phases = rng.uniform(0, 2 * np.pi, 2)
        offsets += np.sin(2 * np.pi * frequency * seconds[:, None] + phases) * rng.uniform(0.3, 1)
    return offsets / 2 * rng.uniform(0.03, 0.08) * FILM_SIZE[0], np.ones(frame_count)


def zoom(frame_count: int, fps: int, rng: np.random.Generator) -> CameraPath:
    """Zoom in or out by 30 to 80 % per second."""
    factors = np.exp(np.log(rng.uniform(1.3, 1.8)) / fps * np.arange(frame_count))
    factors = np.minimum(factors, 4.0) * 0.8
    return np.zeros((frame_count, 2)), factors if rng.random() < 0.5 else factors[::-1]


def _centered(offsets: _FloatArray) -> _FloatArray:
    middle: _FloatArray = (offsets.min(axis=0) + offsets.max(axis=0)) / 2
    return np.asarray(offsets - middle)


# Transitions: blend the ends of two shots, progress rising from 0 to 1

BlendFunction = Callable[[Images, Images, float, np.random.Generator], Images]


def dissolve(old: Images, new: Images, progress: float, rng: np.random.Generator) -> Images:
    """Mix two frames."""
    return _mix(old, new, progress)


def fade_through_black(
    old: Images, new: Images, progress: float, rng: np.random.Generator
) -> Images:
    """Fade out to black, then in."""
    light = max(abs(2 * progress - 1) * 1.25 - 0.25, 0.0)
    return (np.asarray(old if progress < 0.5 else new) * light).astype(np.uint8)


def fade_through_white(
    old: Images, new: Images, progress: float, rng: np.random.Generator
) -> Images:
    """Fade out to white, then in."""
    return 255 - fade_through_black(255 - old, 255 - new, progress, rng)


def wipe(old: Images, new: Images, progress: float, rng: np.random.Generator) -> Images:
    """Uncover the new frame along a line, a diagonal or a growing circle."""
    height, width = old.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    shape = rng.integers(6)
    distance: _FloatArray = (
        columns / width, 1 - columns / width, rows / height, 1 - rows / height,
        (rows / height + columns / width) / 2,
        np.hypot(rows - height / 2, columns - width / 2) / np.hypot(height, width) * 2,
    )[shape]  # fmt: skip
    softness = 0.03
    new_share = np.clip((progress * (1 + softness) - distance) / softness, 0, 1)[..., None]
    return (old + (new.astype(float) - old) * new_share).astype(np.uint8)


def push(old: Images, new: Images, progress: float, rng: np.random.Generator) -> Images:
    """Push the old frame out of the picture, or slide the new one over it."""
    axis, is_reversed, is_slide = int(rng.integers(2)), rng.random() < 0.5, rng.random() < 0.3
    length = old.shape[axis]
    shift = round(progress * length)
    if is_reversed:
        old, new = np.flip(old, axis), np.flip(new, axis)
    kept = (
        old.take(range(length - shift), axis) if is_slide else old.take(range(shift, length), axis)
    )
    joined = np.concatenate([kept, new.take(range(shift), axis)], axis)
    return np.flip(joined, axis) if is_reversed else joined


def _mix(old: Images, new: Images, share: float) -> Images:
    return np.rint(old + (new.astype(np.float32) - old) * share).astype(np.uint8)


# Distractors: change a shot without a boundary


def flash(shot: Shot, fps: int, rng: np.random.Generator) -> None:
    """Brighten one to three frames."""
    for _ in range(rng.integers(1, 3)):
        first_frame = int(rng.integers(3, max(len(shot.images) - 6, 4)))
        _brighten(shot.images[first_frame : first_frame + rng.integers(1, 4)], rng)


def strobe(shot: Shot, fps: int, rng: np.random.Generator) -> None:
    """Brighten a frame or two, four to ten times a second, for a second."""
    period = max(round(fps / rng.uniform(4, 10)), 2)
    first_frame = int(rng.integers(3, max(len(shot.images) - fps, 4)))
    for index in range(first_frame, min(first_frame + fps, len(shot.images) - 3), period):
        _brighten(shot.images[index : index + max(period // 3, 1)], rng)


def _brighten(lit: Images, rng: np.random.Generator) -> None:
    lit[:] = np.minimum(lit * rng.uniform(1.2, 1.6) + rng.uniform(60, 150), 255)


def switch_lamp(shot: Shot, fps: int, rng: np.random.Generator) -> None:
    """Switch a lamp on or off: another brightness, stronger in one part of the picture."""
    height, width = shot.images.shape[1:3]
    rows, columns = np.mgrid[:height, :width]
    center = rng.uniform(0, height), rng.uniform(0, width)
    falloff = np.exp(-np.hypot(rows - center[0], columns - center[1]) / (0.8 * width))
    gain = 1 - rng.uniform(0.35, 0.7) * (0.4 + 0.6 * falloff[..., None])
    switch_frame = int(rng.integers(4, max(len(shot.images) - 4, 5)))
    dark_part = slice(None, switch_frame) if rng.random() < 0.5 else slice(switch_frame, None)
    shot.images[dark_part] = shot.images[dark_part] * gain


def pass_object(shot: Shot, fps: int, rng: np.random.Generator) -> None:
    """Move a large textured object through the picture within about a second."""
    count, height, width = shot.images.shape[:3]
    object_width, object_height = (
        round(width * rng.uniform(0.25, 0.6)), round(height * rng.uniform(0.5, 1.0)),
    )  # fmt: skip
    coarse = rng.integers(0, 255, (5, 6, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((object_width, object_height)))
    passing_frames = min(round(rng.uniform(0.5, 1.2) * fps), count - 4)
    first_frame = int(rng.integers(2, max(count - passing_frames - 1, 3)))
    for index in range(passing_frames):
        left = round(-object_width + (width + object_width) * index / passing_frames)
        visible = slice(max(left, 0), max(min(left + object_width, width), 0))
        shot.images[first_frame + index, height - object_height :, visible] = picture[
            :, visible.start - left : visible.stop - left
        ]


def insert_picture(shot: Shot, fps: int, rng: np.random.Generator) -> None:
    """Show a title or a small picture for a while, or put bars above and below from then on."""
    count, height, width = shot.images.shape[:3]
    first_frame = int(rng.integers(4, max(count - 8, 5)))
    shown = slice(first_frame, first_frame + round(rng.uniform(0.6, 1.5) * fps))
    kind = rng.integers(3)
    if kind == 0:
        bar = round(height * rng.uniform(0.08, 0.14))
        shot.images[first_frame:, :bar] = 0
        shot.images[first_frame:, height - bar :] = 0
    elif kind == 1:  # words
        top = round(height * rng.uniform(0.6, 0.8))
        letters = np.kron(rng.random((3, 40)) < 0.5, np.ones((6, 4), bool))
        left = (width - letters.shape[1]) // 2
        title = shot.images[shown, top : top + 18, left : left + letters.shape[1]]
        title[:] = np.where(letters[None, :, :, None], 255, title // 3)
    else:
        small = shot.images[::-1, ::3, ::3][: len(shot.images[shown])]
        top, left = (rng.integers(0, height - height // 3), rng.integers(0, width - width // 3))
        shot.images[shown, top : top + small.shape[1], left : left + small.shape[2]] = small


def darken(shot: Shot, fps: int, rng: np.random.Generator) -> None:
    """Simulate too little light: dark, little contrast, sensor noise."""
    noise = rng.normal(0, rng.uniform(5, 12), shot.images.shape).astype(np.float32)
    shot.images[:] = np.clip(shot.images * rng.uniform(0.15, 0.4) + 8 + noise, 0, 255)


def freeze(shot: Shot, fps: int, rng: np.random.Generator) -> None:
    """Show the first frame all along."""
    shot.images[:] = shot.images[0]


@dataclass(frozen=True)
class Kind:
    """Recipe of a kind of film."""

    camera: CameraFunction = hold_still
    blend: BlendFunction | None = None  # None means cuts
    blend_seconds: tuple[float, float] = (0.0, 0.0)  # range
    distractors: tuple[Callable[[Shot, int, np.random.Generator], None], ...] = ()
    distractor_share: float = 0.7  # of the shots
    shot_seconds: tuple[float, float] = (1.2, 3.0)  # range
    fps: int = field(default=25)


KINDS = {
    "cut": Kind(),
    "cut, pan": Kind(pan),
    "cut, whip pan": Kind(whip_pan_at_ends),
    "cut, shake": Kind(shake),
    "cut, zoom": Kind(zoom),
    "dissolve 0.2 s": Kind(blend=dissolve, blend_seconds=(0.2, 0.2)),
    "dissolve 0.5 s": Kind(blend=dissolve, blend_seconds=(0.5, 0.5)),
    "dissolve 1.0 s": Kind(blend=dissolve, blend_seconds=(1.0, 1.0), shot_seconds=(2.5, 4)),
    "wipe": Kind(blend=wipe, blend_seconds=(0.4, 1.0), shot_seconds=(2, 4)),
    "push": Kind(blend=push, blend_seconds=(0.3, 0.8), shot_seconds=(2, 4)),
    "fade through black": Kind(
        blend=fade_through_black, blend_seconds=(0.4, 1.2), shot_seconds=(2, 4)
    ),
    "fade through white": Kind(
        blend=fade_through_white, blend_seconds=(0.4, 1.2), shot_seconds=(2, 4)
    ),
    "cut, flashes": Kind(distractors=(flash, strobe)),
    "cut, lamp": Kind(distractors=(switch_lamp,)),
    "cut, whip pan and shake between": Kind(whip_pan_within),
    "cut, passing object": Kind(distractors=(pass_object,)),
    "cut, inserts": Kind(distractors=(insert_picture,)),
    "cut, dark and noisy": Kind(distractors=(darken,), distractor_share=1.0),
    "cut, 10 frames/s": Kind(fps=10),
    "cut, shots of 0.4-0.9 s": Kind(shot_seconds=(0.4, 0.9)),
    "cut, stills": Kind(distractors=(freeze,), distractor_share=1.0, shot_seconds=(0.6, 3)),
}


def load_clips(clips_folder: Path) -> Iterator[Clip]:
    """Load the first 6 seconds of each clip without a cut."""
    for path in sorted(clips_folder.iterdir()):
        if any(name in path.name for name in CLIPS_WITH_CUTS):
            continue
        try:
            batches = list(
                Sampler(path, fps=30, short_side=_CLIP_SIZE[1], span=Span(0, _CLIP_SECONDS))
            )
        except MediaError:
            continue
        images = np.stack(
            [
                np.asarray(Image.fromarray(image).resize(_CLIP_SIZE))
                for batch in batches
                for image in batch.images
            ]
        )
        times = np.concatenate([batch.frame_times for batch in batches])
        if len(times) >= _MIN_CLIP_FRAMES:
            yield Clip(path.name, images, times - times[0])


def make_film(
    kind: Kind, clips: list[Clip], rng: np.random.Generator, shot_count: int = 12
) -> Film:
    """Join shots of different clips.

    Args:
        kind: Recipe of the film.
        clips: Clips to choose from, each at most once.
        rng: Source of chance.
        shot_count: Shots at most.

    Returns:
        The film with its boundaries.
    """
    images: list[Images] = []
    transitions: list[Span] = []
    previous_tail: Images | None = None
    frame_count = 0
    for clip_index in rng.permutation(len(clips))[:shot_count]:
        blend_frames = round(rng.uniform(*kind.blend_seconds) * kind.fps)
        blend_frames = max(blend_frames, 2) if kind.blend else 0
        shot = _render_shot(clips[clip_index], kind, rng)
        for distort in rng.permutation(np.array(kind.distractors, object))[:1]:
            if rng.random() < kind.distractor_share:
                distort(shot, kind.fps, rng)
        if previous_tail is not None and kind.blend:
            blend_frames = min(blend_frames, len(previous_tail), len(shot.images) // 3)
            blend_seed = int(rng.integers(2**31))
            mixed = [
                kind.blend(old, new, (index + 1) / (blend_frames + 1),
                           np.random.default_rng(blend_seed))
                for index, (old, new) in enumerate(
                    zip(previous_tail[:blend_frames], shot.images[:blend_frames], strict=True)
                )
            ]  # fmt: skip
            images.append(np.stack(mixed))
            transitions.append(
                Span((frame_count - 1) / kind.fps, (frame_count + blend_frames) / kind.fps)
            )
            frame_count += blend_frames
            shot.images = shot.images[blend_frames:]
        elif previous_tail is not None:
            transitions.append(Span(frame_count / kind.fps, frame_count / kind.fps))
        tail_frames = len(shot.images) // 3 if kind.blend else 0
        images.append(shot.images[: len(shot.images) - tail_frames])
        previous_tail = shot.images[len(shot.images) - tail_frames :]
        frame_count += len(images[-1])
    return Film(np.concatenate(images), kind.fps, transitions)


def _render_shot(clip: Clip, kind: Kind, rng: np.random.Generator) -> Shot:
    duration = min(rng.uniform(*kind.shot_seconds), float(clip.frame_times[-1]))
    start_time = rng.uniform(0, max(clip.frame_times[-1] - duration, 0.001))
    frame_times = start_time + np.arange(max(round(duration * kind.fps), 4)) / kind.fps
    frame_indexes = np.searchsorted(clip.frame_times, frame_times, "right") - 1
    offsets, factors = kind.camera(len(frame_times), kind.fps, rng)
    has_motion_blur = bool(rng.random() < 0.5)
    speeds = np.gradient(offsets, axis=0) if len(offsets) > 1 else offsets
    return Shot(
        np.stack(
            [
                _crop(clip.images[index], offset, factor, speed if has_motion_blur else None)
                for index, offset, factor, speed in zip(
                    frame_indexes, offsets, factors, speeds, strict=True
                )
            ]
        )
    )


def _crop(
    image: Images, offset: _FloatArray, zoom_factor: float, speed: _FloatArray | None
) -> Images:
    """Crop an image around an offset from its center, with motion blur for a speed."""
    if zoom_factor != 1:
        width, height = (side / zoom_factor for side in FILM_SIZE)
        center_x, center_y = (side / 2 for side in _CLIP_SIZE)
        left, top = center_x - width / 2, center_y - height / 2
        box = (left, top, left + width, top + height)
        return np.asarray(
            Image.fromarray(image).resize(FILM_SIZE, Image.Resampling.BILINEAR, box=box)
        )
    blur_steps = 0 if speed is None else min(int(np.abs(speed).max() / 2), 4)
    if speed is None or blur_steps <= 1:
        return _crop_at(image, offset)
    exposures = [
        _crop_at(image, offset + (step / blur_steps - 0.5) * speed * 0.5)
        for step in range(blur_steps)
    ]
    return np.asarray(np.mean(exposures, axis=0, dtype=np.float32), np.uint8)


def _crop_at(image: Images, offset: _FloatArray) -> Images:
    columns, rows = (
        _reflect(np.arange(side) + round((full_side - side) / 2 + move), full_side)
        for side, full_side, move in zip(FILM_SIZE, _CLIP_SIZE, offset.tolist(), strict=True)
    )
    return image[rows][:, columns]


def _reflect(indexes: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Reflect indexes outside of [0, length) at its ends."""
    folded: npt.NDArray[np.int64] = np.abs((indexes + length - 1) % (2 * length - 2) - (length - 1))
    return folded
