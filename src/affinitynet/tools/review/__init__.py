"""A local page on which masks are looked at, accepted and corrected by clicks."""
