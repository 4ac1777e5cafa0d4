"""Near-duplicate videos and copies of a clip."""
