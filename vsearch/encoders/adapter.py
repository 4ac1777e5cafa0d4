"""The words of queries moved a little towards a library's own pictures.

`vsearch train align` learns it; here it is kept, read and used, without torch. The pictures, and
so the index, stay as they are.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
import threading
import zipfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from vsearch.errors import DamagedLibraryError, LibraryError
from vsearch.files import replaced, sweep, usable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.protocols import Encoder
    from vsearch.types import Images, Matrix

log = logging.getLogger(__name__)

FILE = "adapter.npz"
LIMIT = 128 * 1024 * 1024  # bytes: over 5,000 dimensions
PROBES = (
    "a dog jumps into a pool",
    "two people talk in a kitchen at night",
    "red",
    "the first car on the left turns",
)
AGREED = 0.99  # one model in two precisions: over 0.999; another training of it: below 0.98
REMEDY = "train it anew (`vsearch train align`) or take it away (`vsearch train align --remove`)"


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """unit(t + t·A + b)."""

    matrix: npt.NDArray[np.float32]  # A, (D, D)
    bias: npt.NDArray[np.float32]  # b, (D,)

    @classmethod
    def nothing(cls, dim: int) -> Self:
        """The map that leaves every vector as it is."""
        return cls(np.zeros((dim, dim), np.float32), np.zeros(dim, np.float32))

    def __call__(self, texts: Matrix) -> Matrix:
        """float32 (N, D) -> float32 (N, D), rows of unit length."""
        moved = texts + texts @ self.matrix + self.bias
        unit: Matrix = moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-12)
        return unit


@dataclass(frozen=True, slots=True)
class Trained:
    """What an adapter was trained for and on, and how well it did on rows held out."""

    space: str  # of the pictures
    words: str  # the model of the words, as settings name it
    source: str  # of the rows: a file's name, or subtitles
    rows: int  # learnt from
    videos: int
    held_out: int  # rows of other videos
    before: float  # MRR of these
    after: float
    forced: bool = False  # installed though it was not better

    def __post_init__(self) -> None:
        """Raises ValueError for what no training tells: it may come from a file."""
        names: Sequence[object] = (self.space, self.words, self.source)
        counts: Sequence[object] = (self.rows, self.videos, self.held_out)
        figures: Sequence[object] = (self.before, self.after)
        if not all(isinstance(each, str) for each in names):
            raise ValueError(f"a name is no text: {names}")
        if not all(type(each) is int for each in counts) or type(self.forced) is not bool:
            raise ValueError(f"a count is no number: {counts}")
        if not all(isinstance(each, float) and math.isfinite(each) for each in figures):
            raise ValueError(f"a figure is no number: {figures}")


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A map and the model that it is for."""

    map: Map
    probes: Matrix  # float32 (P, D): PROBES as the model of the words encoded them
    trained: Trained

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, in hexadecimal."""
        arrays = (self.map.matrix, self.map.bias, self.probes)
        data = b"".join(np.ascontiguousarray(each, "<f4").tobytes() for each in arrays)
        return hashlib.sha256(data + _about(self.trained).encode()).hexdigest()

    def __str__(self) -> str:
        """What it was trained on, for people."""
        told = self.trained
        return f"{told.rows} rows of {told.videos} videos ({told.source}; {self.digest[:8]})"

    def fits(self, encoder: Encoder) -> bool:
        """Whether the model reads words as the one did that this was trained for.

        Names do not tell: a file may have moved, or hold other weights than it did.
        """
        return bool((self.probes * encoder.encode_texts(PROBES)).sum(axis=1).min() > AGREED)


class AdaptedEncoder:
    """An `Encoder`: another one, whose words pass through an adapter that is of its space."""

    def __init__(self, plain: Encoder, adapter: Adapter) -> None:
        """`plain` is the encoder as it is."""
        self.space, self.image_size = plain.space, plain.image_size
        self.plain, self._adapter = plain, adapter
        self._fits: bool | None = None  # unknown until words are encoded
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        """What else the model tells of itself: its precision, its prompt."""
        return getattr(self.plain, name)

    def encode_images(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) RGB of any size -> float32 (N, D), rows of unit length."""
        return self.plain.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """N texts -> float32 (N, D), rows of unit length. Raises what the model itself does."""
        found, adapter = self.plain.encode_texts(texts), self.adapter
        return found if adapter is None or not len(found) else adapter.map(found)

    @property
    def querybank(self) -> Matrix | None:
        """The generic queries that the model may bring along, adapted like any others."""
        bank: Matrix | None = getattr(self.plain, "querybank", None)
        return bank if bank is None or self.adapter is None else self.adapter.map(bank)

    @property
    def adapter(self) -> Adapter | None:
        """The adapter, if it was trained for what reads the words; else None, and a warning."""
        with self._lock:
            if self._fits is None:
                self._fits = self._adapter.fits(self.plain)
                if not self._fits:
                    log.warning(
                        "%s is not used: it was trained for the words of %s, and another model "
                        "reads them now. Use that one, %s.",
                        FILE, self._adapter.trained.words, REMEDY,
                    )  # fmt: skip
        return self._adapter if self._fits else None


