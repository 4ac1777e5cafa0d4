"""The catalog of a library: a SQLite database of videos, segments, vectors and transcripts."""
