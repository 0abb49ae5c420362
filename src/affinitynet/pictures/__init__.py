"""Numbers to pixels."""
