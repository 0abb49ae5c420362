"""One file per on-disk layout of collections."""
