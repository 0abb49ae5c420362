"""Every number that decides a result."""
