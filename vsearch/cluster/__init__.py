"""Work on a Ray cluster: connecting, and tasks that survive the death of workers and nodes."""
