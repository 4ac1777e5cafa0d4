"""Index videos: decode, encode and pool, collect transcripts, and switch the model."""
