"""Weight files of every origin."""
