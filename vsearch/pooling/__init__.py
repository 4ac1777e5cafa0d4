"""Poolers, which turn the frame vectors of a segment into one vector."""
