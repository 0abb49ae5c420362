"""The work folder."""
