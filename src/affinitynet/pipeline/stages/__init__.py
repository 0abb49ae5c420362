"""One file for each arrow of the method."""
