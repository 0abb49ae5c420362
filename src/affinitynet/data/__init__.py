"""Collections as people have them."""
