"""Classification, tags and summaries of indexed videos."""
