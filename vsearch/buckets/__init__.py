"""Files in buckets: paths that are URLs, read by ranges through fsspec."""
