"""Tables of the catalog. A change needs a migration and a test that upgrades a filled library."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotations

import sqlalchemy
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# as in SQLite: texts are compared by their bytes, and integers have 64 bits
Text = sqlalchemy.Text().with_variant(sqlalchemy.Text(collation="C"), "postgresql")
_INTEGER = Integer().with_variant(BigInteger(), "postgresql")


class Base(DeclarativeBase):
    """Base of the tables. Naming constraints lets later migrations find them."""

    type_annotation_map = {float: Float(), int: _INTEGER}  # noqa: RUF012 - SQLAlchemy's versions differ here
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class SpaceRow(Base):
    """An embedding space of stored or pending vectors."""

    __tablename__ = "spaces"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    dim: Mapped[int]
    supports_text: Mapped[bool]
    model: Mapped[str | None] = mapped_column(Text)  # name in the settings; NULL in old libraries
    pooler: Mapped[str | None] = mapped_column(Text)  # of the segment vectors
    retired_at_revision: Mapped[int | None]  # library revision at which another space became active


class LibraryRow(Base):
    """The library itself, a single row."""

    __tablename__ = "library"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int]  # grows with each change of segments, vectors or cues
    created_by_version: Mapped[str] = mapped_column(Text)  # version of vsearch
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id"))  # the active one
    settings: Mapped[str | None] = mapped_column(Text)  # JSON, see `record`


class VideoRow(Base):
    """An indexed video. Ids are never reused because files are named after them."""

    __tablename__ = "videos"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str | bytes] = mapped_column(Text, unique=True)  # bytes if not UTF-8
    fingerprint: Mapped[str] = mapped_column(Text, index=True)
    size_bytes: Mapped[int]
    mtime_ns: Mapped[int]  # since the epoch
    duration: Mapped[float]  # seconds
    fps: Mapped[float]
    width: Mapped[int]
    height: Mapped[int]
    codec: Mapped[str] = mapped_column(Text)
    sampled_frames: Mapped[int]
    warning: Mapped[str | None] = mapped_column(Text)
    sample_fps: Mapped[float]  # frames a second
    indexed_at: Mapped[datetime] = mapped_column(DateTime)  # UTC
    recorded_at: Mapped[datetime | None] = mapped_column(DateTime)  # UTC, from the file's metadata
    keyframes_only: Mapped[bool] = mapped_column(server_default=false())
    max_keyframe_gap: Mapped[float | None]  # seconds, if only key frames were sampled
    # See `types.FileIdentity`; NULL in videos of older versions.
    content_digest: Mapped[str | None] = mapped_column(Text)
    ctime_ns: Mapped[int | None]
    inode: Mapped[str | None] = mapped_column(Text)
    is_photo: Mapped[bool] = mapped_column(server_default=false())
    utc_offset_minutes: Mapped[int | None]  # of the local time of the recording
    latitude: Mapped[float | None]  # degrees, north positive
    longitude: Mapped[float | None]  # degrees, east positive
    camera: Mapped[str | None] = mapped_column(Text)  # make and model
    source_url: Mapped[str | None] = mapped_column(Text)  # from which the file was downloaded


class VideoNameRow(Base):
    """The words of a video's path. Triggers keep the full-text index `names_fts` up to date."""

    __tablename__ = "video_names"

    video_id: Mapped[int] = mapped_column(
        ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True
    )
    words: Mapped[str] = mapped_column(Text)


class DuplicateFileRow(Base):
    """The identity of a file that is not indexed because a video has the same content."""

    __tablename__ = "duplicate_files"

    path: Mapped[str | bytes] = mapped_column(Text, primary_key=True)
    size_bytes: Mapped[int]
    mtime_ns: Mapped[int]  # since the epoch
    ctime_ns: Mapped[int | None]
    inode: Mapped[str | None] = mapped_column(Text)
    content_digest: Mapped[str | None] = mapped_column(Text)
    video_id: Mapped[int | None] = mapped_column(  # that has the same content
        ForeignKey("videos.id", ondelete="CASCADE"), index=True
    )


class FrameFeaturesRow(Base):
    """A record that the feature store has a file for a video and space."""

    __tablename__ = "frame_features"

    video_id: Mapped[int] = mapped_column(
        ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True
    )
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    model: Mapped[str | None] = mapped_column(Text)  # that produced them; NULL in old libraries
    crc32: Mapped[int | None]  # of the file, as in its metadata; NULL in old libraries


