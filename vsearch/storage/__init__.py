"""Files: atomic writes, arrays, and the store of frame features."""
