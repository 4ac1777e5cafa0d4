"""HTTP server, REST API and web page."""
