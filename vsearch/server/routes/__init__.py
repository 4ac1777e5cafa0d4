"""REST routes of the server."""
