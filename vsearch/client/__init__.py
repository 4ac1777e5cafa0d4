"""Client for a remote library."""
