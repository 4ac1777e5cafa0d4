"""`vsearch train`: train models on the videos of a library."""
