"""Retrieval and classification benchmarks, their datasets and metrics."""
