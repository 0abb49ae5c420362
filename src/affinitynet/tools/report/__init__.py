"""One HTML page about a work folder."""
