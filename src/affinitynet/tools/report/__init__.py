"""The HTML report about a work folder."""
