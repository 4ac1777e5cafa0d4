"""Transcripts: speech recognition, OCR, subtitle files, and their output formats."""