class AdapterFile:
    """`<library>/adapter.npz`: read when it has changed. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._known: tuple[object, Encoder, Encoder] | None = None  # state, plain, adapted
        self._lock = threading.Lock()

    def read(self) -> Adapter | None:
        """What is installed, whatever it was trained for. Raises DamagedLibraryError."""
        if not self.path.exists():
            return None
        with usable(self.path, f"it is not used; {REMEDY}"):
            return load(self.path)

    def write(self, adapter: Adapter) -> None:
        """Install it in place of the one before, whole or not at all. Raises LibraryError."""
        sweep(self.path.parent)
        try:
            with replaced(self.path) as file:
                np.savez(
                    file,
                    matrix=adapter.map.matrix,
                    bias=adapter.map.bias,
                    probes=adapter.probes,
                    about=_about(adapter.trained),
                    digest=adapter.digest,
                )
        except OSError as error:
            raise LibraryError(
                f"{self.path} cannot be written ({error.strerror or error}): check the disk and "
                "the permissions"
            ) from error

    def remove(self) -> bool:
        """Take it away; whether there was one."""
        there = self.path.exists()
        self.path.unlink(missing_ok=True)
        return there

    def problems(self) -> list[str]:
        """What is wrong with it, in a sentence; none if it is sound or not there."""
        try:
            self.read()
        except DamagedLibraryError as error:
            return [str(error)]
        return []

    def over(self, plain: Encoder) -> Encoder:
        """The encoder with the words adapted, where what is installed is of its space.

        What is damaged is told as a warning, once, and not used.
        """
        with self._lock:
            state = _state(self.path)
            if self._known is None or self._known[:2] != (state, plain):
                self._known = (state, plain, self._adapted(plain))
            return self._known[2]

    def _adapted(self, plain: Encoder) -> Encoder:
        try:
            adapter = self.read()
        except DamagedLibraryError as error:
            log.warning("%s", error)
            return plain
        space = plain.space
        if adapter is None or not space.speaks_text or adapter.trained.space != space.name:
            return plain
        return AdaptedEncoder(plain, adapter)


def load(path: Path) -> Adapter:
    """What `AdapterFile.write` wrote; any exception means that the file is something else."""
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if not stored or sum(member.file_size for member in members) > min(len(data), LIMIT):
        raise ValueError(f"{path}: compressed, or more than it could hold")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in ("matrix", "bias", "probes", "about", "digest")}
    trained = Trained(**json.loads(str(found["about"])))
    adapter = Adapter(Map(found["matrix"], found["bias"]), found["probes"], trained)
    _check(adapter, str(found["digest"]))
    return adapter


def _check(adapter: Adapter, digest: str) -> None:
    dim = len(adapter.map.bias)
    arrays = (adapter.map.matrix, adapter.map.bias, adapter.probes)
    for shape, array in zip(((dim, dim), (dim,), (len(PROBES), dim)), arrays, strict=True):
        if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{array.dtype} {array.shape} in place of {shape}, or not finite")
    if adapter.digest != digest:
        raise ValueError("its digest is another")


def _about(trained: Trained) -> str:
    return json.dumps(asdict(trained), sort_keys=True)


def _state(path: Path) -> object:
    """What changes when another file takes the place of this one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