class SegmentRow(Base):
    """A video segment. Ids are never reused because vector indexes refer to them."""

    __tablename__ = "segments"
    __table_args__ = (
        CheckConstraint('"end" >= start', name="span"),
        Index("ix_segments_span", "video_id", "start", "end"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"))
    start: Mapped[float]  # seconds
    end: Mapped[float]  # seconds


class VectorRow(Base):
    """The vector of a segment in one space; during a model switch it has two."""

    __tablename__ = "vectors"

    segment_id: Mapped[int] = mapped_column(
        ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True
    )
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)  # float16 (D,) little-endian, unit length


class TagRow(Base):
    """A label given to a video or a span of it."""

    __tablename__ = "tags"
    __table_args__ = (
        CheckConstraint('(start IS NULL) = ("end" IS NULL) AND "end" >= start', name="span"),
        CheckConstraint("probability BETWEEN 0 AND 1", name="probability"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    start: Mapped[float | None]  # seconds; NULL: the whole video
    end: Mapped[float | None]
    label: Mapped[str] = mapped_column(Text, index=True)
    probability: Mapped[float]
    source: Mapped[str] = mapped_column(Text)  # such as "by hand"; tags are replaced per source
    model: Mapped[str | None] = mapped_column(Text)  # name of the embedding space
    created_at: Mapped[datetime] = mapped_column(DateTime)  # UTC


class CueRow(Base):
    """A timed line of a transcript. Triggers keep the full-text index `cues_fts` up to date."""

    __tablename__ = "cues"
    __table_args__ = (
        CheckConstraint('"end" >= start', name="span"),
        CheckConstraint("source IN ('subtitles', 'speech', 'ocr')", name="source"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    source: Mapped[str] = mapped_column(Text)
    start: Mapped[float]  # seconds
    end: Mapped[float]  # seconds
    text: Mapped[str] = mapped_column(Text)  # one line
    words: Mapped[str | None] = mapped_column(Text)  # JSON [[start, end, word], …], for speech


class TranscriptRow(Base):
    """A record that one source of a video was transcribed, even if no words were found."""

    __tablename__ = "transcripts"

    video_id: Mapped[int] = mapped_column(
        ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(Text, primary_key=True)  # same values as in cues
    source_name: Mapped[str] = mapped_column(Text)  # the model, or the subtitle files and streams
    source_digest: Mapped[str | None] = mapped_column(Text)  # of the subtitle files
    language: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime)  # UTC


class CueVectorRow(Base):
    """The text embedding of a cue in one space."""

    __tablename__ = "cue_vectors"

    cue_id: Mapped[int] = mapped_column(ForeignKey("cues.id", ondelete="CASCADE"), primary_key=True)
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)  # float16 (D,) little-endian, unit length


class SoundSpanRow(Base):
    """A span of the sound of a video in which there is speech, music or singing."""

    __tablename__ = "sound_spans"
    __table_args__ = (
        CheckConstraint('"end" >= start', name="span"),
        CheckConstraint("kind IN ('speech', 'music', 'singing')", name="kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(Text)
    start: Mapped[float]  # seconds
    end: Mapped[float]  # seconds


class SoundAnalysisRow(Base):
    """A record that the sound of a video was analyzed, even if nothing was found."""

    __tablename__ = "sound_analyses"

    video_id: Mapped[int] = mapped_column(
        ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True
    )
    model: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime)  # UTC


class SavedSearchRow(Base):
    """A query saved under a name."""

    __tablename__ = "saved_searches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    query: Mapped[str] = mapped_column(Text)  # as entered
    created_at: Mapped[datetime] = mapped_column(DateTime)  # UTC


class FeedbackRow(Base):
    """A moment marked as relevant or irrelevant to a query."""

    __tablename__ = "relevance_feedback"
    __table_args__ = (CheckConstraint('"end" >= start', name="span"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    query: Mapped[str] = mapped_column(Text, index=True)  # as entered
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    start: Mapped[float]  # seconds
    end: Mapped[float]  # seconds
    relevant: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(DateTime)  # UTC
