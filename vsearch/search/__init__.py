"""Search: from a parsed query to ranked, bounded and explained moments."""
