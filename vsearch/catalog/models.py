"""The tables of the catalogue. A change here is a migration and a test that upgrades data."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - SQLAlchemy reads the annotations

from sqlalchemy import (
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Text,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Constraints have names, so that a later migration can find them."""

    type_annotation_map = {float: Float()}  # noqa: RUF012 - SQLAlchemy's versions differ here
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
    """An embedding space that vectors of this library are in, or are being put in."""

    __tablename__ = "spaces"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    dim: Mapped[int]
    speaks_text: Mapped[bool]
    model: Mapped[str | None] = mapped_column(Text)  # as settings name it; of old ones not known
    pooler: Mapped[str | None] = mapped_column(Text)  # of its segments' vectors
    answered_until: Mapped[int | None]  # the revision at which another space took over


class LibraryRow(Base):
    """The library itself: a single row."""

    __tablename__ = "library"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    revision: Mapped[int]  # grows with each transaction that changes segments or vectors
    created_with: Mapped[str] = mapped_column(Text)  # version of vsearch
    space_id: Mapped[int | None] = mapped_column(ForeignKey("spaces.id"))  # answers queries


class VideoRow(Base):
    """A video that is indexed. Ids are never used again: files are named after them."""

    __tablename__ = "videos"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str | bytes] = mapped_column(Text, unique=True)  # see paths.py
    fingerprint: Mapped[str] = mapped_column(Text, index=True)
    size: Mapped[int]  # bytes
    modified: Mapped[int]  # nanoseconds since the epoch
    duration: Mapped[float]  # seconds
    fps: Mapped[float]
    width: Mapped[int]
    height: Mapped[int]
    codec: Mapped[str] = mapped_column(Text)
    frames: Mapped[int]  # sampled
    note: Mapped[str | None] = mapped_column(Text)
    sampled_at: Mapped[float]  # frames a second
    indexed_at: Mapped[datetime] = mapped_column(DateTime)  # UTC
    recorded_at: Mapped[datetime | None] = mapped_column(DateTime)  # UTC, as the file itself says
    keyframes: Mapped[bool] = mapped_column(server_default=false())  # nothing else was looked at


class FeaturesRow(Base):
    """That a video has frame features in a space: a file of that store."""

    __tablename__ = "features"

    video_id: Mapped[int] = mapped_column(
        ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True
    )
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    model: Mapped[str | None] = mapped_column(Text)  # that made them; of old ones not known


class SegmentRow(Base):
    """A stretch of a video. Ids are never used again: indexes know vectors by them."""

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
    """A segment's vector in one space; a library that changes its model has two for a while."""

    __tablename__ = "vectors"

    segment_id: Mapped[int] = mapped_column(
        ForeignKey("segments.id", ondelete="CASCADE"), primary_key=True
    )
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)  # float16 (D,) little-endian, unit length


class TagRow(Base):
    """What a video, or a span of it, was said to show."""

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
    source: Mapped[str] = mapped_column(Text)  # who said so; by it tags are replaced
    model: Mapped[str | None] = mapped_column(Text)  # the space it saw them in
    made_at: Mapped[datetime] = mapped_column(DateTime)  # UTC


class CueRow(Base):
    """Words that were found in a video, and when; `cues_fts` is their index, kept by triggers."""

    __tablename__ = "cues"
    __table_args__ = (
        CheckConstraint('"end" >= start', name="span"),
        CheckConstraint("source IN ('subtitles', 'speech', 'screen')", name="source"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    source: Mapped[str] = mapped_column(Text)
    start: Mapped[float]  # seconds
    end: Mapped[float]  # seconds
    text: Mapped[str] = mapped_column(Text)  # one line
    words: Mapped[str | None] = mapped_column(Text)  # JSON: [[start, end, word], …] of speech


class TranscriptRow(Base):
    """That the words of a source were looked for in a video, found or not."""

    __tablename__ = "transcripts"

    video_id: Mapped[int] = mapped_column(
        ForeignKey("videos.id", ondelete="CASCADE"), primary_key=True
    )
    source: Mapped[str] = mapped_column(Text, primary_key=True)  # as of cues
    origin: Mapped[str] = mapped_column(Text)  # the model, the subtitle file or stream
    language: Mapped[str | None] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(DateTime)  # UTC


class CueVectorRow(Base):
    """What a cue means, by the words of the model of a space."""

    __tablename__ = "cue_vectors"

    cue_id: Mapped[int] = mapped_column(ForeignKey("cues.id", ondelete="CASCADE"), primary_key=True)
    space_id: Mapped[int] = mapped_column(ForeignKey("spaces.id"), primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)  # float16 (D,) little-endian, unit length


class SearchRow(Base):
    """A query that was saved under a name."""

    __tablename__ = "searches"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text, unique=True)
    query: Mapped[str] = mapped_column(Text)  # as it is typed
    made_at: Mapped[datetime] = mapped_column(DateTime)  # UTC


class MarkRow(Base):
    """That a moment was said to be what a query asks for, or not to be."""

    __tablename__ = "marks"
    __table_args__ = (CheckConstraint('"end" >= start', name="span"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    query: Mapped[str] = mapped_column(Text, index=True)  # as it is typed
    video_id: Mapped[int] = mapped_column(ForeignKey("videos.id", ondelete="CASCADE"), index=True)
    start: Mapped[float]  # seconds
    end: Mapped[float]  # seconds
    up: Mapped[bool]
    made_at: Mapped[datetime] = mapped_column(DateTime)  # UTC
