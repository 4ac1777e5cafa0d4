"""Backup of a library in one file, and restoring it."""
