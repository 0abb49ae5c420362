"""One file for each way collections are laid out on disk."""
